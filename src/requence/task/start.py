"""Starting one task: prepare, then finalize, so that it is started once or not at all.

Finalize is the request that must not happen twice. Where its answer is lost, the service is asked what became of
the task; only an answer that the task is still idle allows a second try.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from requence._transport.api import Api, LostAnswerError, Prepared
from requence._transport.outcome import SharedOutcome
from requence._transport.retry import is_transient
from requence._transport.started import Started
from requence.exceptions import (
    RequenceError,
    RequenceUnreachableException,
    StartUncertainError,
    TaskAbortedError,
    TaskAbortException,
    TaskException,
)
from requence.task.hub import Seat, hub
from requence.task.order import Order
from requence.task.result import aborted_message
from requence.task.snapshot import known_status
from requence.task.starts import StartOutcome

if TYPE_CHECKING:
    from requence._transport.session import Request

__all__ = ["Start"]

_log = logging.getLogger("requence.task")

_QUESTION_PAUSES = (0.5, 1.5)  # three questions within five seconds, their answers included
_QUESTION_DEADLINE = 5.0

_warned_of_branches: set[str] = set()


class Start:
    """The start of one task, on the I/O thread.

    Attributes:
        api: Sends the requests.
        outcome: The answer to finalize, or why the task was not started.
        stream_lost: Whether the task was started by a request whose answer, with the stream's URL, was lost.
        seat: The place at the stream of all tasks, where handles share that; None before, or where they do not.
        input: The input, with references in the places of what was uploaded, once it was.
    """

    def __init__(self, api: Api, order: Order, outcome: StartOutcome) -> None:
        self.outcome = outcome
        self.stream_lost = False
        self.seat: Seat | None = None
        self.api = api
        self._order = order
        self._reserved = SharedOutcome[str]()  # the task's id
        self.input = order.input
        self._abort: _Abort | None = None
        self._uploading: asyncio.Task[Request] | None = None
        self._finalizing = False
        self._listeners = 0
        self._abandoned = False

    async def run(self) -> None:
        """Starts the task, and sets the outcome. Called once."""
        try:
            try:
                started = await self._run()
            finally:
                for pump in (self._order.pumps or {}).values():
                    pump.stop()
        except RequenceError as error:
            failure: RequenceError = error
        except asyncio.CancelledError:
            failure = self._cut_short()
        except Exception as error:  # a fault of ours must not leave the waiters hanging
            failure = TaskException(f"The task could not be started: {error!r}")
            failure.__cause__ = error
        else:
            if self._order.outgoing:  # the bytes of files: they may be large, and are of no more use
                self._order = replace(self._order, input=None, outgoing=(), pumps=None)
            self.outcome.set(started)
            return
        if isinstance(failure, TaskException):
            failure.task_template = self._order.task_template
            if failure.task_id is None:
                failure.task_id = self._reserved.value
        self._reserved.fail(failure)
        self.outcome.fail(failure)
        # It may be large, and whoever holds the failure keeps this.
        self._order = replace(self._order, input=None, outgoing=(), pumps=None)
        self.input = None
        self._leave_seat()
        self._report_unasked()

    async def abort(self, reason: str | None) -> None:
        """Aborts the task, as soon as it has an id. A task that was not started yet is not started at all.

        Raises:
            TaskAbortException: The service refused.
        """
        self.outcome.is_asked = True  # whoever aborts a task does not wait for it to be started
        if self._abort is None:
            self._abort = _Abort(reason)
        if self._uploading is not None:
            self._uploading.cancel()
        prevented = not self._finalizing
        await self._reserved.wait()
        task_id = self._reserved.get()
        try:
            await self.api.abort(task_id, reason)
        except TaskAbortException:
            if not prevented:
                raise
            # Nothing was started, so there is nothing that the service could have aborted.
            _log.debug("task %s was never started; the service keeps its reservation", task_id)

    async def protect(self) -> None:
        """Protects the task, as soon as it has an id."""
        await self._reserved.wait()
        await self.api.protect(self._reserved.get())

    def abandon(self) -> None:
        """Takes note that the handle has gone: a failure that nobody asked for is logged, now or when it comes."""
        self._abandoned = True
        self._leave_seat()
        self._report_unasked()

    @contextmanager
    def overheard(self) -> Generator[None]:
        """Does not log a failure during the context: somebody is about to learn of it."""
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1
            self._report_unasked()

    def cut_off(self) -> None:
        """Logs a failure that nobody knows, and a start that is not decided, as the process ends."""
        self.outcome.fail(self._cut_short())
        self._abandoned = True
        self._report_unasked()

    def _leave_seat(self) -> None:
        if self.seat is not None:
            self.seat.leave()
            self.seat = None

    def _report_unasked(self) -> None:
        failure, template = self.outcome.error, self._order.task_template
        if not isinstance(failure, RequenceError) or self.outcome.is_asked:
            return
        if self._listeners or not self._abandoned:
            return
        self.outcome.is_asked = self.outcome.is_logged = True
        hint = f" ({failure.hint})" if failure.hint else ""
        if isinstance(failure, StartUncertainError):
            _log.error("It is uncertain whether the task %r was started: %s%s", template, failure, hint)
        else:
            _log.error("The task %r was not started: %s%s", template, failure, hint)

    def _cut_short(self) -> RequenceError:
        if not self._finalizing and self._reserved.value is None:
            return RequenceUnreachableException("The script ended before the service had reserved the task")
        if not self._finalizing:
            return RequenceUnreachableException(
                "The script ended before the files and streams of the input were sent",
                hint="wait for that: task.sync.finalized(), or requence.flush(timeout=None)",
            )
        task_id = self._reserved.get()
        return StartUncertainError(
            f"The script ended before the service had answered for task {task_id}",
            task_id=task_id,
            hint=_look_at(task_id),
        )

    async def _run(self) -> Started:
        order = self._order
        prepared = await self.api.prepare(order.task_template)
        self._reserved.set(prepared.task_id)
        if not order.suppress_branch_warning:
            _warn_of_branch(prepared.branch)
        aborted = self._aborted(prepared)
        if aborted is not None:
            raise aborted
        request = await self._request(prepared)
        if self.api.client.shared_stream and not self._abandoned:
            self.seat = hub(self.api).seat(prepared.task_id, input=self.input, at=prepared.at)
        self._finalizing = True
        try:
            return await self.api.finalize(prepared, request)
        except LostAnswerError as lost:
            return await self._resolve(prepared, request, lost)
        except TaskException as error:
            aborted = self._aborted(prepared)
            if aborted is not None and error.status_code == 409:
                raise aborted from error
            raise

    async def _request(self, prepared: Prepared) -> Request:
        """Returns the request that starts the task; what does not go into it is uploaded first.

        Raises:
            TaskAbortedError: The task was aborted meanwhile.
        """
        order, limit = self._order, prepared.max_payload_size

        def build(name: Any, input: Any) -> Request:
            return self.api.finalize_request(
                prepared, name=name, input=input, priority=order.wire_priority, require_ack=order.require_ack
            )

        if not order.outgoing:
            request = build(order.name, order.input)
            if limit is None or prepared.upload_url is None or len(request.body or b"") <= limit:
                return request

        async def upload() -> Request:
            from requence._transport.file_api import FileApi  # here, since few need it
            from requence.files.references import with_objects
            from requence.task.uploads import fitting_request, with_uploads

            files = FileApi(self.api.client)
            filled = await with_uploads(order, prepared, files)
            request = await fitting_request(build, order.name, filled, prepared, files)
            self.input, _ = with_objects(filled, self.api.client, in_input=True)
            return request

        self._uploading = asyncio.create_task(upload(), name=f"upload for {prepared.task_id}")
        try:
            request = await self._uploading
        except asyncio.CancelledError:
            if self._abort is None or cast("asyncio.Task[None]", asyncio.current_task()).cancelling():
                raise
            raise cast("TaskAbortedError", self._aborted(prepared)) from None
        finally:
            self._uploading.cancel()
            self._uploading = None
        if (aborted := self._aborted(prepared)) is not None:
            raise aborted
        return request

    async def _resolve(
        self, prepared: Prepared, request: Request, lost: RequenceUnreachableException
    ) -> Started:
        """Finds out whether a finalize whose answer was lost has started the task."""
        status = await self._ask(prepared.task_id)
        if status == "idle":
            aborted = self._aborted(prepared)
            if aborted is not None:
                raise aborted from lost
            try:
                return await self.api.finalize(prepared, request)
            except RequenceUnreachableException as again:
                lost, status = again, None  # by now the first one may have arrived
            except TaskException as error:
                if error.status_code != 409:
                    raise
                status = "pending"  # refused as a repetition: the first one has arrived after all
        if status is None:
            raise StartUncertainError(
                f"Whether the task was started is not known: {lost.message}",
                task_id=prepared.task_id,
                task_template=self._order.task_template,
                hint=f"it is not sent again, so that it cannot run twice; {_look_at(prepared.task_id)}",
            ) from lost
        self.stream_lost = True
        return Started(prepared.task_id, watch_url=None, url=None)

    async def _ask(self, task_id: str) -> str | None:
        """Returns the task's status, or None if the service could not tell."""
        try:
            async with asyncio.timeout(_QUESTION_DEADLINE):
                for pause in (*_QUESTION_PAUSES, None):
                    try:
                        return known_status((await self.api.get(task_id, repeat=False)).status)
                    except RequenceUnreachableException:
                        pass
                    except TaskException as error:
                        if error.status_code is None or not is_transient(error.status_code):
                            return None
                    if pause is not None:
                        await asyncio.sleep(pause)
        except TimeoutError:
            pass
        return None

    def _aborted(self, prepared: Prepared) -> TaskAbortedError | None:
        """Returns the error for a task that this handle has aborted meanwhile."""
        if self._abort is None:
            return None
        reason = self._abort.reason
        return TaskAbortedError(aborted_message(reason), reason=reason, task_id=prepared.task_id)


@dataclass(frozen=True, slots=True)
class _Abort:
    reason: str | None


def _look_at(task_id: str) -> str:
    return f"look at it with get_task({task_id!r}), or wait for it with Task.attach"


def _warn_of_branch(branch: str) -> None:
    if branch != "live" and branch not in _warned_of_branches:
        _warned_of_branches.add(branch)
        _log.warning(
            "Tasks are started on the branch %r, not on 'live'; suppress_branch_warning=True silences this",
            branch,
        )
