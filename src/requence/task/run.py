"""Everything that one handle does on the I/O thread: start the task, follow it, abort it, protect it.

The faces (`handle`, `sync`) only hand these coroutines to the I/O thread and wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from requence._client import Client
from requence._token import AccessToken
from requence._transport.io_thread import IOThread
from requence.exceptions import TaskWaitTimeout
from requence.task.callbacks import Callbacks
from requence.task.feed import Feed
from requence.task.iterate import Opening
from requence.task.order import Order
from requence.task.result import TaskResult
from requence.task.updates import Update
from requence.task.waiting import LongWait

if TYPE_CHECKING:
    from requence._transport.api import Started
    from requence.task.follow import Follow
    from requence.task.start import Start

__all__ = ["Run"]


class Run:
    """One task. Its coroutines run on the I/O thread; attributes may be read anywhere.

    Attributes:
        io: The thread.
        order: What the caller asked for.
    """

    def __init__(
        self, io: IOThread, token: AccessToken, client: Client, order: Order, callbacks: Callbacks
    ) -> None:
        self.io = io
        self.order = order
        self._token = token
        self._client = client
        self._begun: Start | None = None
        self._follow: Follow | None = None
        # Not kept here: a callback may belong to what holds the handle, which must be collected all the same.
        io.submit(lambda: self._begin(callbacks), before_exit=True)

    @property
    def known_id(self) -> str | None:
        """The task's id if it was started, else None; no I/O."""
        begun = self._begun
        return begun.started.task_id if begun is not None and begun.started is not None else None

    async def id(self) -> str:
        """Waits until the task was started and returns its id."""
        return (await self._started()).task_id

    async def url(self) -> str | None:
        """Waits until the task was started and returns its page, or None."""
        return (await self._started()).url

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
            started = self._start().started
            url = started.url if started else None
            raise TaskWaitTimeout(
                f"The task has not ended within {timeout:g} seconds; "
                + ("it still runs" if started else "its start is not confirmed yet"),
                task_id=started.task_id if started else None,
                task_url=url,
                hint=f"look at it at {url}" if url else None,
            ) from None

    def feed(self, after: int | None = None) -> Feed[Update]:
        """Returns the task's updates from a position on, on a stream of their own."""

        async def updates(room: asyncio.Event) -> AsyncGenerator[Update]:
            follow = await self._followed()
            async with aclosing(follow.updates(room=room, after=after)) as updates:
                async for update in updates:
                    yield update

        return Feed(updates)

    def describe(self, what: str) -> str:
        """Returns a text that says what is waited for, and where to look; no I/O."""
        started = self._begun.started if self._begun is not None else None
        if started is None:
            return f"the start of a task of {self.order.task_template!r} at {self._token.base_url}"
        where = f"; look at {started.url}" if started.url else ""
        return f"{what} of task {started.task_id} ({self.order.task_template!r}){where}"

    async def abort(self, reason: str | None) -> None:
        """Aborts the task."""
        await self._start().abort(reason)

    async def protect(self) -> None:
        """Protects the task."""
        await self._start().protect()

    def release(self) -> None:
        """Stops what only served the handle, which is gone; the task itself goes on."""
        self._start().abandon()
        if self._follow is not None:
            self._follow.release()

    async def _begin(self, callbacks: Callbacks) -> None:
        start = self._start()
        await start.run()
        if start.started is not None and "on_update" in callbacks:
            (await self._followed()).tell(callbacks)

    async def _started(self) -> Started:
        with LongWait(lambda: self.describe("the start")).waiting():
            return await self._start().wait()

    def _start(self) -> Start:
        """Returns the start; at the first call, on the I/O thread, the HTTP libraries are imported."""
        if self._begun is None:
            from requence._transport.api import Api
            from requence.task.start import Start

            self._begun = Start(Api(self._token, self._client), self.order, self.io.loop)
        return self._begun

    async def _followed(self) -> Follow:
        from requence.task.follow import Follow

        start = self._start()
        started = await start.wait()
        if self._follow is None:
            self._follow = Follow(
                start.api,
                started,
                input=self.order.input,
                task_template=self.order.task_template,
                stream_lost=start.stream_lost,
                seat=start.seat,
            )
        return self._follow


def opening_of_updates(run: Run, keep: object, after: int | None = None) -> Opening[Update]:
    """Returns what it takes to iterate over a task's updates; `keep` is the handle."""
    return Opening(
        io=run.io,
        source=lambda: run.feed(after),
        name="updates",
        wait=lambda: run.describe("the next update"),
        keep=keep,
    )
