"""A node with a handler, in one task: it waits for its turn, is called, and may have to wait again."""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from requence.local import events
from requence.local.clock import Timer
from requence.local.context import NodeContext
from requence.local.desk import LoopDesk
from requence.local.graph import NodePlan, Outcome
from requence.local.handlers import Delivered, Failed, Returned, Skipped, TryAgain
from requence.local.shared import Shared
from requence.local.slots import Place
from requence.local.waits import Wait

if TYPE_CHECKING:
    from requence.local.run import Run

__all__ = ["NodeRun"]


@dataclass(slots=True)
class _Call:
    """One call of the handler."""

    desk: LoopDesk
    terminated: threading.Event = field(default_factory=threading.Event)
    work: asyncio.Task[None] | None = None


class NodeRun:
    """Runs one node of one task. Does nothing until `queue` or `resume`.

    Args:
        run: The task.
        node: The node.
        shared: What all tasks have in common.
        delivered: What it had delivered when an earlier server left it waiting.
    """

    def __init__(
        self, run: Run, node: NodePlan, shared: Shared, delivered: Mapping[str | None, str] | None = None
    ) -> None:
        self._run = run
        self._node = node
        self._shared = shared
        self._outputs: dict[str | None, str] = dict(delivered or {})
        self._place: Place | None = None
        self._call: _Call | None = None
        self._terminated: threading.Event | None = None
        self._timer: Timer | None = None
        self._deferral: Wait | None = None
        self._reason: str | None = None

    def queue(self) -> None:
        """Waits for a place, and calls the handler."""
        self._timer = None
        self._place = self._shared.slots.ask(self._run.urgency, self._begin)

    def resume(self) -> None:
        """Goes on waiting for what the node waited for when an earlier server was stopped."""
        wait = self._shared.store.waits.of_node(self._run.record.id, self._node.key)
        if wait is None:
            self.queue()
        else:
            self._wait(wait)

    def act(self, outcome: Outcome) -> None:
        """Ends the node from outside.

        Args:
            outcome: A failure, or the data of the output that takes what a handler returns.
        """
        if self._place is not None and not self._place.taken:
            # It was interrupted and has not begun again: what it had delivered until then does not count any more.
            self._run.write_start(self._node)
        self.close()
        if outcome.error is not None:
            self._run.settle(self._node, outcome)
        else:
            self._deliver(None, outcome.outputs[None])
            self._run.settle(self._node, Outcome(self._outputs))

    def close(self) -> None:
        """Stops whatever the node does or waits for. Nothing more is written."""
        call, self._call = self._call, None
        if self._terminated is not None:  # what a handler that has deferred has left running looks at it, too
            self._terminated.set()
        if call is not None:
            call.desk.close()
            if call.work is not None:
                call.work.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._leave()

    def _leave(self) -> None:
        if self._place is not None:
            self._shared.slots.leave(self._place)
            self._place = None

    def _begin(self) -> None:
        with suppress(sqlite3.Error), self._run.guard():
            self._outputs, self._deferral, self._reason = {}, None, None
            self._run.write_start(self._node)
            call = self._call = _Call(LoopDesk(self._deliver, self._defer))
            self._terminated = call.terminated
            ctx = self._run.context(self._node, call.terminated, call.desk)
            call.work = asyncio.create_task(
                self._work(call, ctx), name=f"requence-local-node-{self._node.key}-{self._run.record.id}"
            )
            self._shared.works.add(call.work)
            call.work.add_done_callback(self._shared.works.discard)

    async def _work(self, call: _Call, ctx: NodeContext) -> None:
        handler = self._node.handler
        if handler is None:
            raise TypeError("only a node with a handler can be run")
        if self._node.delay:
            await self._shared.clock.sleep(self._node.delay)
        returned = await self._shared.handlers.call(self._node.key, handler, ctx, call.desk)
        if self._call is call:  # else somebody has ended the node meanwhile
            self._call = None
            call.desk.close()
            self._leave()
            with suppress(sqlite3.Error), self._run.guard():
                self._returned(returned)

    def _returned(self, returned: Returned) -> None:
        match returned:
            case Failed(error):
                self._settle(Outcome.failed(error))
            case TryAgain(seconds):
                self._stop_timer()
                due = events.time_text(self._shared.clock.now() + timedelta(seconds=seconds))
                self._run.write(events.node_defer(self._node, f"Runs again in {seconds * 1000:g} ms"))
                self._keep(Wait(self._run.record.id, self._node.key, None, due))
            case Delivered() if self._deferral is not None:
                self._run.write(events.node_defer(self._node, self._reason))
            case Delivered(text):
                # A handler that has used outputs with names need not return anything.
                if text is not None and (text != "null" or not self._outputs):
                    self._deliver(None, text)
                self._settle(Outcome(self._outputs))
            case Skipped():
                self._settle(Outcome(self._outputs))

    def _settle(self, outcome: Outcome) -> None:
        self._stop_timer()
        self._run.settle(self._node, outcome)

    def _deliver(self, output: str | None, text: str) -> None:
        self._run.write(events.node_update(self._node, json.loads(text), output))
        self._outputs[output] = text

    def _defer(self, reason: str | None, timeout: float | None) -> str:
        task_id, node = self._run.record.id, self._node.key
        known = self._deferral or self._shared.store.waits.of_node(task_id, node)
        key = (known.key if known else None) or secrets.token_urlsafe(32)
        due = timeout if timeout is None else self._shared.clock.now() + timedelta(seconds=timeout)
        self._reason = reason
        self._deferral = Wait(task_id, node, key, None if due is None else events.time_text(due))
        self._stop_timer()
        self._keep(self._deferral)
        self._shared.journal.commit()  # before anybody has the key
        return key

    def _keep(self, wait: Wait) -> None:
        self._shared.store.waits.keep(wait)
        self._wait(wait)

    def _wait(self, wait: Wait) -> None:
        if wait.due is None:
            return
        then = (
            self.queue if wait.key is None else partial(self.act, Outcome.failed("Nobody has acted in time"))
        )

        def guarded() -> None:
            with suppress(sqlite3.Error), self._run.guard():
                then()

        self._timer = self._shared.clock.at(datetime.fromisoformat(wait.due), guarded)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
