"""A task as it is, folded from its log. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from requence.local.events import Event
from requence.local.graph import Outcome
from requence.local.json_values import compact
from requence.local.store import TaskRecord

__all__ = ["LoggedTask", "fold"]

_FINAL = {"taskEnd": "successful", "taskError": "failed", "taskAborted": "stopped"}
_TEXTS = {
    "idle": "Prepared; waiting for its input",
    "pending": "Waiting for its turn",
    "running": "Running",
    "awaiting_delivery": "Ended; waiting for the confirmation that its outcome has arrived",
    "successful": "Ended successfully",
}


@dataclass(slots=True)
class LoggedTask:
    """What the log says about a task.

    Attributes:
        record: What is known beside the events.
        started: Whether it has begun to run.
        ended_by: The name of the event that ended it, or None.
        result: Its result; None before it ended well.
        reason: Why it failed or was aborted, if that is known.
        node_data: The last data of each node, by alias.
        node_error: The last error of each node, by alias.
        outcomes: How each node that is done has ended, by key.
        deferred: The keys of the nodes that go on later, with what they have delivered so far.
        exit: The name of the exit that it ended at, if that has one.
    """

    record: TaskRecord
    started: bool = False
    ended_by: str | None = None
    result: Any = None
    reason: str | None = None
    node_data: dict[str, Any] = field(default_factory=dict[str, Any])
    node_error: dict[str, str] = field(default_factory=dict[str, str])
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    deferred: dict[str, dict[str | None, str]] = field(default_factory=dict[str, dict[str | None, str]])
    exit: str | None = None

    @property
    def status(self) -> str:
        """One of idle, pending, running, awaiting_delivery, successful, failed, stopped."""
        request = self.record.request
        if self.ended_by is not None:
            waits = request is not None and request.require_ack and not self.record.acked
            return "awaiting_delivery" if waits else _FINAL[self.ended_by]
        if self.started:
            return "running"
        return "idle" if request is None else "pending"

    @property
    def status_text(self) -> str:
        """The status in a sentence for people; for a failed or aborted task the reason."""
        status = self.status
        if status in _TEXTS:
            return _TEXTS[status]
        return self.reason or ("Failed" if status == "failed" else "Aborted")

    @property
    def input(self) -> Any:
        """The input that was accepted; None for a task that is only prepared."""
        return None if self.record.request is None else self.record.request.input

    def to_json(self) -> str:
        """Returns the state as the API tells it."""
        return compact(
            {
                "status": self.status,
                "input": self.input,
                "result": self.result,
                "nodesData": [{"alias": alias, "data": data} for alias, data in self.node_data.items()],
                "nodesError": [{"alias": alias, "error": error} for alias, error in self.node_error.items()],
                "taskTemplate": self.record.template,
                "name": self.record.request.name if self.record.request else None,
                "branch": "live",
                "statusText": self.status_text,
            }
        )


def fold(record: TaskRecord, events: Iterable[Event]) -> LoggedTask:
    """Returns the state of a task after these events, which are all events of its log."""
    state = LoggedTask(record)
    delivered: dict[str, dict[str | None, str]] = {}
    for event in events:
        payload: dict[str, Any] = json.loads(event.payload)
        if "node" in payload:
            _fold_node(state, delivered, event.name, payload)
            continue
        match event.name:
            case "taskStart":
                state.started = True
            case "taskEnd":
                state.ended_by, state.result = event.name, payload["result"]
                state.exit = payload.get("exit")
            case "taskError" | "taskAborted":
                state.ended_by, state.reason = event.name, payload["reason"]
            case _:
                pass
    return state


def _fold_node(
    state: LoggedTask, delivered: dict[str, dict[str | None, str]], name: str, payload: dict[str, Any]
) -> None:
    alias: str | None = payload["node"].get("alias")
    key: str = payload["node"]["id"] if alias is None else alias
    state.deferred.pop(key, None)
    match name:
        case "nodeStart":  # what an earlier run of the node has delivered does not count any more
            delivered[key] = {}
        case "nodeUpdate":
            delivered.setdefault(key, {})[payload.get("output")] = compact(payload["data"])
            if alias is not None:
                state.node_data[alias] = payload["data"]
        case "nodeDefer":
            state.deferred[key] = delivered.get(key, {})
        case "nodeEnd":
            state.outcomes[key] = Outcome(delivered.get(key, {}))
        case "nodeError":
            state.outcomes[key] = Outcome.failed(payload["error"])
            if alias is not None:
                state.node_error[alias] = payload["error"]
        case _:
            pass
