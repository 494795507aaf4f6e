"""Iterating over updates, blocking or awaiting; each iteration is a stream of its own, read by the I/O thread."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager, suppress

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
    """One iteration: takes what its stream has brought.

    The stream is closed when the iteration ends, or when the cursor is collected. A wait that is interrupted
    (Ctrl-C, a cancelled task) loses nothing.
    """

    def __init__(self, run: Run, keep: object) -> None:
        self._io = run.io
        self._keep = keep
        self._feed = Feed(run.updates())
        self._ended = False
        self._closer = weakref.finalize(self, run.io.call_soon, self._feed.close)
        self._closer.atexit = False  # at exit the I/O thread closes all streams by itself

    def next_blocking(self) -> Update | None:
        """Returns the next update, or None at the end."""
        while not self._ended:
            with suppress(IndexError):
                return self._feed.pop()
            with self._closing_on_error():
                if not self._io.run(self._feed.ready()):
                    self.close()
        return None

    async def next(self) -> Update | None:
        """Returns the next update, or None at the end."""
        while not self._ended:
            with suppress(IndexError):
                return self._feed.pop()
            with self._closing_on_error():
                if not await self._io.run_async(self._feed.ready()):
                    self.close()
        return None

    def close(self) -> None:
        """Ends the iteration and closes its stream. May be called more than once."""
        self._ended = True
        self._closer()

    @contextmanager
    def _closing_on_error(self) -> Generator[None]:
        # Not on Ctrl-C or when the awaiting task is cancelled: then the iteration can go on.
        try:
            yield
        except Exception:
            self.close()
            raise
