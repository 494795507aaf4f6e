"""From the I/O thread to one consumer: a bounded buffer, with one wake-up for all that has gathered in it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Generic, TypeAlias, TypeVar

from requence._transport.crossing import BATCH
from requence._transport.outcome import fresh

__all__ = ["CAPACITY", "Mailbox", "Parcel"]

T = TypeVar("T")

CAPACITY = 1024

Parcel: TypeAlias = tuple[T, Callable[[], Awaitable[object]] | None]
"""An item, and what is to be done before it may be taken."""


class Mailbox(Generic[T]):
    """What waits for one consumer, each item once: 1,024 items at most, if its source stops when it is told.

    `pop` may be called in any thread, the rest only on the I/O thread.

    Attributes:
        pop: Returns the next item, or raises IndexError if none waits; `ready` tells when there is one.
    """

    def __init__(self, *, on_full: Callable[[], None], on_drained: Callable[[], None]) -> None:
        """Makes an empty one.

        Args:
            on_full: Called when one more batch may not fit any more; the rest of this one does.
            on_drained: Called when after that all items were taken.
        """
        self._items: deque[T] = deque()
        self.pop = self._items.popleft
        self._held: deque[Parcel[T]] = deque()  # from the first item on before which something is to be done
        self._changed = asyncio.Event()
        self._on_full = on_full
        self._on_drained = on_drained
        self._full = False
        self._ended = False
        self._error: Exception | None = None
        self._begun: Parcel[T] | None = None  # what is to be done before it is under way
        self._stopped = asyncio.Event()

    def put(self, item: T, before: Callable[[], Awaitable[object]] | None = None) -> None:
        """Adds an item; `before` it can be taken, something is done, once the consumer has come to it."""
        if before is None and not self._held:
            self._items.append(item)
        else:
            self._held.append((item, before))
        self._has_changed()

    def put_all(self, items: Iterable[T]) -> None:
        """Adds some items, before which nothing is to be done."""
        if self._held:
            self._held.extend((item, None) for item in items)
        else:
            self._items.extend(items)
        self._has_changed()

    def _has_changed(self) -> None:
        self._changed.set()
        if not self._full and len(self._items) + len(self._held) > CAPACITY - BATCH:
            self._full = True
            self._on_full()

    def end(self, error: Exception | None = None) -> None:
        """Says that nothing more will come; `error` is raised once everything was taken."""
        if not self._ended:
            self._ended, self._error = True, error
            self._changed.set()

    def stop(self) -> None:
        """Ends it now. What was not taken is dropped, but for an item before which something is being done."""
        begun = self._begun if self._held and self._held[0] is self._begun else None
        self.empty()
        if begun is not None:
            self._items.append(begun[0])
        self._stopped.set()
        self.end()

    def empty(self) -> list[Parcel[T]]:
        """Takes everything out, for somebody else."""
        parcels: list[Parcel[T]] = [(item, None) for item in self.take()]
        parcels += self._held
        self._held.clear()
        return parcels

    def take(self) -> list[T]:
        """Returns all that `pop` would return now."""
        taken: list[T] = []
        with suppress(IndexError):  # one by one, since the consumer may take some meanwhile
            while True:
                taken.append(self._items.popleft())
        return taken

    async def ready(self) -> bool:
        """Waits until an item can be taken. Takes nothing itself, so it can be cancelled without loss.

        Returns:
            False at the end.

        Raises:
            Exception: The error that it was ended with.
        """
        while not self._items:
            if self._held:
                await self._release()
            elif self._ended:
                if self._error is not None:
                    raise fresh(self._error) from self._error.__cause__
                return False
            else:
                if self._full:
                    self._full = False
                    self._on_drained()
                self._changed.clear()
                await self._changed.wait()
        return True

    async def _release(self) -> None:
        """Does what is to be done before the first item that is held back, and lets it go."""
        first = self._held[0]
        if first[1] is not None:
            self._begun = first
            doing, stopped = asyncio.ensure_future(first[1]()), asyncio.ensure_future(self._stopped.wait())
            try:
                await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if doing.done():
                    doing.result()
            finally:
                doing.cancel()
                stopped.cancel()
        if self._held and self._held[0] is first:  # else it went to another who waited for it
            self._items.append(self._held.popleft()[0])
            while self._held and self._held[0][1] is None:
                self._items.append(self._held.popleft()[0])
