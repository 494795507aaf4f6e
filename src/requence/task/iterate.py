"""Iterating over updates, blocking or awaiting; each iteration is a stream of its own, read by the I/O thread."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future

from requence.task.feed import Feed
from requence.task.run import Run
from requence.task.updates import Update

__all__ = ["AsyncUpdates", "Updates"]


class Updates:
    """The updates of a task, for `for`. Each iteration gives all of them from the first on, then ends."""

    __slots__ = ("_keep", "_run")

    def __init__(self, run: Run, keep: object) -> None:
        self._run = run
        self._keep = keep

    def __iter__(self) -> UpdateIterator:
        return UpdateIterator(_Cursor(self._run, self._keep))

    def __repr__(self) -> str:
        return f"<updates of {self._keep!r}: for `for`>"


class AsyncUpdates:
    """The updates of a task, for `async for`. Each iteration gives all of them from the first on, then ends."""

    __slots__ = ("_keep", "_run")

    def __init__(self, run: Run, keep: object) -> None:
        self._run = run
        self._keep = keep

    def __aiter__(self) -> AsyncUpdateIterator:
        return AsyncUpdateIterator(_Cursor(self._run, self._keep))

    def __repr__(self) -> str:
        return f"<updates of {self._keep!r}: for `async for`; without asyncio use task.sync.updates>"


class UpdateIterator(Iterator[Update]):
    """One blocking iteration. Leaving it early, or `close()`, closes its stream."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: _Cursor) -> None:
        self._cursor = cursor

    def __next__(self) -> Update:
        update = self._cursor.next_blocking()
        if update is None:
            raise StopIteration
        return update

    def close(self) -> None:
        """Ends the iteration."""
        self._cursor.close()


class AsyncUpdateIterator(AsyncIterator[Update]):
    """One awaiting iteration. Leaving it early, or `aclose()`, closes its stream."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: _Cursor) -> None:
        self._cursor = cursor

    async def __anext__(self) -> Update:
        update = await self._cursor.next()
        if update is None:
            raise StopAsyncIteration
        return update

    async def aclose(self) -> None:
        """Ends the iteration."""
        self._cursor.close()


class _Cursor:
    """One iteration: what it was given so far, and the stream it takes more from.

    The stream is closed when the iteration ends, or when the cursor is collected. A wait that is interrupted
    (Ctrl-C, a cancelled task) loses nothing: the next one goes on with the same request.
    """

    def __init__(self, run: Run, keep: object) -> None:
        self._io = run.io
        self._keep = keep
        self._feed = Feed(run.updates())
        self._batch: deque[Update] = deque()
        self._taking: Future[list[Update]] | None = None
        self._ended = False
        self._closer = weakref.finalize(self, run.io.call_soon, self._feed.close)
        self._closer.atexit = False  # at exit the I/O thread closes all streams by itself

    def next_blocking(self) -> Update | None:
        """Returns the next update, or None at the end."""
        while not self._batch and not self._ended:
            try:
                batch = self._io.wait(self._take())
            except Exception:
                self.close()
                raise
            self._accept(batch)
        return self._batch.popleft() if self._batch else None

    async def next(self) -> Update | None:
        """Returns the next update, or None at the end."""
        while not self._batch and not self._ended:
            try:
                batch = await self._io.wait_async(self._take())
            except Exception:
                self.close()
                raise
            self._accept(batch)
        return self._batch.popleft() if self._batch else None

    def close(self) -> None:
        """Ends the iteration and closes its stream. May be called more than once."""
        self._ended = True
        self._batch.clear()
        self._closer()

    def _take(self) -> Future[list[Update]]:
        if self._taking is None:
            self._taking = self._io.submit(self._feed.take())
        return self._taking

    def _accept(self, batch: list[Update]) -> None:
        self._taking = None
        self._batch.extend(batch)
        if not batch:
            self.close()
