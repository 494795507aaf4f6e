"""One task on its way through its graph."""

from __future__ import annotations

import asyncio
import json
import logging
import threading

from requence.local import events
from requence.local.context import DebugLog, NodeContext, NodeData
from requence.local.graph import Graph, NodePlan, Outcome, received
from requence.local.handlers import Handlers
from requence.local.journal import Journal
from requence.local.json_values import compact
from requence.local.state import TaskState

__all__ = ["Run"]

_CLEANUP_SECONDS = 1.0


class Run:
    """Runs the nodes of one task until none is left, and writes down what happens.

    Args:
        state: The task as the log tells it. Nodes that are done there are not run again; nodes that were
            interrupted start anew.
        graph: The plan of its template.
        journal: Where events go.
        handlers: Who calls handlers.
    """

    def __init__(self, state: TaskState, graph: Graph, journal: Journal, handlers: Handlers) -> None:
        if state.record.request is None:
            raise ValueError("only a finalized task can run")
        self._task = state.record
        self._request = state.record.request
        self._input = compact(self._request.input)
        self._started = state.started
        self._outcomes = dict(state.outcomes)
        self._graph = graph
        self._journal = journal
        self._handlers = handlers
        self._debug = DebugLog(logging.getLogger(f"requence.local.{graph.name}"))
        self._terminated = threading.Event()

    def terminate(self) -> None:
        """Tells handlers that nobody waits for them, and keeps this run from writing anything more."""
        self._terminated.set()

    async def execute(self) -> None:
        """Runs the task to its end. Cancel it, after `terminate`, to stop it earlier."""
        begun: dict[asyncio.Task[Outcome], NodePlan] = {}
        try:
            if not self._started:
                self._write(events.task_start(self._request.input))
            while True:
                running = {node.alias for node in begun.values()}
                for node in self._graph.ready(self._outcomes, running):
                    begun[asyncio.create_task(self._run_node(node))] = node
                if not begun:
                    self._end()
                    return
                done, _ = await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
                for finished in done:
                    if not self._settle(begun.pop(finished), finished.result()):
                        return
        finally:
            self.terminate()
            for unfinished in begun:
                unfinished.cancel()
            if begun:
                # A coroutine handler may take a moment to clean up, but not keep the slot for ever.
                await asyncio.wait(begun, timeout=_CLEANUP_SECONDS)

    async def _run_node(self, node: NodePlan) -> Outcome:
        async with self._handlers.place(node.handler):
            self._write(events.node_start(self._graph.name, node.alias))
            return await self._handlers.call(node.alias, node.handler, self._context(node))

    def _context(self, node: NodePlan) -> NodeContext:
        succeeded = {alias: o.content for alias, o in self._outcomes.items() if o.way == "success"}
        return NodeContext(
            input=json.loads(self._input) if node.inlet is None else received(node.inlet, self._outcomes),
            task_input=json.loads(self._input),
            task_id=self._task.id,
            node_data=NodeData(succeeded),
            debug=self._debug,
            terminated=self._terminated,
            open_file=self._handlers.open_file,
        )

    def _settle(self, node: NodePlan, outcome: Outcome) -> bool:
        """Writes down how a node ended. Returns whether the task goes on."""
        self._outcomes[node.alias] = outcome
        template, alias = self._graph.name, node.alias
        if outcome.way == "success":
            update = events.node_update(template, alias, outcome.value)
            self._write(update, events.node_end(template, alias))
            return True
        error = events.node_error(template, alias, outcome.content)
        if self._graph.goes_on_after_failure(alias):
            self._write(error)
            return True
        self._write(error, events.task_error(outcome.content, require_ack=self._request.require_ack))
        return False

    def _end(self) -> None:
        ending = self._graph.ending(self._outcomes)
        require_ack = self._request.require_ack
        if ending.failure is None:
            self._write(events.task_end(ending.result, require_ack=require_ack))
        else:
            self._write(events.task_error(ending.failure, require_ack=require_ack))

    def _write(self, *drafts: events.Draft) -> None:
        if not self._terminated.is_set():
            self._journal.append(self._task, *drafts)
