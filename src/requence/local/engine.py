"""The operations on tasks. Everything here runs on the server's event loop."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from requence.local import events
from requence.local.aside import aside
from requence.local.catalogue import Catalogue
from requence.local.clock import Clock
from requence.local.events import Draft
from requence.local.files import Files
from requence.local.graph import Graph, NodePlan, Outcome
from requence.local.handlers import Handlers
from requence.local.journal import Journal
from requence.local.json_values import compact
from requence.local.open_streams import OpenStreams
from requence.local.python_types import Signature
from requence.local.refusals import (
    NotNowError,
    NotStartableError,
    UnknownKeyError,
    UnknownTaskError,
    UnknownTemplateError,
)
from requence.local.requests import Finalize
from requence.local.retention import Cleaner
from requence.local.run import Run, subtask_outcome
from requence.local.schemas import check_input
from requence.local.search import Search
from requence.local.shared import Shared
from requence.local.slots import Slots
from requence.local.state import LoggedTask, fold
from requence.local.store import Store, Summary, TaskRecord

__all__ = ["Engine"]

_log = logging.getLogger("requence.local")

_RECOVERY_SECONDS = 2.0
_CLEANUP_SECONDS = 1.0


class Engine:
    """Accepts tasks and runs them; at most `slots` handlers at once, those of the most urgent task first.

    Args:
        graphs: The templates' plans by name.
        store: The log.
        files: The files and streams of the tasks.
        slots: How many handlers run at once.
        retention: How long a task is kept after its end; None for ever.
    """

    def __init__(
        self,
        graphs: Mapping[str, Graph],
        store: Store,
        files: Files,
        slots: int,
        retention: timedelta | None = None,
    ) -> None:
        self.clock = Clock()
        self.journal = Journal(store, self.clock, self._lost)
        self.handlers = Handlers()
        self._shared = Shared(store, files, self.journal, self.clock, Slots(slots), self.handlers)
        self._cleaner = Cleaner(store, self.clock, self.remove, retention)
        self.templates = Catalogue(graphs)
        self.streams = OpenStreams()
        self._store = store
        self._runs: dict[str, Run] = {}
        self._came = 0
        self._stopped = False
        self._recovery_due = False
        self._told_waiting: set[str] = set()

    def serve(self, graphs: Iterable[Graph]) -> None:
        """Serves more plans from now on, also to tasks that wait for one."""
        for graph in graphs:
            self.templates.serve(graph)
        self.recover()

    def stub(self, graph: Graph) -> None:
        """Serves a plan from now on in the place of what had its name, also to tasks that wait for one."""
        self.templates.stub(graph)
        self.recover()

    def recover(self) -> None:
        """Takes up what is unfinished according to the log, and not being run."""
        self._recovery_due = False
        found: list[Run] = []
        for record in self._store.unfinished():
            if record.id in self._runs:
                continue
            if record.template in self.templates:
                found.append(self._add_run(fold(record, self._store.all_events(record.id))))
            elif record.id not in self._told_waiting:
                self._told_waiting.add(record.id)
                text = 'Task %s waits for the template "%s", which this server does not have'
                _log.warning(text, record.id, record.template)
        with suppress(sqlite3.Error):  # then what is left begins anew once more
            for run in found:
                run.resume(self._subtasks_of(run.record.id, run.record.template))

    def prepare(self, template: str) -> str:
        """Reserves a task and returns its id.

        Raises:
            UnknownTemplateError: There is no such template.
        """
        template = self.templates[template].name
        task_id = str(uuid.uuid4())
        self._store.add_task(task_id, template, self._now())
        return task_id

    async def finalize(self, task_id: str, request: Finalize) -> None:
        """Accepts the input of a reserved task, which then runs as soon as there is a slot.

        Raises:
            UnknownTaskError: There is no such task.
            NotStartableError: It was started or aborted before.
            UnknownTemplateError: Its template is not served any more.
            InvalidRequestError: The input does not fit the template.
        """
        graph = self.templates[self._startable(task_id).template]
        if (schema := graph.input_schema) is not None:
            size = len(request.input_text)
            await aside(size, lambda: check_input(graph.name, schema, request.input))
        record = self._startable(task_id)  # it may have been started or aborted meanwhile
        self._store.accept(task_id, request, self._now())
        if not self._stopped:  # else the next server on the same file runs it
            run = self._add_run(LoggedTask(replace(record, request=request)))
            with run.guard():
                run.go()

    def _startable(self, task_id: str) -> TaskRecord:
        record = self.record(task_id)
        if record.request is not None:
            raise NotStartableError("The task has been started already")
        if self._store.terminal_event(task_id) is not None:
            raise NotStartableError("The task was aborted before it started")
        return record

    def abort(self, task_id: str, reason: str | None) -> None:
        """Ends a task now, whatever it is doing. A task that has ended stays as it is.

        Raises:
            UnknownTaskError: There is no such task.
        """
        record = self.record(task_id)
        if self._store.terminal_event(task_id) is not None:
            return
        require_ack = record.request is not None and record.request.require_ack
        aborted = events.task_aborted(reason, require_ack=require_ack)
        if run := self._runs.get(task_id):
            run.finish(aborted)
        else:
            self.journal.append(record, aborted)
            self._close_family(record, aborted)

    def abort_all(self, reason: str | None) -> None:
        """Ends all tasks that have not ended."""
        for record in self._store.unfinished():
            self.abort(record.id, reason)

    def act(self, key: str, outcome: Outcome) -> None:
        """Ends a node that was deferred with this key.

        Args:
            key: The key.
            outcome: A failure, or the data of the node.

        Raises:
            UnknownKeyError: There is no such node, or it has ended.
            NotNowError: It waits, but cannot go on: the server stops, or does not serve the template.
        """
        wait = self._store.waits.of_key(key)
        if wait is not None and wait.task_id not in self._runs and self._recovery_due:
            self.recover()  # what waits is about to be taken up again
        if wait is None:
            raise UnknownKeyError("Nothing waits for this key")
        run = self._runs.get(wait.task_id)
        if run is None:
            reason = "it is stopping" if self._stopped else "it does not serve the task's template"
            raise NotNowError(f"This server cannot go on with the node that waits for this key: {reason}")
        if not run.act(wait.node, outcome):
            raise UnknownKeyError("Nothing waits for this key")

    def acknowledge(self, task_id: str) -> None:
        """Confirms that the outcome of a task has arrived. Without effect if nothing waits for that.

        Raises:
            UnknownTaskError: There is no such task.
        """
        if self.state(task_id).status == "awaiting_delivery":
            self._store.acknowledge(task_id, self._now())

    def protect(self, task_id: str) -> None:
        """Marks a task as to be kept.

        Raises:
            UnknownTaskError: There is no such task.
        """
        self._store.protect(self.record(task_id).id)

    def signatures(self) -> list[Signature]:
        """Returns what each template takes and gives."""
        return [
            Signature(graph.name, graph.input_schema, [way_out.output_schema for way_out in graph.exits])
            for graph in self.templates.declared()
        ]

    def record(self, task_id: str) -> TaskRecord:
        """Returns what is known of a task beside its events.

        Raises:
            UnknownTaskError: There is no such task.
        """
        record = self._store.task(task_id)
        if record is None:
            raise UnknownTaskError("There is no task with this id")
        return record

    def state(self, task_id: str) -> LoggedTask:
        """Returns a task as it is now.

        Raises:
            UnknownTaskError: There is no such task.
        """
        return fold(self.record(task_id), self._store.all_events(task_id))

    def newest(self, search: Search, limit: int) -> list[Summary]:
        """Returns the tasks that were prepared last and are wanted, newest first."""
        return self._store.newest(search, limit)

    def summary(self, task_id: str) -> Summary:
        """Returns what can be told of a task without reading what may be large.

        Raises:
            UnknownTaskError: There is no such task.
        """
        summary = self._store.summary(task_id)
        if summary is None:
            raise UnknownTaskError("There is no task with this id")
        return summary

    def graph(self, record: TaskRecord) -> Graph | None:
        """Returns the plan of a task: the one that it runs by, else the one that its template has now, if any."""
        if run := self._runs.get(record.id):
            return run.graph
        with suppress(UnknownTemplateError):
            return self.templates[record.template]
        return None

    def subtasks(self, task_id: str) -> list[TaskRecord]:
        """Returns the sub tasks that a task has started itself, oldest first."""
        return self._store.children(task_id)

    def tasks(self, template: str | None = None) -> list[LoggedTask]:
        """Returns the tasks that were started, of one template or of all, in the order in which they were."""
        return [self.state(record.id) for record in self._store.tasks(template)]

    def remove(self, task_ids: Sequence[str]) -> None:
        """Removes tasks with everything that belongs to them; those that run are stopped."""
        for task_id in task_ids:
            if run := self._runs.pop(task_id, None):
                run.terminate()
        contents = self._shared.files.forget(task_ids)
        self._store.remove(task_ids)
        self.journal.removed(task_ids)
        self.journal.once_committed(lambda: self._shared.files.discard(contents))

    def reset(self) -> None:
        """Removes all tasks, and serves what was served from the beginning."""
        self.remove(self._store.all_ids())
        self.templates.reset()

    def clean(self) -> None:
        """Removes what is too old, now and from time to time."""
        self._cleaner.clean()

    async def stop(self) -> None:
        """Stops running tasks without ending them: a server on the same file takes them up again."""
        self._stopped = True
        self.clock.stop()
        with suppress(sqlite3.Error):
            self.journal.commit()
        self.journal.close()
        self._drop_runs()
        await self.cleaned_up(_CLEANUP_SECONDS)
        with suppress(sqlite3.Error):
            self.journal.commit()

    async def cleaned_up(self, timeout: float) -> list[str]:
        """Waits for coroutine handlers, which may take a moment to clean up; returns the names of the others.

        Args:
            timeout: The longest wait in seconds, for all of them together.
        """
        if not (works := set(self._shared.works)):
            return []
        _, left = await asyncio.wait(works, timeout=timeout)
        return sorted(work.get_name() for work in left)

    def start_subtask(self, parent: Run, node: NodePlan, input_value: Any) -> None:
        """Starts the sub task of a node: see `Owner`."""
        graph = self.templates[node.subtask or ""]
        if graph.input_schema is not None:
            check_input(graph.name, graph.input_schema, input_value)
        above = parent.record
        request = Finalize(None, compact(input_value), parent.urgency.priority, require_ack=False)
        record = TaskRecord(
            str(uuid.uuid4()),
            graph.name,
            request,
            acked=False,
            protected=False,
            root_id=above.root_id or above.id,
            parent_id=above.id,
            parent_node=node.key,
        )
        self._store.add_subtask(record, self._now())
        run = self._add_run(LoggedTask(record))
        with run.guard():
            run.go()

    def ended(self, run: Run, by: Draft) -> None:
        """A task has ended: see `Owner`."""
        self._runs.pop(run.record.id, None)
        self._close_family(run.record, by)

    def failed(self, run: Run, error: Exception) -> None:
        """A task cannot go on: see `Owner`."""
        if isinstance(error, sqlite3.Error):
            raise error  # then all of them begin anew (see `_lost`), and who asked has to know
        _log.error("Task %s could not go on", run.record.id, exc_info=error)
        request = run.record.request
        reason = f"The local server could not go on with the task: {error}"
        run.finish(events.task_error(reason, require_ack=request is not None and request.require_ack))

    def _close_family(self, record: TaskRecord, by: Draft) -> None:
        """Aborts the sub tasks of a task that has ended, and tells the task that has started it."""
        for child in self._store.children(record.id):
            reason = by.fields.get("reason") if by.name == "taskAborted" else None
            self.abort(child.id, reason or "The task that has started it has ended")
        parent = self._runs.get(record.parent_id) if record.parent_id else None
        if parent is not None and record.parent_node is not None:
            with parent.guard():
                parent.subtask_ended(record.parent_node, subtask_outcome(by.name, by.fields))

    def _subtasks_of(self, task_id: str, template: str) -> dict[str, Outcome | None]:
        """Returns how the sub tasks of a task have ended, by the node that has started them."""
        found: dict[str, Outcome | None] = {}
        nodes = self.templates[template].nodes
        for child in self._store.children(task_id):
            node = nodes.get(child.parent_node or "")
            if node is None or node.subtask != child.template:  # of a template as it was before
                self.abort(child.id, "The task that has started it does not have this node any more")
                continue
            end = self._store.terminal_event(child.id)
            outcome = None if end is None else subtask_outcome(end.name, json.loads(end.payload))
            found[child.parent_node or ""] = outcome
        return found

    def _add_run(self, state: LoggedTask) -> Run:
        record = state.record
        # The nodes of a sub task are as old as the task at the top, so that this one comes to its end.
        top = self._runs.get(record.root_id) if record.root_id else None
        self._came += 1
        age = self._came if top is None else top.urgency.age
        run = Run(state, self.templates[record.template], age, self._shared, self)
        self._runs[record.id] = run
        return run

    def _lost(self, error: Exception) -> None:
        """The log could not be written: what runs is ahead of it, so everything begins anew where it ends."""
        _log.error("The log could not be written; running tasks begin again where it ends", exc_info=error)
        self._drop_runs()
        if not self._recovery_due and not self._stopped:
            self._recovery_due = True
            self.clock.after(_RECOVERY_SECONDS, self.recover)

    def _drop_runs(self) -> None:
        runs, self._runs = self._runs, {}
        for run in runs.values():
            run.terminate()

    def _now(self) -> str:
        return events.time_text(self.clock.now())
