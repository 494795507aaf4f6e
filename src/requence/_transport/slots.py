"""Places for event streams: where there are more tasks to follow than streams may be open, they take turns.

A stream that has shown all there was, and is quiet, loses nothing by being closed: it is opened again from its
position when its turn comes. So for each stream that waits for a place, one is asked to give up its own: at once
for a newcomer, after a moment for one that has given up a place before, so that a few too many do not keep all
others moving. Asked is the one that will leave first: a quiet stream leaves at once, a busy one once it is quiet
or at the end of a longer slice; and if it stays busy while another has become quiet, that one is asked instead.

Places are handed out in the order of asking, whoever a stream was asked for: so what counts is only that as many
are asked as there are who wait to be let in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Lease", "Slots"]

_QUIET = 1.0  # seconds without an event after which a stream counts as having shown all there is
_SLICE = 30.0  # seconds after which a stream that is never quiet makes room, too
_WORTH_IT = (
    0.25  # seconds by which another must leave earlier to be asked instead; many are busy at the same pace
)


class Slots:
    """A number of places. To be used on the I/O thread."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._leases: dict[Lease, None] = {}  # the longest held first
        self._asked: set[Lease] = set()  # those of them that have been asked for their place
        self._queue: deque[asyncio.Future[None]] = deque()  # who gave up waiting stays in it until its turn
        self._asking: set[asyncio.Future[None]] = set()  # those of the queue who want one to be asked now
        self._waiting = 0

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for a place."""
        return self._waiting > 0

    async def take(self, *, again: bool = False) -> Lease:
        """Waits for a place; it is to be given back with `leave`.

        Args:
            again: Whether this stream has had a place before, and so can wait for the next.
        """
        if self._free:
            self._free -= 1
        else:
            await self._turn(ask_after=_QUIET if again else 0.0)
        lease = Lease(self._pass_on)
        self._leases[lease] = None
        self._balance()
        return lease

    def leave(self, lease: Lease) -> None:
        """Gives a place back."""
        del self._leases[lease]
        self._asked.discard(lease)
        self._give_back()

    async def _turn(self, *, ask_after: float) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._queue.append(turn)
        self._waiting += 1
        asking = loop.call_later(ask_after, self._ask, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._give_back()  # its turn had come in the same moment
            raise
        finally:
            asking.cancel()
            self._waiting -= 1
            self._asking.discard(turn)
            self._balance()

    def _ask(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            self._asking.add(turn)
            self._balance()

    def _give_back(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                self._asking.discard(turn)
                self._balance()
                return
        self._free += 1

    def _balance(self) -> None:
        """Has as many streams asked for their places as there are who want one, and no more.

        To be called whenever either of the two may have changed: by a stream that leaves unasked, by a place that
        goes to somebody who had not asked yet, by a waiter who gives up, by a stream that has just begun.
        """
        while len(self._asked) < min(len(self._asking), len(self._leases)):
            lease = min(self._not_asked(), key=Lease.leaves_at)
            self._asked.add(lease)
            lease.ask_back()
        while len(self._asked) > len(self._asking):
            lease = max(self._asked, key=Lease.leaves_at)
            self._asked.remove(lease)
            lease.keep()

    def _pass_on(self, busy: Lease) -> None:
        """Asks another stream than one that is busy after all, if there is one that leaves earlier."""
        if busy not in self._asked or len(self._asked) == len(self._leases):
            return
        if min(lease.leaves_at() for lease in self._not_asked()) < busy.leaves_at() - _WORTH_IT:
            self._asked.remove(busy)
            busy.keep()
            self._balance()

    def _not_asked(self) -> list[Lease]:
        return [lease for lease in self._leases if lease not in self._asked]


class Lease:
    """The right to hold one stream open.

    Attributes:
        asked_back: Whether somebody wants its place.
        last_event: When the stream was opened, or showed something new, on the loop's clock.
    """

    def __init__(self, on_event: Callable[[Lease], None] | None = None) -> None:
        """Begins now; the stream is not open yet.

        Args:
            on_event: Called when the stream was not quiet while its place was wanted.
        """
        self.asked_back = False
        self._on_event = on_event
        self._wait: asyncio.Timeout | None = None
        self._wait_until = float("inf")
        self._began = asyncio.get_running_loop().time()
        self.last_event = float("inf")  # before it is open it cannot be quiet

    def event_seen(self, now: float) -> None:
        """Takes note that the stream is not quiet."""
        self.last_event = now
        if self.asked_back and self._on_event is not None:
            self._on_event(self)

    def waiting_until(self, when: float) -> asyncio.Timeout:
        """Returns a limit for one wait of the stream: `when`, or the end of the lease if that is earlier."""
        self._wait, self._wait_until = asyncio.timeout_at(min(when, self._end())), when
        return self._wait

    def is_over(self, now: float) -> bool:
        """Says whether the place is to be given up now."""
        return now >= self._end()

    def ask_back(self) -> None:
        """Lets the lease end; also a wait that has begun already."""
        self._set_asked_back(True)

    def keep(self) -> None:
        """Takes the wish for its place back."""
        self._set_asked_back(False)

    def _set_asked_back(self, asked_back: bool) -> None:
        self.asked_back = asked_back
        if self._wait is not None:
            with suppress(RuntimeError):  # that wait is over
                self._wait.reschedule(min(self._wait_until, self._end()))

    def leaves_at(self) -> float:
        """Returns when the place is given up, or would be if it were asked for and nothing more came."""
        return min(self.last_event + _QUIET, self._began + _SLICE)

    def _end(self) -> float:
        return self.leaves_at() if self.asked_back else float("inf")
