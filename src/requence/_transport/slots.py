"""Places for event streams: where there are more tasks to follow than streams may be open, they take turns.

A stream that has shown all there was, and is quiet, loses nothing by being closed: it is opened again from its
position when its turn comes. So a place is asked back only while somebody waits for one; a quiet stream gives it
up after a moment, a busy one at the end of a longer slice. Places are handed out in the order of asking.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

__all__ = ["Lease", "Slots"]

_QUIET = 1.0  # seconds without an event after which a stream counts as having shown all there is
_SLICE = 30.0  # seconds after which a stream that is never quiet makes room, too


class Slots:
    """A number of places. To be used on the I/O thread."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._leases: set[Lease] = set()
        self._queue: deque[asyncio.Future[None]] = deque()  # who gave up waiting stays in it until its turn
        self._waiting = 0

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for a place."""
        return self._waiting > 0

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[Lease]:
        """Waits for a place, and holds it during the context."""
        if self._free:
            self._free -= 1
        else:
            await self._turn()
        lease = Lease(self)
        self._leases.add(lease)
        try:
            yield lease
        finally:
            self._leases.discard(lease)
            self._give_back()

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._waiting += 1
        if self._waiting == 1:
            for lease in self._leases:
                lease.shorten()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._give_back()  # its turn had come in the same moment
            raise
        finally:
            self._waiting -= 1

    def _give_back(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Lease:
    """The right to hold one stream open; without `slots` it is never asked back."""

    def __init__(self, slots: Slots | None = None) -> None:
        self._slots = slots
        self._wait: asyncio.Timeout | None = None
        self._began = self._last_event = asyncio.get_running_loop().time()

    def event_seen(self, now: float) -> None:
        """Takes note that the stream is not quiet."""
        self._last_event = now

    def waiting_until(self, when: float) -> asyncio.Timeout:
        """Returns a limit for one wait of the stream: `when`, or the end of the lease if that is earlier."""
        self._wait = asyncio.timeout_at(min(when, self._end()))
        return self._wait

    def is_over(self, now: float) -> bool:
        """Says whether the place is to be given up now."""
        return now >= self._end()

    def shorten(self) -> None:
        """Applies the end of the lease to a wait that began when nobody wanted the place."""
        if self._wait is not None:
            with suppress(RuntimeError):  # that wait is over
                self._wait.reschedule(min(self._wait.when() or self._end(), self._end()))

    def _end(self) -> float:
        if self._slots is None or not self._slots.wanted:
            return float("inf")
        return min(self._last_event + _QUIET, self._began + _SLICE)
