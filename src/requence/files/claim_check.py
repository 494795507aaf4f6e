"""`ClaimCheck`: stands in data for a value that was too large for it, where that could not be fetched. Pure."""

from __future__ import annotations

from typing import Any

from requence._references import Referring

__all__ = ["ClaimCheck"]


class ClaimCheck(Referring):
    """A value that a service keeps elsewhere, since it was too large to be sent with an update.

    Such values are fetched as they come. One of these is only seen where that was not possible; the warning on the
    logger `requence.task` says why. It can stand in the input of another task.

    Attributes:
        claim_check_object: The reference that stands for it in data.
    """

    __slots__ = ("__weakref__", "claim_check_object")

    def __init__(self, reference: dict[str, Any]) -> None:
        self.claim_check_object = reference

    @property
    def size(self) -> int:
        """The size of the value as JSON, in bytes."""
        size: int = self.claim_check_object["size"]
        return size

    def _referred_to_by(self) -> dict[str, Any] | None:
        return self.claim_check_object

    def __reduce__(self) -> tuple[Any, ...]:
        return ClaimCheck, (self.claim_check_object,)

    def __repr__(self) -> str:
        return f"<ClaimCheck for {self.size} bytes>"
