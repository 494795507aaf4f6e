"""References in data: JSON objects that stand for what is elsewhere, such as a file. Pure.

`requence.files` has the objects that they become; this is what the rest knows of those.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from requence._json import as_list, as_object

__all__ = ["MARKER", "Referring", "has_references", "reference_of", "without_objects"]

MARKER = "__REQUENCE_type"
"""The key that tells a reference from other JSON objects; its value is the kind."""

_MARKER_BYTES = MARKER.encode()


class Referring:
    """An object in data that stands for what is elsewhere.

    Attributes:
        refusal: Why it may not stand in the input of a task; None if it may.
    """

    __slots__ = ()

    refusal: ClassVar[str | None] = None

    @abstractmethod
    def _referred_to_by(self) -> dict[str, Any] | None:
        """Returns the reference that stands for it, as plain JSON; None if nothing refers to it yet."""


def reference_of(value: Referring) -> dict[str, Any] | None:
    """Returns a copy of the reference that stands for an object; None if nothing refers to it yet."""
    found = value._referred_to_by()  # noqa: SLF001 (of no use to users, who see these objects)
    return None if found is None else dict(found)


def has_references(body: str | bytes) -> bool:
    """Says, at a glance, whether JSON text may hold references."""
    return MARKER in body if isinstance(body, str) else _MARKER_BYTES in body


def without_objects(value: Any) -> Any:
    """Returns data with references in the place of objects: a copy where there are some, else the value itself.

    What has no reference yet stays.
    """
    if isinstance(value, Referring):
        return reference_of(value) or value
    fields, items = as_object(value), as_list(value)
    if fields is not None:
        copied = {name: without_objects(field) for name, field in fields.items()}
        return copied if any(copied[name] is not field for name, field in fields.items()) else value
    if items is not None:
        made = [without_objects(item) for item in items]
        return made if any(new is not old for new, old in zip(made, items, strict=True)) else value
    return value
