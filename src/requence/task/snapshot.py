"""A task as the service describes it at one moment, read without following it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from requence._brief import brief, word
from requence.task.context import Context
from requence.task.persistent import PersistentMap
from requence.task.reading import read_update
from requence.task.updates import Update

if TYPE_CHECKING:
    from requence._transport.api import Report

__all__ = ["ENDED_STATUSES", "FINAL_STATUSES", "TaskSnapshot", "completed", "known_status", "last_update"]

FINAL_STATUSES = {"successful": "taskEnd", "failed": "taskError", "stopped": "taskAborted"}
"""The statuses that never change again, with the update that ends the task's stream with them."""

ENDED_STATUSES = frozenset({"awaiting_delivery", *FINAL_STATUSES})
"""The statuses after which nothing happens any more, but the delivery."""

_KNOWN_STATUSES = frozenset({"idle", "pending", "running", *ENDED_STATUSES})


def known_status(status: str) -> str:
    """Returns a known status in lower case, whatever case the service uses, and another one unchanged."""
    lower = status.lower()
    return lower if lower in _KNOWN_STATUSES else status


class TaskSnapshot(tuple[str, Context]):
    """What `get_task` returns. Unpacks as `status, context = get_task(task_id)`.

    Attributes:
        status: `idle`, `pending`, `running`, `awaiting_delivery`, `successful`, `failed`, `stopped`, or what else
            the service says.
        context: Input, result, node data and node errors.
        task_id: The task's id.
        status_text: More about the status, None if the service does not say.
        task_template: The template's name, None if the service does not say.
        name: The task's display name, None if it has none.
        branch: The branch it runs on, None if the service does not say.
        tells_input: Whether the service says what the input was, which then is `context.input`.
    """

    task_id: str
    status_text: str | None
    task_template: str | None
    name: str | None
    branch: str | None
    tells_input: bool

    def __new__(
        cls,
        status: str,
        context: Context,
        status_text: str | None = None,
        task_template: str | None = None,
        name: str | None = None,
        branch: str | None = None,
        tells_input: bool = True,
    ) -> Self:
        """Makes a snapshot of the task that `context` belongs to."""
        snapshot = super().__new__(cls, (status, context))
        more = {"status_text": status_text, "task_template": task_template, "name": name, "branch": branch}
        snapshot.__dict__.update(task_id=context.task_id, tells_input=tells_input, **more)
        return snapshot

    @property
    def status(self) -> str:
        """The task's status."""
        return self[0]

    @property
    def context(self) -> Context:
        """What the task has done so far."""
        return self[1]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("TaskSnapshot is read-only")

    def __getnewargs__(self) -> tuple[str, Context]:
        return self.status, self.context

    def _repr_html_(self) -> str:
        from requence.task.html import html_of_snapshot  # here, since only notebooks need it

        return html_of_snapshot(self)

    def __repr__(self) -> str:
        of = f" ({brief(self.task_template, 40)})" if self.task_template else ""
        return f"<TaskSnapshot of task {word(self.task_id)}{of}: {word(self.status)}>"


def read_snapshot(task_id: str, report: Report) -> TaskSnapshot:
    """Returns the public form of the service's answer."""
    context = Context(
        {
            "task_id": task_id,
            "input": report.input,
            "result": report.result,
            "node_data": report.node_data,
            "node_error": report.node_error,
        }
    )
    return TaskSnapshot(
        status=known_status(report.status),
        context=context,
        status_text=report.status_text,
        task_template=report.task_template,
        name=report.name,
        branch=report.branch,
        tells_input=report.tells_input,
    )


def last_update(report: Report, context: Context) -> Update:
    """Returns the update that a task's final status stands for, where the stream did not bring it."""
    kind = FINAL_STATUSES[known_status(report.status)]
    payload: dict[str, Any] = {"taskId": context.task_id, "reason": report.status_text}
    if kind == "taskEnd":
        payload = {"taskId": context.task_id, "result": report.result}
    return read_update(kind, payload, before=completed(context, report), synthetic=True)


def completed(context: Context, report: Report) -> Context:
    """Returns a context with what the service has reported and no update has shown."""
    return context.replaced(
        input=context.input if report.input is None else report.input,
        node_data=PersistentMap({**context.node_data, **report.node_data}),
        node_error=PersistentMap({**context.node_error, **report.node_error}),
    )
