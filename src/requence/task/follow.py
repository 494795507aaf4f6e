"""Following one started task: from event streams to updates, and to the one outcome that everybody shares.

Every iteration is a stream of its own, so consumers cannot disturb each other: the service is the log. All who
only wait for the result share one stream that keeps no updates. Whoever sees the last update first settles the
outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from requence._transport.api import Api, Report, Started
from requence._transport.event_stream import EventStream
from requence.exceptions import AckFailedError, RequenceError, TaskException
from requence.task.context import Context
from requence.task.delivery import Delivery
from requence.task.poll import poll
from requence.task.result import TaskResult, outcome_of
from requence.task.shared import fresh
from requence.task.snapshot import FINAL_STATUSES, known_status
from requence.task.updates import TERMINAL_TYPES, TaskAborted, TaskEnd, TaskError, Update, read_update

__all__ = ["Follow"]

_ENDED = frozenset({"awaiting_delivery", *FINAL_STATUSES})  # nothing happens any more, but the delivery


class Follow:
    """The streams of one started task, on the I/O thread."""

    def __init__(
        self, api: Api, started: Started, *, input: Any, task_template: str, stream_lost: bool
    ) -> None:
        """Prepares to follow; nothing is opened yet.

        Args:
            api: Sends the requests.
            started: The answer to finalize.
            input: What the caller passed: the context's input until the service tells it.
            task_template: For the errors.
            stream_lost: Whether the answer that named the stream was lost: then only the end can be learned.
        """
        self._api = api
        self._started = started
        self._input = input
        self._task_template = task_template
        self._stream_lost = stream_lost
        self._outcome: TaskResult | RequenceError | None = None
        self._settling: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._delivery = Delivery(api, started.task_id)

    async def outcome(self) -> TaskResult:
        """Waits for the end of the task, on the stream that all waiters share.

        Raises:
            TaskFailedError: The task failed.
            TaskAbortedError: The task was aborted.
            AckFailedError: It ended, but its delivery could not be confirmed.
            RequenceError: Following it is not possible.
        """
        if self._outcome is None:
            if self._watching is None or self._watching.done():
                self._watching = asyncio.create_task(self._watch(), name=f"follow {self._started.task_id}")
                self._watching.add_done_callback(_take_note)
            watching = self._watching
            await asyncio.wait({watching})
            if self._outcome is None:
                error = None if watching.cancelled() else watching.exception()
                if error is None:
                    error = TaskException("Following the task was given up", task_id=self._started.task_id)
                raise fresh(error) from error.__cause__
        outcome = self._outcome
        if isinstance(outcome, RequenceError):
            raise fresh(outcome) from outcome.__cause__
        return outcome

    async def updates(self) -> AsyncGenerator[Update]:
        """Yields every update from the first to the last, on a stream of its own.

        Raises:
            RequenceError: Following the task is not possible.
        """
        context = Context.at_start(self._started.task_id, self._input)
        report: Report | None = None
        if not self._stream_lost:
            stream = self._stream()
            async with aclosing(stream.events()) as events:
                async for event in events:
                    update = read_update(event.name, event.payload, before=context, position=event.position)
                    context = update.context
                    last = self._ends_task(update)
                    if last:
                        await self._settle(update)
                    yield update
                    if last:
                        return
            report = stream.ended_with
        if report is None:
            report = await poll(self._api, self._started.task_id, _ENDED)
        update = _last_update(await self._finally(report), context)
        await self._settle(update)
        yield update

    def release(self) -> None:
        """Stops the shared stream: nobody can wait for the outcome any more."""
        if self._watching is not None:
            self._watching.cancel()

    def _stream(self) -> EventStream[Report]:
        if self._started.watch_url is None:
            raise TaskException(
                "The service named no stream for this task, so it cannot be followed",
                task_id=self._started.task_id,
                task_url=self._started.url,
                task_template=self._task_template,
                hint=f"the task runs; look at it with get_task({self._started.task_id!r})",
            )

        async def ask() -> Report | None:
            report = await self._api.get(self._started.task_id)
            return report if known_status(report.status) in _ENDED else None

        return EventStream(
            self._api,
            self._started.watch_url,
            task_id=self._started.task_id,
            terminal=TERMINAL_TYPES,
            ask=ask,
        )

    def _ends_task(self, update: Update) -> bool:
        """Says whether this is our own last update, not one of a sub-task."""
        return (
            isinstance(update, TaskEnd | TaskError | TaskAborted) and update.task_id == self._started.task_id
        )

    async def _watch(self) -> None:
        async with aclosing(self.updates()) as updates:
            async for _ in updates:
                pass

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

    async def _settle(self, update: Update) -> None:
        """Fixes the outcome for everybody, once; acknowledges it first where the service asks for that."""
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle_once(update))
        await asyncio.shield(self._settling)

    async def _settle_once(self, update: Update) -> None:
        outcome = outcome_of(update, task_url=self._started.url, task_template=self._task_template)
        if getattr(update, "require_ack", None) is True:
            refused = await self._delivery.confirm()
            if refused is not None:
                outcome = self._ack_failed(refused, outcome)
        self._outcome = outcome
        if self._watching is not None:
            self._watching.cancel()  # whoever waits on the shared stream is answered from the outcome

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
        )
        error.__cause__ = refused
        return error


def _take_note(watching: asyncio.Task[None]) -> None:
    """Takes the error of a stream that nobody may wait for any more, so that asyncio does not report it."""
    if not watching.cancelled():
        watching.exception()


def _last_update(report: Report, context: Context) -> Update:
    """Returns the update that a task's final status stands for, where the stream did not bring it."""
    kind = FINAL_STATUSES[known_status(report.status)]
    payload: dict[str, Any] = {"taskId": context.task_id, "reason": report.status_text}
    if kind == "taskEnd":
        payload = {"taskId": context.task_id, "result": report.result}
    known = Context(
        {
            "task_id": context.task_id,
            "input": context.input if report.input is None else report.input,
            "result": None,
            "node_data": {**context.node_data, **report.node_data},
            "node_error": {**context.node_error, **report.node_error},
        }
    )
    return read_update(kind, payload, before=known, synthetic=True)
