"""From an event on the wire to the update that it carries. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from requence.task.context import Context, fold
from requence.task.updates import (
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

__all__ = ["TERMINAL_TYPES", "context_after", "read_update", "task_id_of", "type_of"]

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
    """Returns the update that an event carries, with the context as it is after it.

    A `type` inside the payload wins over the event's name. An update that names no task is the task's own; one
    of another task, a sub-task, leaves the context alone.

    Args:
        name: The event's name.
        payload: The JSON object of the event.
        before: The context before the event.
        position: The event's position.
        synthetic: Whether the service did not send it.
        incomplete: Whether the beginning of the task was not seen.
    """
    kind = type_of(name, payload)
    own = before["task_id"]
    task_id = task_id_of(payload) or own
    values = {"type": kind, **payload, "taskId": task_id}
    values["type"] = kind
    if "task_id" in values:
        values["task_id"] = task_id
    values.pop("context", None)  # the context is always our own
    context = fold(before, kind, values) if task_id == own else before
    made = _CLASSES.get(kind, UnknownUpdate)
    update = made.__new__(made)
    fill(update, values, context, position, synthetic, incomplete)
    return update


def context_after(name: str, payload: Mapping[str, Any], *, before: Context) -> Context:
    """Returns the context after an event, for those who want no update; see `read_update`."""
    own = before["task_id"]
    return fold(before, type_of(name, payload), payload) if (task_id_of(payload) or own) == own else before


def type_of(name: str, payload: Mapping[str, Any]) -> str:
    """Returns the type of the update that an event carries; one inside the payload wins over the event's name."""
    return _text(payload, "type") or name


def task_id_of(payload: Mapping[str, Any]) -> str | None:
    """Returns the task that an event names, in either spelling, or None."""
    return _text(payload, "taskId") or _text(payload, "task_id")


def _text(payload: Mapping[str, Any], field: str) -> str | None:
    value = payload.get(field)
    return value if isinstance(value, str) and value else None
