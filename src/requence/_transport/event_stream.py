"""One event stream, however many connections it takes.

Only the consumer knows when a stream has ended: it stops iterating at the terminal event. Everything else that
ends a connection (a clean close, a reset, half an event, silence, a gateway's error) is a drop, after which the
stream is opened again from the last position.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Generic, TypeVar

from requence._transport.api import Api
from requence._transport.connection import Connection, Drop, DropError, Watched
from requence._transport.event_log import DamagedEventError, EventLog, LogEvent
from requence._transport.patience import Patience
from requence._transport.probe import Probe
from requence._transport.repeat import unreachable
from requence._transport.retry import STREAMS, is_transient
from requence._transport.silence import SilenceLimit
from requence._transport.slots import Lease, Slots
from requence.exceptions import RequenceUnreachableException, TaskException

__all__ = ["EventStream", "Observer"]

E = TypeVar("E")

_logger = logging.getLogger("requence.transport")

_SHORT_CONNECTION = 1.0  # seconds; a service that closes at once must not be called again at once for ever
# After how many connections of a kind, with nothing new between them, the service is asked how the task is. A turn
# may be too short for a service that is slow to begin its stream; damage that looks the same is passed over soon.
_ASK_AFTER = {
    Drop.COMPLETE: 1,
    Drop.CLOSED: 1,
    Drop.BROKEN: 1,
    Drop.SILENT: 1,
    Drop.LET_GO: 4,
    Drop.TO_READ_AGAIN: 4,
}
_GONE = (404, 410)  # an answer to who asks for the log of an ended task; how it ended is known without that
_REFUSALS = 8  # in a row, after each of which a service that does not open a stream is asked how the task is
# How often the log of an ended task is read again that ends before anything new, until it is taken to have nothing
# new: where it broke off or was refused, where nothing tells whether it did, where an event is damaged in ever new
# ways, and where the answer was ended in due form, which a proxy may have done. With the pauses these take a
# minute, a second, and half of one.
_LOOKS = {Drop.BROKEN: 10, Drop.NOT_OPENED: 10, Drop.CLOSED: 3, Drop.TO_READ_AGAIN: 3, Drop.COMPLETE: 2}


class Observer:
    """Is told, on the I/O thread, what happens to a stream beside its events; does nothing by itself."""

    def connected(self) -> None:
        """The service has answered with a stream, for the first time or again."""

    def lost(self, drop: DropError) -> None:
        """The connection was lost or refused for now; it will be tried again."""

    def skipped(self, damage: DamagedEventError) -> None:
        """An event is damaged for good, and was passed over."""


class EventStream(Generic[E]):
    """Follows an event stream. To be used on the I/O thread, by one consumer.

    Attributes:
        log: What was read so far.
        ended_with: What the service has said of the task's end when it was asked, else None.
    """

    ended_with: E | None

    def __init__(
        self,
        api: Api,
        watched: Watched,
        *,
        ask: Callable[[], Awaitable[E | None]] | None = None,
        log: EventLog | None = None,
        room: asyncio.Event | None = None,
        slots: Slots | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Prepares to follow; nothing is opened before the iteration.

        Args:
            api: Builds and authorizes the requests.
            watched: What the stream is about.
            ask: Asks the service, after a connection that brought nothing new, how the task has ended; None if it
                has not. If then the log has nothing more either, the iteration ends without a terminal event.
                Without `ask` the iteration never ends by itself.
            log: What was read of this log before; by default nothing.
            room: Set while the consumer can take more; a connection that has to wait for it for long is closed,
                and opened again when it is set. By default the consumer takes whatever comes.
            slots: The places that limit how many streams are open at once.
            observer: Is told of connections and losses.
        """
        self.log = EventLog() if log is None else log
        self.ended_with = None
        self._api = api
        self._watched = watched
        self._ask_service = ask
        self._room = _open_room() if room is None else room
        self._slots = slots
        self._observer = observer or Observer()
        self._silence = SilenceLimit()
        self._pause_at_least = 0.0
        self._loop = asyncio.get_running_loop()
        self._patience = Patience(api.client.patience, what=watched.name, now=self._loop.time())
        self._probe = Probe(self._ask)
        self._fruitless = Counter[Drop]()  # connections without anything new between them
        self._had_a_place = False
        self._warned = False
        self._was_open = False

    async def batches(self) -> AsyncGenerator[list[LogEvent]]:
        """Yields each event once, in order, some at a time, until the consumer stops or the task is over.

        Raises:
            UnauthorizedError: And the other errors of a service that refuses the stream.
            RequenceUnreachableException: No connection is possible, as a certificate or a proxy is set up.
            StreamInterruptedError: There was no contact for longer than the client's patience.
            StreamEventTooLarge: One event is larger than the client accepts.
        """
        pauses = refusals = 0
        while True:
            lease = await self._take_place()
            try:
                began, hurry = self._loop.time(), self.ended_with is not None
                connection = Connection(self._api, self._watched, self.log, self._silence, self._room, lease)
                try:
                    batches = connection.batches(
                        on_open=partial(self._opened, lease), on_skip=self._skipped, hurry=hurry
                    )
                    async with aclosing(batches):
                        async for batch in batches:
                            yield batch
                except DropError as error:
                    drop = error
                except TaskException as error:
                    if self.ended_with is not None and error.status_code in _GONE:
                        return
                    raise
                else:
                    drop = DropError(Drop.COMPLETE, "the service closed the stream")
                finally:
                    self._take_over(connection)
            finally:
                if self._slots is not None:
                    self._slots.leave(lease)
            if drop.lasting is not None and not self._was_open:  # what was possible once may be so again
                raise unreachable(drop.lasting) from drop.lasting.__cause__
            lasted = connection.opened and self._loop.time() - began > _SHORT_CONNECTION
            if drop.how is Drop.LET_GO and connection.progress:
                continue
            if not connection.progress and self._tells_nothing_new(drop):
                if hurry:
                    return
                if self.ended_with is not None or await self._ask():
                    pauses = 0
                    continue  # the last event may have been logged after the connection ended: look at once
            if drop.how is Drop.LET_GO:
                continue
            self._observer.lost(drop)
            refusals = refusals + 1 if drop.how is Drop.NOT_OPENED else 0
            if refusals and refusals % _REFUSALS == 0 and await self._has_ended_meanwhile(drop):
                pauses = 0
                continue
            if self._patience.is_over(self._loop.time()) and await self._is_settled_at_last(drop):
                return
            if connection.progress or lasted:
                pauses = 0
            await self._pause(pauses, drop)
            pauses += 1

    async def _take_place(self) -> Lease:
        """Waits until the consumer can take something, and for a place."""
        asked = self._loop.time()
        await self._room.wait()
        lease = Lease() if self._slots is None else await self._slots.take(again=self._had_a_place)
        self._had_a_place = True
        self._patience.excuse(self._loop.time() - asked)
        return lease

    def _opened(self, lease: Lease) -> None:
        self._was_open = True
        self._patience.last_contact = self._loop.time()
        self._observer.connected()
        if self._watched.task_id is not None and self.ended_with is None:
            self._probe.start(lease)

    def _take_over(self, connection: Connection) -> None:
        """Keeps what a connection has taught for the next one."""
        self._probe.stop()
        if connection.last_heard is not None:
            self._patience.last_contact = connection.last_heard
        if connection.retry is not None:
            self._pause_at_least = min(connection.retry, STREAMS.cap)
        if connection.progress:
            self._fruitless.clear()

    def _tells_nothing_new(self, drop: DropError) -> bool:
        """Says whether a connection without anything new may mean that there is nothing new any more."""
        self._fruitless[drop.how] += 1
        count = self._fruitless[drop.how]
        if self.ended_with is not None and drop.how in _LOOKS:
            return count > _LOOKS[drop.how]
        return drop.how in _ASK_AFTER and count % _ASK_AFTER[drop.how] == 0

    def _skipped(self, damage: DamagedEventError) -> None:
        _logger.error(
            "stream of %s: the %s at position %s is damaged and skipped: %s",
            self._watched.name,
            damage.name,
            damage.position,
            damage,
        )
        self._observer.skipped(damage)

    async def _ask(self) -> bool:
        """Asks whether the task has ended, and keeps a yes. An answer is contact; a lost one is a no."""
        if self._ask_service is None:
            return False
        try:
            self.ended_with = await self._ask_service()
        except RequenceUnreachableException as error:
            _logger.debug("%s could not be asked for: %s", self._watched.name, error)
            return False
        except TaskException as error:
            if error.status_code is None or not (error.status_code < 300 or is_transient(error.status_code)):
                raise
            _logger.warning("%s could not be asked for: %s", self._watched.name, error)
            return False
        self._patience.last_contact = self._loop.time()
        if self.ended_with is None:
            return False
        self._fruitless.clear()
        return True

    async def _has_ended_meanwhile(self, drop: DropError) -> bool:
        """Asks how the task is, now that its stream could not be opened for a while."""
        if self.ended_with is not None:
            return False
        before = self._patience.last_contact
        if await self._ask():
            return True
        if self._patience.last_contact > before and not self._warned:
            self._warned = True
            _logger.warning("%s runs, but its stream cannot be opened: %s", self._watched.name, drop)
        return False

    async def _is_settled_at_last(self, drop: DropError) -> bool:
        """Asks once more, now that the patience is at its end.

        Returns:
            Whether the task is over, its last events lost; False if it runs and only its stream is out of reach.

        Raises:
            StreamInterruptedError: The service does not answer at all.
        """
        if self.ended_with is not None or await self._ask():
            return True
        now = self._loop.time()
        if not self._patience.is_over(now):
            return False
        raise self._patience.error(now, drop, position=self.log.position, status=drop.status) from drop

    async def _pause(self, pauses: int, drop: DropError) -> None:
        at_least = max(drop.at_least, self._pause_at_least)
        pause = STREAMS.pause(pauses, dice=random.random(), at_least=at_least)  # noqa: S311 (jitter)
        _logger.debug("stream of %s: %s; opening it again in %.2f s", self._watched.name, drop, pause)
        await asyncio.sleep(pause)


def _open_room() -> asyncio.Event:
    room = asyncio.Event()
    room.set()
    return room
