"""One task on its way through its graph."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from requence.local import events
from requence.local.context import DataByAlias, DebugLog, Desk, NodeContext
from requence.local.events import Draft
from requence.local.graph import Ending, Graph, NodeKind, NodePlan, Outcome, received
from requence.local.json_values import compact
from requence.local.node_run import NodeRun
from requence.local.refusals import InvalidRequestError
from requence.local.schemas import result_misfit
from requence.local.shared import Owner, Shared
from requence.local.slots import Urgency
from requence.local.state import LoggedTask

__all__ = ["Run", "subtask_outcome"]


class Run:
    """Runs the nodes of one task until it ends, and writes down what happens. Does nothing until `resume` or `go`.

    Args:
        state: The task as the log tells it. Nodes that are done there are not run again; nodes that were
            interrupted start anew; nodes that waited go on waiting.
        graph: The plan of its template.
        age: Its place in the order in which tasks came.
        shared: What all tasks have in common.
        owner: Whoever runs it.

    Attributes:
        record: What is known of the task beside its events.
        urgency: What decides when its nodes get a place.
        graph: The plan that it runs by.
    """

    def __init__(self, state: LoggedTask, graph: Graph, age: int, shared: Shared, owner: Owner) -> None:
        if state.record.request is None:
            raise ValueError("only a finalized task can run")
        self.record = state.record
        self._request = state.record.request
        self.urgency = Urgency(self._request.priority, age)
        self._state = state
        self._input = self._request.input_text
        self._started = state.started
        self._outcomes = dict(state.outcomes)
        self.graph = graph
        self._shared = shared
        self._owner = owner
        self._debug = DebugLog(logging.getLogger(f"requence.local.{graph.name}"))
        self._nodes: dict[str, NodeRun] = {}
        self._subtasks: set[str] = set()
        self._over = False
        self._going = False

    def resume(self, subtasks: Mapping[str, Outcome | None]) -> None:
        """Takes up what an earlier server left.

        Args:
            subtasks: Of each node whose sub task was started: how that has ended, None if it has not.
        """
        if self._over:  # it was ended while others were taken up
            return
        with self.guard():
            # The template may have changed meanwhile: what is of another kind now begins anew.
            for key, delivered in self._state.deferred.items():
                if self._is(key, "service"):
                    self._nodes[key] = NodeRun(self, self.graph.nodes[key], self._shared, delivered)
                    self._nodes[key].resume()
            open_keys = subtasks.keys() - self._outcomes.keys()
            missing = {key: subtasks[key] for key in open_keys if self._is(key, "reference")}
            self._subtasks.update(missing)
            for key, outcome in missing.items():
                if outcome is not None:
                    self.subtask_ended(key, outcome)
            self.go()

    def go(self) -> None:
        """Begins what can begin now, and ends the task if it is at its end."""
        if self._going:  # whoever is at it sees to it
            return
        self._going = True
        try:
            while not self._over:
                if ending := self.graph.reached(self._outcomes):
                    self._end(ending)
                elif ready := self.graph.ready(self._outcomes, self._nodes.keys() | self._subtasks):
                    for node in ready:
                        if not self._over:
                            self._begin(node)
                elif self._nodes or self._subtasks:
                    return
                else:
                    self._end(self.graph.ending(self._outcomes))
        finally:
            self._going = False

    def act(self, key: str, outcome: Outcome) -> bool:
        """Ends a node from outside. Returns whether there was something to end."""
        node = self._nodes.get(key)
        if node is None:
            return False
        node.act(outcome)
        return True

    def subtask_ended(self, key: str, outcome: Outcome) -> None:
        """The sub task of a node has ended; that is how the node ends."""
        if key in self._subtasks and not self._over:
            node = self.graph.nodes[key]
            for output, text in outcome.outputs.items():
                self.write(events.node_update(node, json.loads(text), output))
            self.settle(node, outcome)

    def finish(self, by: Draft) -> None:
        """Ends the task with its last event."""
        if not self._over:
            self.write(by)
            self.terminate()
            self._owner.ended(self, by)

    def terminate(self) -> None:
        """Tells handlers that nobody waits for them, and keeps this run from writing anything more."""
        self._over = True
        for node in self._nodes.values():
            node.close()
        self._nodes.clear()

    def settle(self, node: NodePlan, outcome: Outcome) -> None:
        """Writes down how a node has ended, and goes on."""
        if self._over:
            return
        if self._nodes.pop(node.key, None) is not None:
            self._shared.store.waits.forget(self.record.id, node.key)
        self._subtasks.discard(node.key)
        self._outcomes[node.key] = outcome
        if outcome.error is None:
            self.write(events.node_end(node))
        else:
            self.write(events.node_error(node, outcome.error))
            if not self.graph.goes_on_after_failure(node.key):
                self.finish(events.task_error(outcome.error, require_ack=self._request.require_ack))
        self.go()

    def write_start(self, node: NodePlan) -> None:
        """Writes down that a node begins, and with the first one the task."""
        if not self._started:
            self._started = True
            self.write(events.task_start(self._request.input))
        self.write(events.node_start(node))

    def write(self, draft: Draft) -> None:
        """Writes down what has happened, as long as the task has not ended."""
        if not self._over:
            self._shared.journal.append(self.record, draft)

    def context(self, node: NodePlan, terminated: threading.Event, desk: Desk) -> NodeContext:
        """Returns what the handler of a node is given."""
        data = {key: self.graph.data_of(key, outcome) for key, outcome in self._outcomes.items()}
        shown = {key: text for key, text in data.items() if text is not None and self._shown(key)}
        return NodeContext(
            input=self._received(node),
            task_input=json.loads(self._input),
            task_id=self.record.id,
            node_data=DataByAlias(shown),
            debug=self._debug,
            terminated=terminated,
            configuration=json.loads(node.configuration),
            open_file=self._shared.files.opened,
            _desk=desk,
        )

    @contextmanager
    def guard(self) -> Generator[None]:
        """Whatever goes wrong inside ends this task, and nothing else.

        Raises:
            sqlite3.Error: The log could not be written, so what was asked has not happened.
        """
        try:
            yield
        except Exception as error:
            self._owner.failed(self, error)

    def _begin(self, node: NodePlan) -> None:
        match node.kind:
            case "service":
                self._nodes[node.key] = NodeRun(self, node, self._shared)
                self._nodes[node.key].queue()
            case "or":
                value = self._received(node)
                self.write_start(node)
                self.write(events.node_update(node, value))
                self.settle(node, Outcome.succeeded(compact(value)))
            case "reference":
                self._subtasks.add(node.key)
                self.write_start(node)
                try:
                    self._owner.start_subtask(self, node, self._received(node))
                except (InvalidRequestError, LookupError) as error:
                    self.settle(node, Outcome.failed(str(error)))

    def _received(self, node: NodePlan) -> Any:
        return json.loads(self._input) if node.inlet is None else received(node.inlet, self._outcomes)

    def _is(self, key: str, kind: NodeKind) -> bool:
        return key in self.graph.nodes and self.graph.nodes[key].kind == kind

    def _shown(self, key: str) -> bool:
        return key in self.graph.nodes and self.graph.nodes[key].alias is not None

    def _end(self, ending: Ending) -> None:
        failure, way_out = ending.failure, ending.exit
        if way_out is not None and way_out.output_schema is not None:
            failure = result_misfit(way_out.name, way_out.output_schema, ending.result)
        require_ack = self._request.require_ack
        if failure is None:
            name = None if way_out is None else way_out.name
            self.finish(events.task_end(ending.result, name, require_ack=require_ack))
        else:
            self.finish(events.task_error(failure, require_ack=require_ack))


def subtask_outcome(name: str, fields: Mapping[str, Any]) -> Outcome:
    """Returns how a node ends whose sub task has ended with this event."""
    if name == "taskEnd":
        return Outcome({fields["exit"]: compact(fields["result"])})
    reason = fields["reason"]
    if name == "taskError":
        return Outcome.failed(reason or "The sub task has failed")
    return Outcome.failed(
        "The sub task was aborted" if reason is None else f"The sub task was aborted: {reason}"
    )
