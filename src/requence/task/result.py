"""How a task ended: its result, or the error that says why there is none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic

from requence._brief import brief, word
from requence.exceptions import TaskAbortedError, TaskException, TaskFailedError
from requence.task.context import Context
from requence.task.record import plain
from requence.task.updates import TaskAborted, TaskEnd, TaskError, Update

# Where nothing says what a result is, it is Any. Only checkers are told so: before Python 3.13 the interpreter
# knows no defaults of type variables.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T_co = TypeVar("T_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    T_co = TypeVar("T_co", covariant=True)

__all__ = ["T_co", "TaskResult", "aborted_message", "outcome_of"]

T = TypeVar("T")


class TaskResult(Context, Generic[T_co]):
    """What a task that succeeded has left behind. Read-only, by attribute and by key.

    Attributes:
        input: The input that the task was started with.
        result: The final output: decoded, if the task was given `decode` or `result_type`, else plain JSON.
        task_id: The task's id.
        task_url: The page of the task, or None if the service names none.
        node_data: The last output of each node that has an alias, by alias.
        node_error: The last error of each node that has an alias, by alias.
    """

    __slots__ = ("_decoded", "_sent")

    task_url: str | None
    result: T_co
    _decoded: tuple[Any, ...]  # nothing, or the one value
    _sent: Any  # the result as the service sent it

    def __init__(self, values: Mapping[str, Any], *decoded: Any) -> None:
        """Makes a result.

        Args:
            values: The fields, as the service sent them.
            decoded: What the field `result` reads as, if that is something else.
        """
        super().__init__({**values, "result": decoded[0]} if decoded else values)
        object.__setattr__(self, "_decoded", decoded)
        object.__setattr__(self, "_sent", values.get("result"))

    def with_result(self, decoded: T) -> TaskResult[T]:
        """Returns the same result with another value for `result`; `to_dict()` keeps the plain one."""
        return TaskResult({**self._values, "result": self._sent}, decoded)

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as plain JSON data, `result` as the service sent it."""
        return {**super().to_dict(), "result": plain(self._sent)}

    def __reduce__(self) -> tuple[Any, ...]:
        kind, values = super().__reduce__()
        return (kind, ({**values[0], "result": self._sent}, *self._decoded))

    def _repr_html_(self) -> str:
        from requence.task.html import html_of_result  # here, since only notebooks need it

        return html_of_result(self)

    def __repr__(self) -> str:
        return f"<TaskResult of task {word(self.task_id)}: {brief(self.result)}>"


def outcome_of(
    update: Update, *, task_url: str | None, task_template: str | None
) -> TaskResult | TaskException | None:
    """Returns what a last update means, or None for an update that is not the last."""
    context = update.context
    if isinstance(update, TaskEnd):
        return TaskResult(context.with_fields(task_url=task_url))
    facts: dict[str, Any] = {
        "task_id": context.task_id,
        "task_url": task_url,
        "task_template": task_template,
        "context": context,
    }
    match update:
        case TaskError(reason=reason):
            reason = _text(reason)
            return TaskFailedError(reason or "Task failed", reason=reason, **facts)
        case TaskAborted(reason=reason):
            reason = _text(reason)
            return TaskAbortedError(aborted_message(reason), reason=reason, **facts)
        case _:
            return None


def aborted_message(reason: str | None) -> str:
    """Returns the message of the error for an aborted task."""
    return f"Task aborted: {reason}" if reason else "Task aborted"


def _text(reason: object) -> str | None:
    """Returns a reason as text, whatever the service has sent as one."""
    return None if reason is None else str(reason)
