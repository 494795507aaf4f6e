"""`RequenceCallback`: a callback that a service has put into its data. It can be received, not called. Pure."""

from __future__ import annotations

from typing import Any, NoReturn

from requence._brief import brief
from requence._references import Referring
from requence.exceptions import UsageError

__all__ = ["RequenceCallback"]


class RequenceCallback(Referring):
    """A callback of a service, out of a task's data. It can be called by services only; here, calling it raises.

    Attributes:
        callback_object: The reference that stands for it in data.
    """

    __slots__ = ("__weakref__", "_in_input", "callback_object")

    refusal = "the input of a task may not have callbacks"

    def __init__(self, reference: dict[str, Any], *, in_input: bool = False) -> None:
        """Makes one; `in_input` says whether it stands in a task's input."""
        self.callback_object = reference
        self._in_input = in_input

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        """Raises.

        Raises:
            UsageError: Always.
        """
        del args, kwargs
        if self._in_input:
            raise UsageError("The input of a task may not have callbacks, so this one cannot be called")
        raise UsageError(
            "A callback of a service cannot be called by the client of a task",
            hint="only a service that takes part in the task can call it",
        )

    def _referred_to_by(self) -> dict[str, Any] | None:
        return self.callback_object

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.callback_object, self._in_input)

    def __repr__(self) -> str:
        name = self.callback_object.get("name") or self.callback_object.get("callbackId")
        return f"<RequenceCallback {brief(name)}>"


def _rebuilt(reference: dict[str, Any], in_input: bool) -> RequenceCallback:
    return RequenceCallback(reference, in_input=in_input)
