"""From one stream to any number of consumers, at the pace of the slowest."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from requence.task.mailbox import CAPACITY, Mailbox, Parcel

__all__ = ["Broadcast", "Inbox"]

T = TypeVar("T")


class Broadcast(Generic[T]):
    """Gives every item to all who are there. What nobody has taken yet goes to who comes next. On the I/O thread.

    Attributes:
        room: Set while everybody can take more; the stream is to stop while it is not.
    """

    def __init__(self) -> None:
        self.room = asyncio.Event()
        self.room.set()
        self._inboxes: list[Inbox[T]] = []
        self._full: set[Inbox[T]] = set()
        self._kept: deque[Parcel[T]] = deque()  # while nobody is there
        self._count = 0
        self._ended = self._stopped = False
        self._error: Exception | None = None

    @property
    def is_read(self) -> bool:
        """Whether anybody is there."""
        return bool(self._inboxes)

    def put(self, item: T, before: Callable[[], Awaitable[object]] | None = None) -> None:
        """Hands an item on; see `Mailbox.put`."""
        if self._ended:
            return
        self._count += 1
        for inbox in self._inboxes:
            inbox.put(item, before)
        if not self._inboxes:
            self._kept.append((item, before))
            self._look_for_room()

    def end(self, error: Exception | None = None) -> None:
        """Says that nothing more will come; everybody gets the error once everything was taken."""
        if not self._ended:
            self._ended, self._error = True, error
            for inbox in self._inboxes:
                inbox.end(error)

    def stop(self) -> None:
        """Ends everything now, without an error; what was not taken is dropped."""
        self._ended, self._stopped, self._error = True, True, None
        self._kept.clear()
        for inbox in self._inboxes:
            inbox.stop()

    def attach(self, inbox: Inbox[T]) -> None:
        """Begins to hand on to a consumer."""
        while self._kept:
            inbox.put(*self._kept.popleft())
        inbox.since = self._count
        self._inboxes.append(inbox)
        if self._ended:
            inbox.end(self._error)
        self._look_for_room()

    def detach(self, inbox: Inbox[T]) -> None:
        """Ends that; what it has not taken, and nobody else was there to get, is kept for the next."""
        self._inboxes.remove(inbox)
        self._full.discard(inbox)
        rest = [] if self._stopped else inbox.empty()
        given_to_others = self._count - min((other.since for other in self._inboxes), default=self._count)
        self._kept.extend(rest[: max(len(rest) - given_to_others, 0)])
        self._look_for_room()

    def mark(self, inbox: Inbox[T], *, full: bool) -> None:
        """Takes note of whether a consumer can take more."""
        if full:
            self._full.add(inbox)
        else:
            self._full.discard(inbox)
        self._look_for_room()

    def _look_for_room(self) -> None:
        if self._full or len(self._kept) >= CAPACITY:
            self.room.clear()
        else:
            self.room.set()


class Inbox(Mailbox[T]):
    """What waits for one consumer of a broadcast, from the first wait on.

    Attributes:
        since: How many items there had been when it came.
    """

    since: int

    def __init__(self, of: Broadcast[T]) -> None:
        super().__init__(
            on_full=lambda: of.mark(self, full=True), on_drained=lambda: of.mark(self, full=False)
        )
        self._broadcast = of
        self._attached = self._closed = False

    async def ready(self) -> bool:
        """Waits until an item can be taken; see `Mailbox`."""
        if not self._attached and not self._closed:
            self._attached = True
            self._broadcast.attach(self)
        return await super().ready()

    def close(self) -> None:
        """Ends it: the consumer has gone."""
        self._closed = True
        if self._attached:
            self._attached = False
            self._broadcast.detach(self)
        self.end()
