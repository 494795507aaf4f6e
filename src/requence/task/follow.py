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
    AckFailedError,
    FileUnavailableError,
    RequenceError,
    TaskException,
    UsageError,
)
from requence.task.callbacks import Callbacks
from requence.task.context import Context
from requence.task.delivery import delivery
from requence.task.hub import Ending, Seat
from requence.task.persistent import PersistentMap
from requence.task.poll import ask_patiently, poll
from requence.task.reading import TERMINAL_TYPES, context_after, read_updates, type_of
from requence.task.result import TaskResult, outcome_of
from requence.task.revive import Reviver, fetch_into, revived_report
from requence.task.snapshot import ENDED_STATUSES, FINAL_STATUSES, completed, known_status, last_update
from requence.task.teller import Teller
from requence.task.updates import TaskAborted, TaskEnd, TaskError, Update

__all__ = ["Follow"]


_log = logging.getLogger("requence.task")

_LAST = (TaskEnd, TaskError, TaskAborted)


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
        self._outcome: TaskResult | RequenceError | None = None
        self._to_repeat = False  # whether what comes after the end has failed, and may be tried again
        self._claims = False  # whether values of what was seen may still have to be fetched
        self._settling: asyncio.Task[None] | None = None
        self._watching: asyncio.Future[None] | SharedOutcome[Ending] | None = None
        self._last: Update | None = None
        self._endings: list[SharedOutcome[TaskResult]] = []
        self._teller: Teller | None = None
        self._delivery = delivery(api, started.task_id)

    @property
    def has_ended(self) -> bool:
        """Whether the end of the task is known."""
        return self._last is not None

    def tell_end(self, ending: SharedOutcome[TaskResult]) -> None:
        """Sets an outcome when the task has ended, from the stream that all waiters share.

        It fails with:
            TaskFailedError: The task failed.
            TaskAbortedError: The task was aborted.
            AckFailedError: It ended, but its delivery could not be confirmed; the next one has that tried again.
            TaskException: It ended, but a part of its result could not be fetched; likewise.
            RequenceError: Following it is not possible.
        """
        self._endings.append(ending)
        if self._outcome is None:
            self._watch()
        elif self._last is not None and self._to_repeat:
            self._settle_soon(self._settle(self._last))
        else:
            self._answer()

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
                        self._claims = True
                    updates, context = read_updates(batch, before=context)
                    last = self._last_of(updates)
                    if last != 0:
                        yield updates[:last]
                    if last is not None:
                        await self._settle_from(updates[last], whole=after is None)
                        yield [updates[last]]
                        return
        update, _ = await self._whole(await self._last_by_asking(stream, context))
        await self._settle_from(update, whole=after is None)
        yield [update]

    async def _read_to_the_end(self) -> None:
        """Settles from a stream of its own; its updates are not made, which takes half the time."""
        context, stream = Context.at_start(self._started.task_id, self._input), None
        reviver = Reviver(self._api.client)
        if not self._stream_lost:
            stream = self._stream(EventLog(), None, reviver)
            async with aclosing(stream.batches()) as batches:
                async for batch in batches:
                    self._claims = self._claims or reviver.has_claims
                    if not _may_end_it(batch):
                        context = context_after(batch, before=context)
                        continue
                    updates, context = read_updates(batch, before=context)
                    last = self._last_of(updates)
                    if last is not None:
                        await self._settle(self._last or updates[last])
                        return
        await self._settle(self._last or await self._last_by_asking(stream, context))

    def _last_of(self, updates: list[Update]) -> int | None:
        """Returns which of some updates is the last of the task, if one is."""
        return next((at for at, update in enumerate(updates) if self._ends_task(update)), None)

    async def _last_by_asking(self, stream: EventStream[Report] | None, context: Context) -> Update:
        """Returns the last update that the service's report stands for, where no stream shows it."""
        report = None if stream is None else stream.ended_with
        if report is None:
            report = await poll(self._api, self._started.task_id, ENDED_STATUSES)
        return last_update(self._revived(await self._finally(report)), context)

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
        if self._outcome is None and error is not None:
            self._fail(error)
        elif self._endings and self._outcome is None:
            self._watch()  # what tells the updates has fallen behind

    def _answer(self) -> None:
        """Sets all outcomes that somebody waits for."""
        outcome, endings, self._endings = self._outcome, self._endings, []
        for ending in endings:
            if isinstance(outcome, RequenceError):
                ending.fail(outcome)
            elif outcome is not None:
                ending.set(outcome)

    def _fail(self, error: BaseException) -> None:
        endings, self._endings = self._endings, []
        for ending in endings:
            ending.fail(error)

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
        self._claims = self._claims or seat.has_claims
        if self._outcome is not None:
            return
        if ending is None:
            self._fail(watched.error or _cut_off())
        elif isinstance(ending, Report) or not seat.whole or self._claims or _wants_ack(ending):
            self._settle_soon(self._settle_from_seat(seat, ending))
        else:
            self._fix(ending)

    async def _settle_from_seat(self, seat: Seat, ending: Ending) -> None:
        await self._settle(await self._last_of_seat(seat, ending))

    def _settle_soon(self, settling: Coroutine[Any, Any, None]) -> None:
        """Settles in the background; what is in the way of that is told to who waits."""

        def done(task: asyncio.Task[None]) -> None:
            _settling.discard(task)
            error = _cut_off() if task.cancelled() else task.exception()
            if error is not None:
                self._watching = None  # else who asks again would wait for what was told already
                self._fail(error)

        task = asyncio.create_task(settling, name=f"settle {self._started.task_id}")
        _settling.add(task)
        task.add_done_callback(done)

    async def _last_of_seat(self, seat: Seat, ending: Ending) -> Update:
        """Returns the last update, with what the stream of all tasks has not shown."""
        if isinstance(ending, Report):
            return last_update(self._revived(await self._finally(ending)), seat.context)
        if seat.whole:
            return ending
        try:
            report = self._revived(await ask_patiently(self._api, self._started.task_id))
        except RequenceError as error:  # how it ended is known; only what came before is not
            _log.warning("What came before the end of task %s is not known: %s", seat.task_id, error)
            return ending
        return ending.with_context(completed(ending.context, report))

    async def _finally(self, report: Report) -> Report:
        """Returns how a task has ended. Where the service tells that only after the delivery, that is confirmed.

        Raises:
            AckFailedError: It could not be confirmed.
        """
        if known_status(report.status) in FINAL_STATUSES:
            return report
        refused = await self._delivery.confirm()
        if refused is not None:
            raise self._ack_failed(refused, None) from refused
        return await poll(self._api, self._started.task_id, FINAL_STATUSES)

    async def _settle_from(self, update: Update, *, whole: bool) -> None:
        """Settles from the last update of a stream; that of one which began later is only acknowledged.

        What such a stream has not shown is known for certain from the beginning of the log alone, and its last
        update must not wait for that. Whoever wants the outcome follows the task from its beginning.
        """
        if whole or self._last is not None:
            await self._settle(self._last or update)
        elif _wants_ack(update):
            await self._delivery.confirm()

    async def _settle(self, update: Update) -> None:
        """Fixes the outcome for everybody, once; fetches it and acknowledges it first where that is to be done.

        What has failed of that is tried again.
        """
        if self._settling is None and not self._claims and not _wants_ack(update):
            if self._outcome is None:
                self._fix(update)
            return
        if self._settling is None or (self._settling.done() and self._to_repeat):
            self._settling = asyncio.create_task(self._settle_once(update))
        await asyncio.shield(self._settling)

    async def _settle_once(self, update: Update) -> None:
        update, missing = await self._whole(update)
        # What was not received whole is not confirmed: the service keeps it.
        refused = await self._delivery.confirm() if missing is None and _wants_ack(update) else None
        self._fix(update, refused, missing)

    async def _whole(self, update: Update) -> tuple[Update, RequenceError | None]:
        """Returns a last update with values in the places of claim checks, and why the result has one, or None."""
        if not self._claims:
            return update, None
        from requence.files.claim_check import ClaimCheck  # few need it

        context = update.context
        seen = {"result": context.result, "node_data": dict(context.node_data), "input": context.input}
        if isinstance(context.input, ClaimCheck) and self._input is not None:
            seen["input"] = self._input  # it was ours, and too large to be sent with the rest
        problems = await fetch_into(seen, self._api.client)
        node_data = PersistentMap[Any](seen["node_data"])
        context = context.replaced(input=seen["input"], result=seen["result"], node_data=node_data)
        return update.with_context(context), problems.get("result")

    def _revived(self, report: Report) -> Report:
        report, claims = revived_report(report, self._api.client)
        self._claims = self._claims or claims
        return report

    def _fix(
        self, update: Update, refused: RequenceError | None = None, missing: RequenceError | None = None
    ) -> None:
        """Fixes the outcome.

        Args:
            update: The last update.
            refused: Why its delivery could not be confirmed.
            missing: Why a part of its result could not be fetched.
        """
        outcome = outcome_of(update, task_url=self._started.url, task_template=self._task_template)
        if missing is not None and isinstance(outcome, TaskResult):
            outcome = self._not_fetched(missing, outcome)
        elif refused is not None:
            outcome = self._ack_failed(refused, outcome)
        self._to_repeat = missing is not None or refused is not None
        self._outcome, self._last = outcome, update
        self._answer()
        if self._teller is not None:
            self._teller.release()
        self.release()  # whoever waits on the shared stream is answered from the outcome

    def _not_fetched(self, missing: RequenceError, outcome: TaskResult) -> TaskException:
        error = TaskException(
            f"The task has succeeded, but a part of its result is not here: {missing.message}",
            result=outcome,
            task_id=self._started.task_id,
            task_url=self._started.url,
            task_template=self._task_template,
            status_code=missing.status_code if isinstance(missing, FileUnavailableError) else None,
            hint="ask for the result again to fetch it again",
        )
        error.__cause__ = missing
        return error

    def _ack_failed(
        self, refused: RequenceError, outcome: TaskResult | TaskException | None
    ) -> AckFailedError:
        failure = outcome if isinstance(outcome, TaskException) else None
        ending = f" ({failure.message})" if failure else ""
        error = AckFailedError(
            f"The task has ended{ending}, but the service did not take the confirmation: {refused.message}",
            result=outcome if isinstance(outcome, TaskResult) else None,
            failure=failure,
            task_id=self._started.task_id,
            task_url=self._started.url,
            task_template=self._task_template,
            hint="ask for the result again to confirm again",
        )
        error.__cause__ = refused
        return error


def _may_end_it(batch: list[LogEvent]) -> bool:
    return any(type_of(name, payload) in TERMINAL_TYPES for _, name, payload in batch)


def _wants_ack(update: Update) -> bool:
    return getattr(update, "require_ack", None) is True


def _cut_off() -> UsageError:
    return UsageError(
        "The task is followed no more: its handle was closed, or the interpreter is shutting down"
    )


_settling: set[asyncio.Task[None]] = set()
