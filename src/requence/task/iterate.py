"""Iterating, blocking or awaiting, over what the I/O thread puts into a mailbox."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NoReturn, Protocol, TypeVar

from requence._transport.blocking import WhatGoesOn, block_or_tell, wait_or_tell
from requence.exceptions import UsageError
from requence.task.waiting import LongWait

if TYPE_CHECKING:
    from requence._transport.io_loop import IOThread

__all__ = ["AsyncItems", "AsyncIteration", "Items", "Iteration", "Opening", "Source"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """What one iteration reads: a mailbox that can be closed."""

    @property
    def pop(self) -> Callable[[], T_co]:
        """Returns the next item, or raises IndexError if none waits. In any thread."""
        ...

    async def ready(self) -> bool:
        """Waits until an item can be taken; False at the end. On the I/O thread."""
        ...

    def close(self) -> None:
        """Ends it: the consumer has gone. On the I/O thread."""
        ...


def _may_block(instead: str) -> None:
    del instead


@dataclass(frozen=True, slots=True)
class Opening(Generic[T]):
    """What it takes to begin an iteration.

    Attributes:
        io: The I/O thread.
        source: Makes the source of one iteration.
        spelling: How it is written for `async for`, and how for `for`.
        wait: Describes what an iteration waits for.
        goes_on: Describes what goes on when such a wait is given up.
        keep: What must stay alive while somebody iterates: the handle.
        check_may_block: Told what to write instead, raises an error if a wait that blocks would never end.
    """

    io: IOThread
    source: Callable[[], Source[T]]
    spelling: tuple[str, str]
    wait: Callable[[], str]
    goes_on: WhatGoesOn
    keep: object
    check_may_block: Callable[[str], None] = _may_block


class Items(Generic[T]):
    """For `for`: each iteration gives all items, then ends."""

    __slots__ = ("_opening",)

    def __init__(self, opening: Opening[T]) -> None:
        self._opening = opening

    def __iter__(self) -> Iteration[T]:
        return Iteration(_Cursor(self._opening))

    def __repr__(self) -> str:
        return f"<{self._opening.spelling[1]} of {self._opening.keep!r}: for `for`>"

    if not TYPE_CHECKING:  # for which it would be there

        def __aiter__(self) -> NoReturn:
            asynchronous, blocking = self._opening.spelling
            raise UsageError(f"{blocking} is for a plain `for`: write `async for … in {asynchronous}`")


class AsyncItems(Generic[T]):
    """For `async for`: each iteration gives all items, then ends."""

    __slots__ = ("_opening",)

    def __init__(self, opening: Opening[T]) -> None:
        self._opening = opening

    def __aiter__(self) -> AsyncIteration[T]:
        return AsyncIteration(_Cursor(self._opening))

    def __repr__(self) -> str:
        return f"<{self._opening.spelling[0]} of {self._opening.keep!r}: for `async for`>"

    if not TYPE_CHECKING:  # for which these would be there

        def __iter__(self) -> NoReturn:
            raise UsageError(self._forgotten())

        def __await__(self) -> NoReturn:
            raise UsageError(self._forgotten())

    def _forgotten(self) -> str:
        asynchronous, blocking = self._opening.spelling
        return (
            f"{asynchronous} is for `async for … in {asynchronous}`, or without asyncio `for … in {blocking}`"
        )


class Iteration(Iterator[T]):
    """One blocking iteration. Leaving it early, or `close()`, ends what was opened for it."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: _Cursor[T]) -> None:
        self._cursor = cursor

    def __next__(self) -> T:
        while True:
            try:
                return self._cursor.pop()
            except IndexError:
                if not self._cursor.is_ready_blocking():
                    raise StopIteration from None

    def close(self) -> None:
        """Ends the iteration."""
        self._cursor.close()

    def __repr__(self) -> str:
        return f"<an iteration over {self._cursor!r}>"


class AsyncIteration(AsyncIterator[T]):
    """One awaiting iteration. Leaving it early, or `aclose()`, ends what was opened for it."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: _Cursor[T]) -> None:
        self._cursor = cursor

    async def __anext__(self) -> T:
        while True:
            try:
                return self._cursor.pop()
            except IndexError:
                if not await self._cursor.is_ready():
                    raise StopAsyncIteration from None

    async def aclose(self) -> None:
        """Ends the iteration."""
        self._cursor.close()

    def __repr__(self) -> str:
        return f"<an awaiting iteration over {self._cursor!r}>"


def _nothing() -> NoReturn:
    raise IndexError


class _Cursor(Generic[T]):
    """One iteration: takes what its source has brought.

    The source is closed when the iteration ends, or when the cursor is collected. A wait that is interrupted
    (Ctrl-C, a cancelled task) loses nothing.

    Attributes:
        pop: Returns the next item, or raises IndexError if none waits.
    """

    def __init__(self, opening: Opening[T]) -> None:
        self._io = opening.io
        self._goes_on = opening.goes_on
        self._instead = f"async for … in {opening.spelling[0]}"
        self._keep = opening.keep
        self._check_may_block = opening.check_may_block
        self._source = opening.source()
        self.pop = self._source.pop
        self._long_wait = LongWait(opening.wait)
        self._ended = False
        self._closer = weakref.finalize(self, self._io.call_soon, self._source.close)
        self._closer.atexit = False  # at exit the I/O thread closes all streams by itself

    def is_ready_blocking(self) -> bool:
        """Waits until there is a next item; returns False at the end."""
        if not self._ended:
            with self._closing_on_error():
                self._check_may_block(self._instead)
                if not block_or_tell(self._io, self._ready, self._goes_on, instead=self._instead):
                    self.close()
        return not self._ended

    async def is_ready(self) -> bool:
        """Waits until there is a next item; returns False at the end."""
        if not self._ended:
            with self._closing_on_error():
                if not await wait_or_tell(self._io, self._ready, self._goes_on):
                    self.close()
        return not self._ended

    def close(self) -> None:
        """Ends the iteration and closes its source. May be called more than once."""
        self._ended = True
        self.pop = _nothing
        self._closer()

    def __repr__(self) -> str:
        return f"the updates of {self._keep!r}{', ended' if self._ended else ''}"

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
