"""A task as the service describes it at one moment, read without following it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from requence.task.context import Context

if TYPE_CHECKING:
    from requence._transport.api import Report

__all__ = ["FINAL_STATUSES", "TaskSnapshot", "known_status"]

FINAL_STATUSES = {"successful": "taskEnd", "failed": "taskError", "stopped": "taskAborted"}
"""The statuses that never change again, with the update that ends the task's stream with them."""

_KNOWN_STATUSES = frozenset({"idle", "pending", "running", "awaiting_delivery", *FINAL_STATUSES})


def known_status(status: str) -> str:
    """Returns a known status in lower case, whatever case the service uses, and another one unchanged."""
    lower = status.lower()
    return lower if lower in _KNOWN_STATUSES else status


@dataclass(frozen=True, slots=True)
class TaskSnapshot:
    """What `get_task` returns. Unpacks as `status, context = get_task(task_id)`.

    Attributes:
        task_id: The task's id.
        status: `idle`, `pending`, `running`, `awaiting_delivery`, `successful`, `failed`, `stopped`, or what else
            the service says.
        context: Input, result, node data and node errors.
        status_text: More about the status, None if the service does not say.
        task_template: The template's name, None if the service does not say.
        name: The task's display name, None if it has none.
        branch: The branch it runs on, None if the service does not say.
    """

    task_id: str
    status: str
    context: Context
    status_text: str | None = None
    task_template: str | None = None
    name: str | None = None
    branch: str | None = None

    def __iter__(self) -> Iterator[str | Context]:
        yield self.status
        yield self.context


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
        task_id=task_id,
        status=known_status(report.status),
        context=context,
        status_text=report.status_text,
        task_template=report.task_template,
        name=report.name,
        branch=report.branch,
    )
