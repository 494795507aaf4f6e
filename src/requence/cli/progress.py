"""How far a task is, node by node: the fold of its updates. Pure.

All times are those of the updates, by the clock of the service.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum

from requence._json import as_object
from requence.cli.printable import brief
from requence.task.persistent import PersistentMap
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
    Update,
)

__all__ = ["NodeProgress", "Progress", "State", "after", "node_label", "seconds_between", "time_of"]

_ROOM = 200  # characters that are kept of what a node says


class State(Enum):
    """What a node or a task is doing."""

    RUNNING = "running"
    DEFERRED = "deferred"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"  # the task was over before it


_ENDED = (State.DONE, State.FAILED, State.STOPPED)


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """One node of a task.

    Attributes:
        task_id: Whose node it is: the task itself, or one of its sub-tasks.
        label: Its alias, or what else there is to call it.
        state: What it is doing.
        attempts: How often it was begun.
        outputs: How many outputs it has delivered.
        says: The last thing it has told: an output, an error, why it waits. None if it has told nothing.
        started: When it was first begun.
        ended: When it has ended.
    """

    task_id: str
    label: str
    state: State = State.RUNNING
    attempts: int = 0
    outputs: int = 0
    says: str | None = None
    started: datetime | None = None
    ended: datetime | None = None


def _no_nodes() -> PersistentMap[NodeProgress]:
    return PersistentMap()


@dataclass(frozen=True, slots=True)
class Progress:
    """A task at one moment.

    Attributes:
        task_id: The task's id.
        state: What it is doing.
        nodes: Its nodes and those of its sub-tasks, in the order in which they were first heard of.
        says: Why it failed or was aborted, None if nothing says so.
        started: When it has begun.
        latest: The time of the last update.
    """

    task_id: str
    state: State = State.RUNNING
    nodes: PersistentMap[NodeProgress] = field(default_factory=_no_nodes)
    says: str | None = None
    started: datetime | None = None
    latest: datetime | None = None


def after(progress: Progress, update: Update) -> Progress:
    """Returns the progress after an update."""
    at = time_of(update.timestamp)
    if at is not None:
        progress = replace(progress, latest=at, started=progress.started or at)
    match update:
        case NodeStart() | NodeUpdate() | NodeError() | NodeDefer() | NodeEnd():
            return _after_node(progress, update, at)
        case TaskStart() if update.task_id == progress.task_id:
            return replace(progress, started=at)
        case TaskEnd():
            return _after_end(progress, update.task_id, State.DONE, None, at)
        case TaskError(reason=reason):
            return _after_end(progress, update.task_id, State.FAILED, reason, at)
        case TaskAborted(reason=reason):
            return _after_end(progress, update.task_id, State.STOPPED, reason, at)
        case _:
            return progress


def seconds_between(begin: datetime | None, end: datetime | None) -> float | None:
    """Returns how long something took, None if that is not known. Never below 0, whatever clocks say."""
    return None if begin is None or end is None else max((end - begin).total_seconds(), 0.0)


def time_of(timestamp: object) -> datetime | None:
    """Returns the time that an update tells, None if that is no time."""
    if not isinstance(timestamp, str):
        return None
    try:
        time = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def node_label(node: object) -> str | None:
    """Returns how to call a node; None if it says nothing of itself."""
    fields = as_object(node) or {}
    named = (fields.get(name) for name in ("alias", "id"))
    label = next((value for value in named if isinstance(value, str) and value), None)
    kind = fields.get("type")
    if label is None or fields.get("alias") == label or not isinstance(kind, str):
        return label
    return f"{kind} {label[:8]}"  # ids are long, and the type says more


def _after_node(
    progress: Progress, update: NodeStart | NodeUpdate | NodeError | NodeDefer | NodeEnd, at: datetime | None
) -> Progress:
    label = node_label(update.node)
    if label is None:
        return progress
    fields = as_object(update.node) or {}
    key = f"{update.task_id}/{fields.get('id') or label}"
    before = progress.nodes.get(key) or NodeProgress(update.task_id, label, started=at)
    return replace(progress, nodes=progress.nodes.with_item(key, _with(before, update, at)))


def _with(
    node: NodeProgress,
    update: NodeStart | NodeUpdate | NodeError | NodeDefer | NodeEnd,
    at: datetime | None,
) -> NodeProgress:
    match update:
        case NodeStart():  # what an earlier attempt has delivered does not count any more
            attempts = node.attempts + 1
            return replace(node, state=State.RUNNING, attempts=attempts, outputs=0, says=None, ended=None)
        case NodeUpdate(data=data):
            return replace(node, outputs=node.outputs + 1, says=brief(data, _ROOM))
        case NodeError(error=error):
            return replace(node, state=State.FAILED, says=_text(error), ended=at)
        case NodeDefer(reason=reason):
            return replace(node, state=State.DEFERRED, says=_text(reason))
        case NodeEnd():
            says = None if node.state is State.DEFERRED else node.says
            return replace(node, state=State.DONE, says=says, ended=at)


def _after_end(
    progress: Progress, task_id: str, state: State, reason: object, at: datetime | None
) -> Progress:
    nodes = progress.nodes
    for key, node in list(nodes.items()):
        if node.task_id == task_id and node.state not in _ENDED:
            nodes = nodes.with_item(key, replace(node, state=State.STOPPED, ended=at))
    progress = replace(progress, nodes=nodes)
    if task_id != progress.task_id:
        return progress
    return replace(progress, state=state, says=_text(reason))


def _text(value: object) -> str | None:
    """Returns a reason as text, whatever the service has sent as one."""
    return None if value is None else str(value)[:_ROOM]
