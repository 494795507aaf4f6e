"""How a task ended: its result, or the error that says why there is none. Pure."""

from __future__ import annotations

import reprlib
from typing import Any

from requence.exceptions import TaskAbortedError, TaskException, TaskFailedError
from requence.task.context import Context
from requence.task.updates import TaskAborted, TaskEnd, TaskError, Update

__all__ = ["TaskResult", "aborted_message", "outcome_of"]

_brief = reprlib.Repr()
_brief.maxlevel = 2


class TaskResult(Context):
    """What a task that succeeded has left behind. Read-only, by attribute and by key.

    Attributes:
        input: The input that the task was started with.
        result: The final output.
        task_id: The task's id.
        task_url: The page of the task, or None if the service names none.
        node_data: The last output of each node that has an alias, by alias.
        node_error: The last error of each node that has an alias, by alias.
    """

    __slots__ = ()

    task_url: str | None

    def __repr__(self) -> str:
        return f"<TaskResult of task {self.task_id}: {_brief.repr(self.result)}>"


def outcome_of(
    update: Update, *, task_url: str | None, task_template: str | None
) -> TaskResult | TaskException | None:
    """Returns what a last update means, or None for an update that is not the last."""
    context = update.context
    facts: dict[str, Any] = {
        "task_id": context.task_id,
        "task_url": task_url,
        "task_template": task_template,
        "context": context,
    }
    match update:
        case TaskEnd():
            return TaskResult({**dict(context.items()), "task_url": task_url})
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
