"""Everything that one handle does on the I/O thread: start the task, follow it, abort it, protect it.

The faces (`handle`, `sync`) wait for its two outcomes, `starting` and `ending`; the rest they hand to that thread.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from requence._client import Client
from requence._token import AccessToken
from requence._transport.io_loop import IOThread
from requence._transport.io_thread import io_thread
from requence._transport.outcome import SharedOutcome
from requence._transport.started import Started
from requence.exceptions import (
    ForkedHandleError,
    RequenceError,
    StartUncertainError,
    TaskAbortedError,
    TaskException,
    TaskWaitTimeout,
    UsageError,
)
from requence.task.callbacks import Callbacks
from requence.task.feed import Feed
from requence.task.order import Order
from requence.task.reference import TaskRef
from requence.task.result import TaskResult
from requence.task.starts import StartOutcome, Starts
from requence.task.updates import Update
from requence.task.waiting import LongWait

if TYPE_CHECKING:
    from requence.task.attached import Attached
    from requence.task.follow import Follow
    from requence.task.start import Start

__all__ = ["Run", "starts"]

_WITHOUT_START: dict[type[BaseException], str] = {
    StartUncertainError: "maybe started",
    TaskAbortedError: "aborted before its start",
}

_starts: WeakKeyDictionary[asyncio.AbstractEventLoop, Starts[Run]] = WeakKeyDictionary()


def starts() -> Starts[Run]:
    """Returns the starts of this process. On the I/O thread."""
    loop = asyncio.get_running_loop()
    found = _starts.get(loop)
    if found is None:
        found = _starts[loop] = Starts()
        io_thread().last_words[id(found)] = _cut_off_starts
    return found


def _cut_off_starts() -> None:
    for run in starts().unsettled:
        run.cut_off()


class Run:
    """One task. Its coroutines run on the I/O thread; attributes may be read, and outcomes waited for, anywhere.

    Attributes:
        of: What the caller asked for, or the task that the handle was attached to.
        start: What became of the start.
        handle: The handle, as long as somebody has it.
        quiet: Whether others say that it takes long, who wait for many.
    """

    def __init__(
        self,
        io: IOThread,
        token: AccessToken,
        client: Client,
        of: Order | TaskRef,
        callbacks: Callbacks | None,
    ) -> None:
        self.of = of
        self.handle: weakref.ref[Any] | None = None
        self.quiet = False
        self.start = StartOutcome()
        self._io = io
        self._token = token
        self._client = client
        self._begun: Start | Attached | None = None
        self._follow: Follow | None = None
        self._ending: SharedOutcome[TaskResult] | None = None
        self._long_wait: LongWait | None = None
        if isinstance(of, TaskRef):
            self.start.set(Started(of.task_id, watch_url=of.watch_url, url=of.task_url))
        # The callbacks are not kept here for longer than the start takes: they may belong to what holds the
        # handle, which must be collected all the same. They are told before anybody else who waits for the start.
        if isinstance(of, Order):
            if callbacks is not None:
                self.start.on_done(partial(self._tell, callbacks))
            io.submit(self._begin, before_exit=True)
        elif callbacks is not None:
            io.call(partial(self._tell, callbacks))

    @property
    def io(self) -> IOThread:
        """The I/O thread of this process.

        Raises:
            ForkedHandleError: The process was forked while the task was being started.
        """
        if not self._io.is_here:
            self._come_through_fork()
        return self._io

    @property
    def base_url(self) -> str:
        """The base URL of the service; no I/O."""
        return self._token.base_url

    @property
    def known_id(self) -> str | None:
        """The task's id if it was started, else None; no I/O."""
        started = self.start.value
        return None if started is None else started.task_id

    @property
    def state(self) -> str:
        """What is known of the task, in a word or two; no I/O. One that runs may have ended meanwhile."""
        if not self.start.is_done:
            return "starting" if self._io.is_here else "being started by the parent process"
        if self.start.error is not None:
            return _WITHOUT_START.get(type(self.start.error), "not started")
        return "started" if self._follow is None else self._follow.state

    def known_ref(self) -> TaskRef | None:
        """Returns a reference to the task if it was started, else None; no I/O."""
        started = self.start.value
        return None if started is None else self.reference(started)

    def reference(self, started: Started) -> TaskRef:
        """Returns a reference to the task, which was started."""
        if isinstance(self.of, TaskRef):
            return self.of
        return TaskRef(
            task_id=started.task_id,
            base_url=self._token.base_url,
            task_template=self.of.task_template,
            task_url=started.url,
            watch_url=started.watch_url,
        )

    def starting(self) -> StartOutcome:
        """Returns what becomes of the start, to be waited for. In any thread."""
        self.start.is_asked = self.start.is_waited_for = True
        return self.start

    def ending(self) -> SharedOutcome[TaskResult]:
        """Returns how the task ends, to be waited for; what has failed to follow it is tried again. In any thread.

        Raises when it is asked:
            TaskFailedError: The task failed.
            TaskAbortedError: The task was aborted.
            AckFailedError: It ended, but its delivery could not be confirmed.
            RequenceError: It was not started, or following it is not possible.
        """
        io, ending = self.io, self._ending
        if ending is None or ending.error is not None:
            self.start.is_asked = True
            ending = SharedOutcome[TaskResult]()
            io.call(partial(self.start.on_done, partial(self._await_end, ending)))
            self._ending = ending  # not before: Ctrl-C may hit, and the next wait would be for nothing
        return ending

    async def result_within(self, seconds: float) -> TaskResult:
        """Waits for so many seconds at most until the task has ended, and returns its result.

        Raises:
            TaskWaitTimeout: It has not ended.
            RequenceError: See `ending`.
        """
        ending = self.ending()
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await ending.wait()
        except TimeoutError:
            if not limit.expired():
                raise
            raise self.wait_is_over(f"The task has not ended within {seconds:g} seconds") from None
        return ending.get()

    def check_may_block(self, instead: str) -> None:
        """Says whether a wait that blocks the calling thread can come to an end.

        Raises:
            UsageError: The thread runs the event loop that has to read a stream of the input first.
        """
        pumps = self.of.pumps if isinstance(self.of, Order) else None
        if pumps and not self.start.is_done and any(pump.needs_this_thread for pump in pumps.values()):
            raise UsageError(
                "This would wait for ever: it blocks the event loop that has to read a stream of the input first",
                hint=f"write `{instead}`",
            )

    def feed(self, after: int | None = None) -> Feed[Update]:
        """Returns the task's updates from a position on, on a stream of their own."""

        async def updates(room: asyncio.Event) -> AsyncGenerator[list[Update]]:
            self.start.is_asked = True
            await self.start.wait()
            follow = self._followed()
            async with aclosing(follow.updates(room=room, after=after)) as batches:
                async for batch in batches:
                    yield batch

        return Feed(updates)

    def describe(self, what: str) -> str:
        """Returns a text that says what is waited for, and where to look; no I/O."""
        if self.known_id is None:
            return f"the start of a task of {self.of.task_template!r} at {self._token.base_url}"
        return f"{what} of {self._name()}{self._where_to_look()}"

    def goes_on(self) -> str | None:
        """Returns what becomes of the task when a wait for it is given up; None if it has ended. No I/O."""
        if self._follow is not None and self._follow.has_ended:
            return None
        if self.known_id is not None:
            return f"Only the wait has ended: {self._name()} still runs{self._where_to_look()}"
        if self.start.error is not None:
            return None
        return f"Only the wait has ended: the start of a task of {self.of.task_template!r} goes on"

    def not_confirmed(self, verb: str) -> str:
        """Returns what is known of a request of this handle whose wait was given up; no I/O."""
        name = self._name() if self.known_id else f"a task of {self.of.task_template!r}"
        return f"Whether the {verb} of {name} has arrived is not known{self._where_to_look()}"

    def wait_is_over(self, message: str) -> TaskWaitTimeout:
        """Returns the error for a wait that took too long; no I/O."""
        ref = self.known_ref()
        url = ref.task_url if ref else None
        return TaskWaitTimeout(
            f"{message}; {'it still runs' if ref else 'its start is not confirmed yet'}",
            task_id=ref.task_id if ref else None,
            task_url=url,
            hint=f"look at it at {url}" if url else None,
        )

    async def abort(self, reason: str | None) -> None:
        """Aborts the task."""
        await self._beginning().abort(reason)

    async def protect(self) -> None:
        """Protects the task."""
        await self._beginning().protect()

    def close(self) -> None:
        """Stops what only served the handle, which is gone; the task itself goes on. In any thread."""
        if not self._serves_nothing():
            self._io.call_soon(self._release)

    def _serves_nothing(self) -> bool:
        """Says whether nothing is under way any more, as nearly always: looking there costs half a request."""
        if self._client.shared_stream or self.start.value is None:
            return False
        return self._ending is None or self._ending.value is not None

    def overheard(self) -> AbstractContextManager[None]:
        """Returns a context in which a failure of the start is not logged yet. On the I/O thread."""
        return self._beginning().overheard()

    def cut_off(self) -> None:
        """Logs what is not known of the start, or known to nobody, as the process ends. On the I/O thread."""
        self._beginning().cut_off()

    def _release(self) -> None:
        about_to_begin = isinstance(self.of, Order) and not self.start.is_done
        if about_to_begin or self._begun is not None:
            self._beginning().abandon()
        if self._ending is not None:  # maybe not begun to be followed yet, and then it never is
            self._ending.fail(UsageError("The task is followed no more: its handle has gone"))
        if self._follow is not None:
            self._follow.release()
        if self._long_wait is not None:
            self._long_wait.end()

    async def _begin(self) -> None:
        try:
            beginning = self._beginning()
        except Exception as error:  # an installation that is not whole must not leave the waiters hanging
            self._fail_to_begin(error)
            return
        long_wait = LongWait(self._describe_start)
        long_wait.begin()
        with starts().under_way(self):
            await beginning.run()
        long_wait.end()
        if not isinstance(self.of, Order):
            return
        failed = self.start.error
        if self.of.outgoing or failed is not None:
            # It may be large, and is of no more use: with the bytes of files in it, or without a task.
            self.of = replace(self.of, input=beginning.input, outgoing=(), pumps=None)
        if isinstance(failed, RequenceError):
            starts().has_failed(self, failed)

    def _fail_to_begin(self, error: Exception) -> None:
        failure = TaskException(
            f"The task could not be started: {error}",
            task_template=self.of.task_template,
            hint="a part of the package, or of what it needs, cannot be imported: install it again",
        )
        failure.__cause__ = error
        self.start.fail(failure)
        starts().has_failed(self, failure)

    def _tell(self, callbacks: Callbacks) -> None:
        if self.start.error is None:
            self._followed().tell(callbacks)

    def _describe_start(self) -> str | None:
        if self.quiet:
            return None
        ending = self._ending
        is_waited_for = self.start.is_waited_for or (ending is not None and ending.waiting)
        return self.describe("the start") if is_waited_for else None

    def _describe_result(self) -> str | None:
        ending = self._ending  # of those who wait for it, one is the sign of life itself, which ends with it
        waited_for = ending is not None and ending.waiting > 1 and not self.quiet
        return self.describe("the result") if waited_for else None

    def _beginning(self) -> Start | Attached:
        """Returns what starts the task; at the first call, on the I/O thread, the HTTP libraries are imported."""
        if self._begun is None:
            self._begun = self._make_beginning()
        return self._begun

    def _make_beginning(self) -> Start | Attached:
        from requence._transport.api import Api
        from requence._transport.watch_url import trusted_watch_url
        from requence.task.attached import Attached
        from requence.task.start import Start

        api, of = Api(self._token, self._client), self.of
        if isinstance(of, TaskRef):
            watch_url = trusted_watch_url(of.watch_url, of.base_url)
            return Attached(
                api, StartOutcome.known(Started(of.task_id, watch_url=watch_url, url=of.task_url))
            )
        return Attached(api, self.start, of.input) if self.start.is_done else Start(api, of, self.start)

    def _await_end(self, ending: SharedOutcome[TaskResult]) -> None:
        """Has the end of the task told, now that it was started. On the I/O thread."""
        if ending.is_done:  # the handle has gone, and nobody waits any more
            return
        try:
            follow = self._followed()
        except Exception as error:
            ending.fail(error)
            return
        if self._long_wait is None:
            self._long_wait = LongWait(self._describe_result)
        self._long_wait.begin()
        ending.on_done(self._long_wait.end)
        follow.tell_end(ending)

    def _followed(self) -> Follow:
        """Returns what follows the task, once it was started.

        Raises:
            RequenceError: It was not.
        """
        from requence.task.follow import Follow

        if self._follow is None:
            beginning = self._beginning()
            self._follow = Follow(
                beginning.api,
                beginning.outcome.get(),
                input=beginning.input,
                task_template=self.of.task_template,
                stream_lost=beginning.stream_lost,
                seat=beginning.seat,
            )
        return self._follow

    def _name(self) -> str:
        template = f" ({self.of.task_template!r})" if self.of.task_template else ""
        return f"task {self.known_id}{template}"

    def _where_to_look(self) -> str:
        ref = self.known_ref()
        return f"; look at {ref.task_url}" if ref and ref.task_url else ""

    def _come_through_fork(self) -> None:
        """Goes on in a forked child, whose I/O thread is another one.

        Raises:
            ForkedHandleError: What became of the start is known to the parent only.
        """
        if not self.start.is_done:
            raise ForkedHandleError(
                f"The process was forked while a task of {self.of.task_template!r} was being started, so only the "
                "parent knows what became of it",
                hint="make the handle in the child, or fork after task.sync.id; "
                "the parent can hand over task.sync.ref()",
            )
        # Never collected here: they belong to a loop of the parent.
        self._of_parent = self._begun, self._follow, self._ending, self._long_wait
        self._begun = self._follow = self._ending = self._long_wait = None
        self._io = io_thread()
