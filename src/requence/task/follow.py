"""Following one started task: from event streams to updates, and to the one outcome that everybody shares.

Every iteration is a stream of its own, so consumers cannot disturb each other: the service is the log. All who
only wait for the result share one stream that keeps no updates. Whoever sees the last update first, and all that
came before it, settles the outcome.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any

from requence._transport.api import Api, Report
from requence._transport.connection import Watched
from requence._transport.event_log import EventLog, LogEvent
from requence._transport.event_stream import EventStream
from requence._transport.outcome import SharedOutcome
from requence._transport.started import Started
from requence.exceptions import (
    RequenceError,
    TaskException,
    UsageError,
)
from requence.task.callbacks import Callbacks
from requence.task.context import Context
from requence.task.hub import Ending, Seat
from requence.task.poll import ask_patiently, poll
from requence.task.reading import TERMINAL_TYPES, context_after, read_updates, type_of
from requence.task.result import TaskResult
from requence.task.revive import Reviver
from requence.task.settlement import Settlement, wants_ack
from requence.task.snapshot import ENDED_STATUSES, completed, known_status, last_update
from requence.task.teller import Teller
from requence.task.updates import TaskAborted, TaskEnd, TaskError, Update

__all__ = ["Follow"]


_log = logging.getLogger("requence.task")

_LAST = (TaskEnd, TaskError, TaskAborted)
_STATES: dict[type[object], str] = {TaskEnd: "succeeded", TaskError: "failed", TaskAborted: "aborted"}


class Follow:
    """The streams of one started task, on the I/O thread."""

    def __init__(
        self,
        api: Api,
        started: Started,
        *,
        input: Any,
        task_template: str | None,
        stream_lost: bool = False,
        seat: Seat | None = None,
    ) -> None:
        """Prepares to follow; nothing is opened yet.

        Args:
            api: Sends the requests.
            started: The answer to finalize.
            input: What the caller passed: the context's input until the service tells it.
            task_template: For the errors, if it is known.
            stream_lost: Whether the answer that named the stream was lost: then only the end can be learned.
            seat: The place at the stream of all tasks, where handles share that.
        """
        self._api = api
        self._started = started
        self._input = input
        self._task_template = task_template
        self._stream_lost = stream_lost
        self._seat = seat
        self._watching: asyncio.Future[None] | SharedOutcome[Ending] | None = None
        self._teller: Teller | None = None
        self._settlement = Settlement(
            api, started, input=input, task_template=task_template, on_fixed=self._has_settled
        )

    @property
    def has_ended(self) -> bool:
        """Whether the end of the task is known."""
        return self._settlement.last is not None

    @property
    def state(self) -> str:
        """What is known of the task, in a word."""
        return _STATES.get(type(self._settlement.last), "started")

    def tell_end(self, ending: SharedOutcome[TaskResult]) -> None:
        """Sets an outcome when the task has ended, from the stream that all waiters share.

        It fails with:
            TaskFailedError: The task failed.
            TaskAbortedError: The task was aborted.
            AckFailedError: It ended, but its delivery could not be confirmed; the next one has that tried again.
            TaskException: It ended, but a part of its result could not be fetched; likewise.
            RequenceError: Following it is not possible.
        """
        self._settlement.endings.append(ending)
        if self._settlement.outcome is None:
            self._watch()
        elif self._settlement.last is not None and self._settlement.to_repeat:
            self._settle_soon(self._settlement.settle(self._settlement.last))
        else:
            self._settlement.answer()

    async def updates(
        self, *, room: asyncio.Event | None = None, after: int | None = None
    ) -> AsyncGenerator[list[Update]]:
        """Yields the updates up to the last, some at a time, on a stream of its own.

        One from the beginning settles the outcome.

        Args:
            room: Set while the consumer can take more; default always.
            after: The position after which to begin; default at the beginning.

        Raises:
            RequenceError: Following the task is not possible.
        """
        context, stream = Context.at_start(self._started.task_id, self._input), None
        reviver = Reviver(self._api.client)
        if not self._stream_lost:
            stream = self._stream(EventLog(after), room, reviver)
            async with aclosing(stream.batches()) as batches:
                async for batch in batches:
                    if reviver.has_claims and not await reviver.fetch(batch):
                        self._settlement.has_claims = True
                    updates, context = read_updates(batch, before=context)
                    last = self._last_of(updates)
                    if last != 0:
                        yield updates[:last]
                    if last is not None:
                        await self._settlement.settle_from(updates[last], whole=after is None)
                        yield [updates[last]]
                        return
        update, _ = await self._settlement.whole(await self._last_by_asking(stream, context))
        await self._settlement.settle_from(update, whole=after is None)
        yield [update]

    async def _read_to_the_end(self) -> None:
        """Settles from a stream of its own; its updates are not made, which takes half the time."""
        context, stream = Context.at_start(self._started.task_id, self._input), None
        reviver = Reviver(self._api.client)
        if not self._stream_lost:
            stream = self._stream(EventLog(), None, reviver)
            async with aclosing(stream.batches()) as batches:
                async for batch in batches:
                    self._settlement.has_claims = self._settlement.has_claims or reviver.has_claims
                    if not _may_end_it(batch):
                        context = context_after(batch, before=context)
                        continue
                    updates, context = read_updates(batch, before=context)
                    last = self._last_of(updates)
                    if last is not None:
                        await self._settlement.settle(self._settlement.last or updates[last])
                        return
        await self._settlement.settle(self._settlement.last or await self._last_by_asking(stream, context))

    def _last_of(self, updates: list[Update]) -> int | None:
        """Returns which of some updates is the last of the task, if one is."""
        return next((at for at, update in enumerate(updates) if self._ends_task(update)), None)

    async def _last_by_asking(self, stream: EventStream[Report] | None, context: Context) -> Update:
        """Returns the last update that the service's report stands for, where no stream shows it."""
        report = None if stream is None else stream.ended_with
        if report is None:
            report = await poll(self._api, self._started.task_id, ENDED_STATUSES)
        return last_update(self._settlement.revived(await self._settlement.final(report)), context)

    def tell(self, callbacks: Callbacks) -> None:
        """Has each update given to the callback `on_update`, from now to the end."""
        self._teller = Teller(lambda room: self.updates(room=room), callbacks, task_id=self._started.task_id)

    def release(self) -> None:
        """Stops the shared stream: nobody can wait for the outcome any more."""
        if isinstance(self._watching, asyncio.Task):
            self._watching.cancel()
        if self._seat is not None:
            self._seat.leave()
            self._seat = None

    def _has_settled(self) -> None:
        if self._teller is not None:
            self._teller.release()
        self.release()  # whoever waits on the shared stream is answered from the outcome

    def _watch(self) -> None:
        """Begins to watch for the end, if nothing does."""
        if self._teller is not None and not self._teller.released.done():
            self._watch_by(self._teller.released)
        elif self._seat is not None:
            seat = self._seat
            ending = seat.end()
            if ending is not self._watching:
                self._watching = ending
                ending.on_done(lambda: self._take_from_seat(seat, ending))
        elif not isinstance(self._watching, asyncio.Task) or self._watching.done():
            name = f"follow {self._started.task_id}"
            self._watch_by(asyncio.create_task(self._read_to_the_end(), name=name))

    def _watch_by(self, watching: asyncio.Future[None]) -> None:
        if watching is not self._watching:
            self._watching = watching
            watching.add_done_callback(self._has_watched)

    def _has_watched(self, watching: asyncio.Future[None]) -> None:
        error = _cut_off() if watching.cancelled() else watching.exception()
        if self._settlement.outcome is None and error is not None:
            self._settlement.fail(error)
        elif self._settlement.endings and self._settlement.outcome is None:
            self._watch()  # what tells the updates has fallen behind

    def _stream(self, log: EventLog, room: asyncio.Event | None, reviver: Reviver) -> EventStream[Report]:
        task_id, url = self._started.task_id, self._started.watch_url
        if url is None:
            raise TaskException(
                "The service named no stream for this task, so it cannot be followed",
                task_id=task_id,
                task_url=self._started.url,
                task_template=self._task_template,
                hint=f"the task runs; look at it with get_task({task_id!r}), or wait for it with Task.attach",
            )

        async def ask() -> Report | None:
            report = await self._api.get(task_id)
            return report if known_status(report.status) in ENDED_STATUSES else None

        watched = Watched(
            f"task {task_id}",
            "watching the task",
            lambda position: self._api.watch_request(url, since=None, last_position=position),
            task_id=task_id,
            terminal=TERMINAL_TYPES,
            revive=reviver,
        )
        return EventStream(self._api, watched, ask=ask, log=log, room=room, slots=self._api.stream_slots())

    def _ends_task(self, update: Update) -> bool:
        """Says whether this is our own last update, not one of a sub-task."""
        return isinstance(update, _LAST) and update.task_id == self._started.task_id

    def _take_from_seat(self, seat: Seat, watched: SharedOutcome[Ending]) -> None:
        """Settles from what the stream of all tasks has shown; at once, where nothing more is to be asked."""
        ending = watched.value
        self._settlement.has_claims = self._settlement.has_claims or seat.has_claims
        if self._settlement.outcome is not None:
            return
        if ending is None:
            self._settlement.fail(watched.error or _cut_off())
        elif isinstance(ending, Report) or not seat.whole or self._settlement.has_claims or wants_ack(ending):
            self._settle_soon(self._settle_from_seat(seat, ending))
        else:
            self._settlement.fix(ending)

    async def _settle_from_seat(self, seat: Seat, ending: Ending) -> None:
        await self._settlement.settle(await self._last_of_seat(seat, ending))

    def _settle_soon(self, settling: Coroutine[Any, Any, None]) -> None:
        """Settles in the background; what is in the way of that is told to who waits."""

        def done(task: asyncio.Task[None]) -> None:
            _settling.discard(task)
            error = _cut_off() if task.cancelled() else task.exception()
            if error is not None:
                self._watching = None  # else who asks again would wait for what was told already
                self._settlement.fail(error)

        task = asyncio.create_task(settling, name=f"settle {self._started.task_id}")
        _settling.add(task)
        task.add_done_callback(done)

    async def _last_of_seat(self, seat: Seat, ending: Ending) -> Update:
        """Returns the last update, with what the stream of all tasks has not shown."""
        if isinstance(ending, Report):
            return last_update(self._settlement.revived(await self._settlement.final(ending)), seat.context)
        if seat.whole:
            return ending
        try:
            report = self._settlement.revived(await ask_patiently(self._api, self._started.task_id))
        except RequenceError as error:  # how it ended is known; only what came before is not
            _log.warning("What came before the end of task %s is not known: %s", seat.task_id, error)
            return ending
        return ending.with_context(completed(ending.context, report))


def _may_end_it(batch: list[LogEvent]) -> bool:
    return any(type_of(name, payload) in TERMINAL_TYPES for _, name, payload in batch)


def _cut_off() -> UsageError:
    return UsageError(
        "The task is followed no more: its handle was closed, or the interpreter is shutting down"
    )


_settling: set[asyncio.Task[None]] = set()
