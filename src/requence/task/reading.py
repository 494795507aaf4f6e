"""From an event on the wire to the update that it carries. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from requence.task.context import Context, Contexts
from requence.task.updates import (
    Moment,
    NodeDefer,
    NodeEnd,
    NodeError,
    NodeStart,
    NodeUpdate,
    TaskAborted,
    TaskEnd,
    TaskError,
    TaskStart,
    UnknownUpdate,
    Update,
    fill,
)

__all__ = ["TERMINAL_TYPES", "context_after", "read_update", "read_updates", "task_id_of", "type_of"]

_CLASSES: dict[str, type[Update]] = {
    "taskStart": TaskStart,
    "nodeStart": NodeStart,
    "nodeUpdate": NodeUpdate,
    "nodeError": NodeError,
    "nodeDefer": NodeDefer,
    "nodeEnd": NodeEnd,
    "taskEnd": TaskEnd,
    "taskError": TaskError,
    "taskAborted": TaskAborted,
}

TERMINAL_TYPES = frozenset({"taskEnd", "taskError", "taskAborted"})


def read_update(
    name: str,
    payload: Mapping[str, Any],
    *,
    before: Context,
    position: int | None = None,
    synthetic: bool = False,
    incomplete: bool = False,
) -> Update:
    """Returns the update that an event carries, with the context as it is after it; see `read_updates`.

    Args:
        name: The event's name.
        payload: The JSON object of the event.
        before: The context before the event.
        position: The event's position.
        synthetic: Whether the service did not send it.
        incomplete: Whether the beginning of the task was not seen.
    """
    own = before["task_id"]
    values = _values(name, payload, own)
    contexts = Contexts(before, [_step(values, own)])
    return _update(values, (contexts, 1, position, synthetic, incomplete))


def read_updates(
    events: Sequence[tuple[int | None, str, dict[str, Any]]], *, before: Context
) -> tuple[list[Update], Context]:
    """Returns the updates that some events carry, and the context after them.

    A `type` inside the payload wins over the event's name. An update that names no task is the task's own; one
    of another task, a sub-task, leaves the context alone.

    Args:
        events: The position, the name and the payload of each.
        before: The context before them.
    """
    own = before["task_id"]
    read = [_values(name, payload, own) for _, name, payload in events]
    contexts = Contexts(before, [_step(values, own) for values in read])
    updates = [
        _update(values, (contexts, count, event[0], False, False))
        for count, (event, values) in enumerate(zip(events, read, strict=True), 1)
    ]
    return updates, contexts.last


def context_after(
    events: Iterable[tuple[int | None, str, dict[str, Any]]], *, before: Context
) -> Context:
    """Returns the context after some events, for those who want no updates of them; see `read_updates`."""
    own = before["task_id"]
    return Contexts(
        before,
        [
            (type_of(name, payload), payload)
            for _, name, payload in events
            if (task_id_of(payload) or own) == own
        ],
    ).last


def _values(name: str, payload: Mapping[str, Any], own: str) -> dict[str, Any]:
    """Returns the fields of an update."""
    kind, task_id = type_of(name, payload), task_id_of(payload) or own
    values = {"type": kind, **payload, "taskId": task_id}
    values["type"] = kind
    if "task_id" in values:
        values["task_id"] = task_id
    if "context" in values:
        del values["context"]  # the context is always our own
    return values


def _step(values: dict[str, Any], own: str) -> tuple[str, dict[str, Any]]:
    """Returns what `Contexts` takes: a type only for an update of our own task."""
    return values["type"] if values["taskId"] == own else "", values


def _update(values: dict[str, Any], moment: Moment) -> Update:
    made = _CLASSES.get(values["type"], UnknownUpdate)
    update = made.__new__(made)
    fill(update, values, moment)
    return update


def type_of(name: str, payload: Mapping[str, Any]) -> str:
    """Returns the type of the update that an event carries; one inside the payload wins over the event's name."""
    kind = payload.get("type")
    return kind if kind and isinstance(kind, str) else name


def task_id_of(payload: Mapping[str, Any]) -> str | None:
    """Returns the task that an event names, in either spelling, or None."""
    for spelling in ("taskId", "task_id"):
        task_id = payload.get(spelling)
        if task_id and isinstance(task_id, str):
            return task_id
    return None
