"""Iterating, blocking or awaiting, over what the I/O thread puts into a mailbox."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from requence._transport.io_thread import IOThread
from requence.task.waiting import LongWait

__all__ = ["AsyncItems", "AsyncIteration", "Items", "Iteration", "Opening", "Source"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """What one iteration reads: a mailbox that can be closed."""

    def pop(self) -> T_co:
        """Returns the next item; raises IndexError if none waits. In any thread."""
        ...

    async def ready(self) -> bool:
        """Waits until an item can be taken; False at the end. On the I/O thread."""
        ...

    def close(self) -> None:
        """Ends it: the consumer has gone. On the I/O thread."""
        ...


@dataclass(frozen=True, slots=True)
class Opening(Generic[T]):
    """What it takes to begin an iteration.

    Attributes:
        io: The I/O thread.
        source: Makes the source of one iteration.
        name: What is iterated over, for the `repr`.
        wait: Describes what an iteration waits for.
        keep: What must stay alive while somebody iterates: the handle.
    """

    io: IOThread
    source: Callable[[], Source[T]]
    name: str
    wait: Callable[[], str]
    keep: object


class Items(Generic[T]):
    """For `for`: each iteration gives all items, then ends."""

    __slots__ = ("_opening",)

    def __init__(self, opening: Opening[T]) -> None:
        self._opening = opening

    def __iter__(self) -> Iteration[T]:
        return Iteration(_Cursor(self._opening))

    def __repr__(self) -> str:
        return f"<{self._opening.name} of {self._opening.keep!r}: for `for`>"


class AsyncItems(Generic[T]):
    """For `async for`: each iteration gives all items, then ends."""

    __slots__ = ("_opening",)

    def __init__(self, opening: Opening[T]) -> None:
        self._opening = opening

    def __aiter__(self) -> AsyncIteration[T]:
        return AsyncIteration(_Cursor(self._opening))

    def __repr__(self) -> str:
        return (
            f"<{self._opening.name} of {self._opening.keep!r}: for `async for`; without asyncio use `.sync`>"
        )


class Iteration(Iterator[T]):
    """One blocking iteration. Leaving it early, or `close()`, ends what was opened for it."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: _Cursor[T]) -> None:
        self._cursor = cursor

    def __next__(self) -> T:
        item = self._cursor.next_blocking()
        if item is None:
            raise StopIteration
        return item

    def close(self) -> None:
        """Ends the iteration."""
        self._cursor.close()


class AsyncIteration(AsyncIterator[T]):
    """One awaiting iteration. Leaving it early, or `aclose()`, ends what was opened for it."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: _Cursor[T]) -> None:
        self._cursor = cursor

    async def __anext__(self) -> T:
        item = await self._cursor.next()
        if item is None:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Ends the iteration."""
        self._cursor.close()


class _Cursor(Generic[T]):
    """One iteration: takes what its source has brought.

    The source is closed when the iteration ends, or when the cursor is collected. A wait that is interrupted
    (Ctrl-C, a cancelled task) loses nothing.
    """

    def __init__(self, opening: Opening[T]) -> None:
        self._io = opening.io
        self._keep = opening.keep
        self._source = opening.source()
        self._long_wait = LongWait(opening.wait)
        self._ended = False
        self._closer = weakref.finalize(self, self._io.call_soon, self._source.close)
        self._closer.atexit = False  # at exit the I/O thread closes all streams by itself

    def next_blocking(self) -> T | None:
        """Returns the next item, or None at the end."""
        while not self._ended:
            with suppress(IndexError):
                return self._source.pop()
            with self._closing_on_error():
                if not self._io.run(self._ready):
                    self.close()
        return None

    async def next(self) -> T | None:
        """Returns the next item, or None at the end."""
        while not self._ended:
            with suppress(IndexError):
                return self._source.pop()
            with self._closing_on_error():
                if not await self._io.run_async(self._ready):
                    self.close()
        return None

    def close(self) -> None:
        """Ends the iteration and closes its source. May be called more than once."""
        self._ended = True
        self._closer()

    async def _ready(self) -> bool:
        with self._long_wait.waiting():
            return await self._source.ready()

    @contextmanager
    def _closing_on_error(self) -> Generator[None]:
        # Not on Ctrl-C or when the awaiting task is cancelled: then the iteration can go on.
        try:
            yield
        except Exception:
            self.close()
            raise
