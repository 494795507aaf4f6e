"""From an event on the wire to the update that it carries. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from requence.task.context import Context, Contexts, after_all
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
)

if TYPE_CHECKING:
    from requence._transport.event_log import LogEvent

__all__ = ["TERMINAL_TYPES", "context_after", "read_update", "read_updates", "task_id_of", "type_of"]

_set = object.__setattr__  # an update is read-only
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
    event = position, name, dict(payload)
    (update,), _ = read_updates([event], before=before, synthetic=synthetic, incomplete=incomplete)
    return update


def read_updates(
    events: Iterable[LogEvent], *, before: Context, synthetic: bool = False, incomplete: bool = False
) -> tuple[list[Update], Context]:
    """Returns the updates that some events carry, and the context after them.

    A `type` inside the payload wins over the event's name. An update that names no task is the task's own; one
    of another task, a sub-task, leaves the context alone.

    Args:
        events: The events; the updates take over their payloads.
        before: The context before them.
        synthetic: Whether the service did not send them.
        incomplete: Whether the beginning of the task was not seen.
    """
    # One loop without calls of our own: this is what a stream of very many updates waits for.
    own, contexts, updates = before["task_id"], Contexts(before), list[Update]()
    for count, (position, name, payload) in enumerate(events, 1):
        kind, task_id = payload.get("type"), payload.get("taskId")
        if kind.__class__ is not str or not kind:
            kind = payload["type"] = name
        if task_id is None or task_id != own:
            task_id = payload["taskId"] = task_id_of(payload) or own
        if "task_id" in payload:
            payload["task_id"] = task_id
        if "context" in payload:
            del payload["context"]  # the context is always our own
        contexts.updates.append((kind if task_id == own else "", payload))
        made = _CLASSES.get(kind, UnknownUpdate)
        update = made.__new__(made)
        _set(update, "_values", payload)
        _set(update, "_moment", (contexts, count, position, synthetic, incomplete))
        updates.append(update)
    return updates, contexts.last()


def context_after(events: Iterable[LogEvent], *, before: Context) -> Context:
    """Returns the context after some events, for those who want no updates of them; see `read_updates`."""
    own = before["task_id"]
    return after_all(
        before,
        [
            (type_of(name, payload), payload)
            for _, name, payload in events
            if payload.get("taskId") == own or (task_id_of(payload) or own) == own
        ],
    )


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
