"""Everything that one handle does on the I/O thread: start the task, follow it, abort it, protect it.

The faces (`handle`, `sync`) only hand these coroutines to the I/O thread and wait.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from requence._client import Client
from requence._token import AccessToken
from requence._transport.io_thread import IOThread, io_thread
from requence.exceptions import ForkedHandleError, RequenceError, TaskWaitTimeout
from requence.task.callbacks import Callbacks
from requence.task.feed import Feed
from requence.task.iterate import Opening
from requence.task.order import Order
from requence.task.reference import TaskRef
from requence.task.result import TaskResult
from requence.task.starts import Starts
from requence.task.updates import Update
from requence.task.waiting import LongWait

if TYPE_CHECKING:
    from requence._transport.api import Started
    from requence.task.attached import Attached
    from requence.task.follow import Follow
    from requence.task.start import Start

__all__ = ["Run", "opening_of_updates", "starts"]

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
    """One task. Its coroutines run on the I/O thread; attributes may be read anywhere.

    Attributes:
        of: What the caller asked for, or the task that the handle was attached to.
        handle: The handle, as long as somebody has it.
    """

    def __init__(
        self, io: IOThread, token: AccessToken, client: Client, of: Order | TaskRef, callbacks: Callbacks
    ) -> None:
        self.of = of
        self.handle: weakref.ref[Any] | None = None
        self._io = io
        self._token = token
        self._client = client
        self._begun: Start | Attached | None = None
        self._follow: Follow | None = None
        self._before_fork: Started | RequenceError | None = None
        # The callbacks are not kept here: they may belong to what holds the handle, which must be collected all
        # the same.
        if isinstance(of, Order) or "on_update" in callbacks:
            io.submit(lambda: self._begin(callbacks), before_exit=isinstance(of, Order))

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
    def known_id(self) -> str | None:
        """The task's id if it was started, else None; no I/O."""
        if isinstance(self.of, TaskRef):
            return self.of.task_id
        started = self._known_start()
        return started.task_id if started is not None else None

    def known_ref(self) -> TaskRef | None:
        """Returns a reference to the task if it was started, else None; no I/O."""
        if isinstance(self.of, TaskRef):
            return self.of
        started = self._known_start()
        return None if started is None else self._reference(started)

    async def id(self) -> str:
        """Waits until the task was started and returns its id."""
        return (await self._started()).task_id

    async def url(self) -> str | None:
        """Waits until the task was started and returns its page, or None."""
        return (await self._started()).url

    async def ref(self) -> TaskRef:
        """Waits until the task was started and returns a reference to it."""
        if isinstance(self.of, TaskRef):
            return self.of
        return self._reference(await self._started())

    async def result(self, timeout: float | None = None) -> TaskResult:
        """Waits until the task has ended and returns its result.

        Raises:
            TaskWaitTimeout: It has not ended within `timeout` seconds.
        """
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                with LongWait(lambda: self.describe("the result")).waiting():
                    return await (await self._followed()).outcome()
        except TimeoutError:
            if timeout is None or not limit.expired():
                raise
            raise self.wait_is_over(f"The task has not ended within {timeout:g} seconds") from None

    def feed(self, after: int | None = None) -> Feed[Update]:
        """Returns the task's updates from a position on, on a stream of their own."""

        async def updates(room: asyncio.Event) -> AsyncGenerator[list[Update]]:
            follow = await self._followed()
            async with aclosing(follow.updates(room=room, after=after)) as batches:
                async for batch in batches:
                    yield batch

        return Feed(updates)

    def describe(self, what: str) -> str:
        """Returns a text that says what is waited for, and where to look; no I/O."""
        started = self._known_start()
        if started is None and not isinstance(self.of, TaskRef):
            return f"the start of a task of {self.of.task_template!r} at {self._token.base_url}"
        return f"{what} of {self._name()}{self._where_to_look()}"

    def goes_on(self) -> str | None:
        """Returns what becomes of the task when a wait for it is given up; None if it has ended. No I/O."""
        if self._follow is not None and self._follow.has_ended:
            return None
        if self.known_id is not None:
            return f"Only the wait has ended: {self._name()} still runs{self._where_to_look()}"
        if self._begun is not None and self._begun.failure is not None:
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
        await self._start().abort(reason)

    async def protect(self) -> None:
        """Protects the task."""
        await self._start().protect()

    def close(self) -> None:
        """Stops what only served the handle, which is gone; the task itself goes on. In any thread."""
        self._io.call_soon(self._release)

    def overheard(self) -> AbstractContextManager[None]:
        """Returns a context in which a failure of the start is not logged yet. On the I/O thread."""
        return self._start().overheard()

    def told(self) -> None:
        """Takes note that the caller has learnt how the start went. On the I/O thread."""
        self._start().told()

    def cut_off(self) -> None:
        """Logs what is not known of the start, or known to nobody, as the process ends. On the I/O thread."""
        self._start().cut_off()

    def _release(self) -> None:
        if isinstance(self.of, Order) or self._begun is not None:  # a start may be about to begin
            self._start().abandon()
        if self._follow is not None:
            self._follow.release()

    async def _begin(self, callbacks: Callbacks) -> None:
        start = self._start()
        if isinstance(self.of, Order):
            with starts().under_way(self):
                await start.run()
            if start.failure is not None:
                self.of = replace(self.of, input=None)  # it may be large, and is of no more use
                starts().has_failed(self, start.failure)
        if start.started is not None and "on_update" in callbacks:
            (await self._followed()).tell(callbacks)

    async def _started(self) -> Started:
        with LongWait(lambda: self.describe("the start")).waiting():
            return await self._start().wait()

    def _start(self) -> Start | Attached:
        """Returns the start; at the first call, on the I/O thread, the HTTP libraries are imported."""
        if self._begun is None:
            self._begun = self._make_start()
        return self._begun

    def _make_start(self) -> Start | Attached:
        from requence._transport.api import Api, Started
        from requence._transport.watch_url import trusted_watch_url
        from requence.task.attached import Attached
        from requence.task.start import Start

        api, of = Api(self._token, self._client), self.of
        if self._before_fork is not None:
            return Attached(api, self._before_fork)
        if isinstance(of, TaskRef):
            watch_url = trusted_watch_url(of.watch_url, of.base_url)
            return Attached(api, Started(of.task_id, watch_url=watch_url, url=of.task_url))
        return Start(api, of, self._io.loop)

    async def _followed(self) -> Follow:
        from requence.task.follow import Follow

        start = self._start()
        started = await start.wait()
        if self._follow is None:
            self._follow = Follow(
                start.api,
                started,
                input=self.of.input if isinstance(self.of, Order) else None,
                task_template=self.of.task_template,
                stream_lost=start.stream_lost,
                seat=start.seat,
            )
        return self._follow

    def _known_start(self) -> Started | None:
        outcome = self._before_fork if self._begun is None else self._begun.started
        return None if isinstance(outcome, RequenceError) else outcome

    def _reference(self, started: Started) -> TaskRef:
        return TaskRef(
            task_id=started.task_id,
            base_url=self._token.base_url,
            task_template=self.of.task_template,
            task_url=started.url,
            watch_url=started.watch_url,
        )

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
        begun = self._begun
        if begun is not None:
            self._before_fork = self._before_fork or begun.started or begun.failure
        if self._before_fork is None and isinstance(self.of, Order):
            raise ForkedHandleError(
                f"The process was forked while a task of {self.of.task_template!r} was being started, so only the "
                "parent knows what became of it",
                hint="make the handle in the child, or fork after task.sync.id; "
                "the parent can hand over task.sync.ref()",
            )
        self._of_parent = begun, self._follow  # never collected here: they belong to a loop of the parent
        self._begun = self._follow = None
        self._io = io_thread()


def opening_of_updates(run: Run, keep: object, after: int | None = None) -> Opening[Update]:
    """Returns what it takes to iterate over a task's updates; `keep` is the handle."""
    name = "updates" if after is None else f"updates_after({after})"
    return Opening(
        io=run.io,
        source=lambda: run.feed(after),
        spelling=(f"task.{name}", f"task.sync.{name}"),
        wait=lambda: run.describe("the next update"),
        goes_on=run.goes_on,
        keep=keep,
    )
