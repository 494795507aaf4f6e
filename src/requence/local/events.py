"""The events of a task, as they are kept and sent. Pure.

An event is told three times: as a `Draft`, what happened; as its payload, which also says whose it is, when it
was and under which id; and with its position once it is in the log.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from requence.local.json_values import compact

if TYPE_CHECKING:
    from requence.local.graph import NodePlan

__all__ = [
    "TERMINAL",
    "Draft",
    "Event",
    "Stamped",
    "frame",
    "frame_among_all",
    "node_defer",
    "node_end",
    "node_error",
    "node_id",
    "node_start",
    "node_update",
    "payload",
    "task_aborted",
    "task_end",
    "task_error",
    "task_start",
    "time_text",
]

TERMINAL = ("taskEnd", "taskError", "taskAborted")

_PART_CHARACTERS = 64 * 1024

_NODE_IDS = uuid.UUID("5e0f1d0c-3f0f-4ad6-8a8e-5d9a1f6c2b7d")


@dataclass(frozen=True, slots=True)
class Draft:
    """What happened: the event's name and the fields of its own."""

    name: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stamped:
    """An event ready for the log: `at` is its time, `payload` the JSON text."""

    name: str
    at: str
    payload: str


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Event:
    """An event of the log.

    Attributes:
        position: Where it stands in the log that it was read from: that of its task, or that of all tasks. Both
            count from 1.
        name: What kind of event it is.
        at: When it happened, as `time_text` writes it.
        payload: The JSON text of an object.
        task_id: Whose event it is.
        root_id: For a sub task, the task at the top; None for one that is at the top itself.
    """

    position: int
    name: str
    at: str
    payload: str
    task_id: str
    root_id: str | None

    @property
    def is_large(self) -> bool:
        """Whether it is sent in parts."""
        return len(self.payload) > _PART_CHARACTERS


def task_start(input_value: object) -> Draft:
    """The task has begun to run."""
    return Draft("taskStart", {"input": input_value})


def node_start(node: NodePlan) -> Draft:
    """A node has begun to run."""
    return Draft("nodeStart", {"node": node.told})


def node_update(node: NodePlan, data: object, output: str | None = None) -> Draft:
    """A node has delivered data."""
    return Draft("nodeUpdate", {"node": node.told, "data": data, "output": output})


def node_defer(node: NodePlan, reason: str | None) -> Draft:
    """A node will end later, or run again."""
    return Draft("nodeDefer", {"node": node.told, "reason": reason})


def node_end(node: NodePlan) -> Draft:
    """A node has ended well."""
    return Draft("nodeEnd", {"node": node.told})


def node_error(node: NodePlan, error: str) -> Draft:
    """A node has failed. No `nodeEnd` follows."""
    return Draft("nodeError", {"node": node.told, "error": error})


def task_end(result: object, exit_name: str | None, *, require_ack: bool) -> Draft:
    """The task has ended well, at an exit with this name or at one without."""
    return Draft("taskEnd", {"result": result, "exit": exit_name, "requireAck": require_ack})


def task_error(reason: str, *, require_ack: bool) -> Draft:
    """The task has failed."""
    return Draft("taskError", {"reason": reason, "requireAck": require_ack})


def task_aborted(reason: str | None, *, require_ack: bool) -> Draft:
    """The task was aborted."""
    return Draft("taskAborted", {"reason": reason, "requireAck": require_ack})


def payload(draft: Draft, *, task_id: str, name: str, at: str) -> dict[str, Any]:
    """Returns what is sent of an event.

    Args:
        draft: What happened.
        task_id: Whose event it is.
        name: The task's name for people.
        at: When it happened, as `time_text` writes it.
    """
    common = {"timestamp": at, "taskId": task_id, "updateId": str(uuid.uuid4()), "name": name}
    return {**common, **draft.fields}


def time_text(time: datetime) -> str:
    """Returns a time in UTC in one fixed width, so that texts sort as times do."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def frame(event: Event) -> Iterator[bytes]:
    """Yields the event as it travels in the stream of its task: a small one whole, a large one in parts."""
    return _frame(event, "", 0)


def frame_among_all(event: Event) -> Iterator[bytes]:
    """Yields the event as it travels in the stream of all tasks, where it also says to which task it belongs.

    `taskId` is in it already; clients look for `task_id` in this stream.
    """
    # Both fields are put into the text: to read a payload, which may be large, and write it again would cost more
    # than all the rest. None is an empty object.
    belongs = compact({"task_id": event.task_id, "rootTaskId": event.root_id})
    return _frame(event, f"{belongs[:-1]},", 1)


def _frame(event: Event, before: str, skipped: int) -> Iterator[bytes]:
    # JSON text as `compact` writes it has no line breaks, and a byte for each character.
    head, text = f"id: {event.position}\nevent: {event.name}\ndata: {before}", event.payload
    if not event.is_large:
        yield f"{head}{text[skipped:]}\n\n".encode()
        return
    # Encoded piece by piece: many may read slowly, and the text is the same for all of them.
    yield head.encode()
    for start in range(skipped, len(text), _PART_CHARACTERS):
        yield text[start : start + _PART_CHARACTERS].encode()
    yield b"\n\n"


def node_id(template: str, name: str) -> str:
    """Returns the id of a node: the same in every task of its template, also after the server started again."""
    return str(uuid.uuid5(_NODE_IDS, f"{template}\0{name}"))
