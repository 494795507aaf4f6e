"""What has come of one input of many. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, cast

from requence._brief import brief, error_in_brief
from requence.task.result import T_co, TaskResult

if TYPE_CHECKING:
    from requence.task.handle import Task

__all__ = ["TaskItem", "about_input"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class TaskItem(Generic[T_co]):
    """What has come of one input of `map_tasks`.

    Attributes:
        index: Which of the inputs it is, from 0 on.
        input: That input, the very object.
        task: The handle of its task, which has ended or could not be started; None if the input could not be sent.
        error: Why there is no result, or None. A note on it names the index and the input.
    """

    index: int
    input: Any
    task: Task[T_co] | None
    error: Exception | None
    _result: TaskResult[T_co] | None

    @property
    def result(self) -> TaskResult[T_co]:
        """The result; decoded, if `decode` or `result_type` was given. Waits for nothing.

        Raises:
            Exception: `error`, if there is one.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)  # else each time would add to the one before
        return cast("TaskResult[T_co]", self._result)

    def _repr_html_(self) -> str:
        from requence.task.html import html_of_item  # here, since only notebooks need it

        return html_of_item(self)

    def __repr__(self) -> str:
        outcome = repr(self._result) if self.error is None else error_in_brief(self.error)
        return f"<TaskItem {self.index}: {outcome}>"


def about_input(index: int, input: object) -> str:
    """Returns a text that names an input, shortened."""
    return f"This was input {index}: {brief(input)}"
