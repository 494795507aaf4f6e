"""The operations on tasks, and who runs when. Everything here runs on the server's event loop."""

from __future__ import annotations

import asyncio
import heapq
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO

from requence.local import events
from requence.local.contract import FinalizeRequest, check_input
from requence.local.events import TERMINAL, Event
from requence.local.graph import Graph
from requence.local.handlers import Handlers
from requence.local.journal import Journal
from requence.local.python_types import Signature
from requence.local.run import Run
from requence.local.state import TaskState, fold
from requence.local.store import Store, TaskRecord

__all__ = ["Engine", "NotStartableError", "UnknownTaskError", "UnknownTemplateError"]

_log = logging.getLogger("requence.local")


class UnknownTemplateError(LookupError):
    """There is no template of this name; the message lists those that there are."""


class UnknownTaskError(LookupError):
    """There is no task of this id."""


class NotStartableError(Exception):
    """The task was started or aborted before."""


@dataclass(frozen=True, slots=True)
class _Active:
    run: Run
    work: asyncio.Task[None]


class Engine:
    """Accepts tasks and runs them, at most `slots` at once, the most urgent first.

    Args:
        graphs: The templates' plans by name.
        store: The log.
        slots: How many tasks run at once, and how many handlers run in threads at once.
        open_file: Opens for handlers what a reference to a file stands for.
    """

    def __init__(
        self,
        graphs: Mapping[str, Graph],
        store: Store,
        slots: int,
        open_file: Callable[[object], BinaryIO],
    ) -> None:
        self.journal = Journal(store)
        self.handlers = Handlers(slots, open_file)
        self._graphs = graphs
        self._store = store
        self._slots = slots
        self._active: dict[str, _Active] = {}
        # (not begun yet, wire priority, age, id): what was interrupted goes on first, then by urgency and age.
        self._waiting: list[tuple[bool, int, int, str]] = []
        self._accepted = 0

    def recover(self) -> None:
        """Takes up what an earlier server on the same file left unfinished."""
        for record in self._store.unfinished():
            if record.template in self._graphs:
                self._enqueue(record, begun=bool(self._store.events(record.id)))
            else:
                _log.warning(
                    'Task %s waits for the template "%s", which this server does not have',
                    record.id,
                    record.template,
                )
        self._fill_slots()

    def prepare(self, template: str) -> str:
        """Reserves a task and returns its id.

        Raises:
            UnknownTemplateError: There is no such template.
        """
        self._graph(template)
        task_id = str(uuid.uuid4())
        self._store.add_task(task_id, template, _now())
        return task_id

    def finalize(self, task_id: str, request: FinalizeRequest) -> None:
        """Accepts the input of a reserved task, which then runs as soon as there is a slot.

        Raises:
            UnknownTaskError: There is no such task.
            NotStartableError: It was started or aborted before.
            UnknownTemplateError: Its template is not served any more.
            InvalidRequestError: The input does not fit the template.
        """
        record = self.record(task_id)
        if record.request is not None:
            raise NotStartableError("The task has been started already")
        if self._store.terminal_event(task_id) is not None:
            raise NotStartableError("The task was aborted before it started")
        graph = self._graph(record.template)
        if graph.input_schema is not None:
            check_input(graph.name, graph.input_schema, request.input)
        self._store.accept(task_id, request, _now())
        self._enqueue(self.record(task_id), begun=False)
        self._fill_slots()

    def abort(self, task_id: str, reason: str | None) -> None:
        """Ends a task now, whatever it is doing. A task that has ended stays as it is.

        Raises:
            UnknownTaskError: There is no such task.
        """
        record = self.record(task_id)
        if self._store.terminal_event(task_id) is not None:
            return
        require_ack = record.request is not None and record.request.require_ack
        self.journal.append(record, events.task_aborted(reason, require_ack=require_ack))
        if active := self._active.get(task_id):
            active.run.terminate()
            active.work.cancel()
        self._waiting = [entry for entry in self._waiting if entry[-1] != task_id]
        heapq.heapify(self._waiting)

    def acknowledge(self, task_id: str) -> None:
        """Confirms that the outcome of a task has arrived. Without effect if nothing waits for that.

        Raises:
            UnknownTaskError: There is no such task.
        """
        if self.state(task_id).status == "awaiting_delivery":
            self._store.acknowledge(task_id, _now())

    def protect(self, task_id: str) -> None:
        """Marks a task as to be kept.

        Raises:
            UnknownTaskError: There is no such task.
        """
        self._store.protect(self.record(task_id).id)

    def signatures(self) -> list[Signature]:
        """Returns what each template takes and gives."""
        return [Signature(graph.name, graph.input_schema, ()) for graph in self._graphs.values()]

    def record(self, task_id: str) -> TaskRecord:
        """Returns what is known of a task beside its events.

        Raises:
            UnknownTaskError: There is no such task.
        """
        record = self._store.task(task_id)
        if record is None:
            raise UnknownTaskError("There is no task with this id")
        return record

    def state(self, task_id: str) -> TaskState:
        """Returns a task as it is now.

        Raises:
            UnknownTaskError: There is no such task.
        """
        return fold(self.record(task_id), self._store.all_events(task_id))

    def newest(self, limit: int) -> list[tuple[TaskState, str]]:
        """Returns the tasks that were prepared last, newest first, with when; without what is in their events."""
        return [
            (TaskState(record, started=last is not None, ended_by=last if last in TERMINAL else None), at)
            for record, at, last in self._store.newest(limit)
        ]

    def events(self, task_id: str) -> Iterator[Event]:
        """Yields all events of a task so far."""
        return self._store.all_events(task_id)

    async def stop(self) -> None:
        """Stops running tasks without ending them: a server on the same file takes them up again."""
        self.journal.close()
        self._waiting.clear()
        for active in self._active.values():
            active.run.terminate()
            active.work.cancel()
        if works := [active.work for active in self._active.values()]:
            await asyncio.wait(works, timeout=1)

    def _graph(self, template: str) -> Graph:
        graph = self._graphs.get(template)
        if graph is None:
            known = ", ".join(f'"{name}"' for name in self._graphs)
            raise UnknownTemplateError(
                f'There is no task template named "{template}". This server has: {known}'
            )
        return graph

    def _enqueue(self, record: TaskRecord, *, begun: bool) -> None:
        if record.request is None:
            raise ValueError("only a finalized task can wait")
        self._accepted += 1
        heapq.heappush(self._waiting, (not begun, record.request.priority, self._accepted, record.id))

    def _fill_slots(self) -> None:
        while self._waiting and len(self._active) < self._slots:
            *_, task_id = heapq.heappop(self._waiting)
            state = self.state(task_id)
            run = Run(state, self._graphs[state.record.template], self.journal, self.handlers)
            work = asyncio.create_task(run.execute(), name=f"requence-local-task-{task_id}")
            self._active[task_id] = _Active(run, work)
            work.add_done_callback(partial(self._finished, task_id))

    def _finished(self, task_id: str, work: asyncio.Task[None]) -> None:
        del self._active[task_id]
        if not work.cancelled() and (error := work.exception()):
            # For instance a full disk; then this cannot be written either, and the next server on the same file
            # takes the task up where the log ends.
            _log.error("Task %s could not go on", task_id, exc_info=error)
            with suppress(Exception):
                record = self.record(task_id)
                require_ack = record.request is not None and record.request.require_ack
                reason = f"The local server could not go on with the task: {error}"
                self.journal.append(record, events.task_error(reason, require_ack=require_ack))
        self._fill_slots()


def _now() -> str:
    return events.time_text(datetime.now(UTC))
