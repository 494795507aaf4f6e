"""One connection of an event stream: from the request to the last event that it brings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from requence._references import MARKER
from requence._transport.api import Api
from requence._transport.crossing import BATCH
from requence._transport.event_log import DamagedEventError, EventLog, LogEvent
from requence._transport.retry import is_transient, retry_after
from requence._transport.session import LostConnectionError, OpenStream, Request, session
from requence._transport.silence import SilenceLimit
from requence._transport.slots import Lease
from requence._transport.sse import EventTooLargeError, ServerSentEvent, SSEParser
from requence.exceptions import StreamEventTooLarge, TaskException

__all__ = ["Connection", "Drop", "DropError", "Watched"]

_FULL = 30.0  # seconds that a connection is kept open for a consumer who takes nothing
_CLOCK_RESOLUTION = 0.01
_PLACE_NEEDED = "its place is needed for another stream"


class Drop(Enum):
    """How a connection ended."""

    NOT_OPENED = auto()
    BROKEN = auto()
    CLOSED = auto()  # and nothing says whether the service did that, or whether it had said everything
    COMPLETE = auto()  # the service has said all that it had to say, or a proxy in its name
    SILENT = auto()  # left by us: nothing came for too long
    TO_READ_AGAIN = auto()  # left by us, to fetch a damaged event once more
    LET_GO = auto()  # left by us: its place was needed, or its consumer takes nothing


class DropError(Exception):
    """The connection is of no more use; the stream goes on with the next one.

    Attributes:
        how: How it ended.
        at_least: The pause that the service asked for, in seconds.
        status: The status of an answer that was no stream, or None.
        lasting: What is in the way of any connection, or None if another one may succeed.
    """

    def __init__(
        self,
        how: Drop,
        reason: str,
        *,
        at_least: float = 0.0,
        status: int | None = None,
        lasting: LostConnectionError | None = None,
    ) -> None:
        super().__init__(reason)
        self.how = how
        self.at_least = at_least
        self.status = status
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Watched:
    """What a stream is about.

    Attributes:
        name: For logs and messages, such as `task 9f1c…`.
        step: What is asked for, to be read after "the service answered 404 to".
        request: Returns the request that opens the stream after a position.
        task_id: The task, if it is one; for the errors.
        terminal: The names of the events that end it: a damaged one of these cannot be skipped.
        revive: Called with events that may have references in their data, to put objects into their places.
    """

    name: str
    step: str
    request: Callable[[int | None], Request]
    task_id: str | None = None
    terminal: frozenset[str] = frozenset()
    revive: Callable[[list[LogEvent]], None] | None = None


class Connection:
    """One connection, to be read once. On the I/O thread.

    Attributes:
        opened: Whether the service has answered with a stream.
        progress: Whether it brought anything new.
        last_heard: When the service was last heard of, on the loop's clock; None if it never was.
    """

    def __init__(
        self,
        api: Api,
        watched: Watched,
        log: EventLog,
        silence: SilenceLimit,
        room: asyncio.Event,
        lease: Lease,
    ) -> None:
        """Prepares to connect; nothing is opened before the iteration.

        Args:
            api: Authorizes the request, and knows the limits.
            watched: What the stream is about.
            log: What was read before; it takes note of what is read now.
            silence: Learns how long the service may be silent.
            room: Set while the consumer can take more.
            lease: The place that the connection holds.
        """
        self.opened = self.progress = False
        self.last_heard: float | None = None
        self._api = api
        self._watched = watched
        self._log = log
        self._silence = silence
        self._room = room
        self._lease = lease
        self._parser = SSEParser(max_event_size=api.client.max_event_size)
        self._loop = asyncio.get_running_loop()

    @property
    def retry(self) -> float | None:
        """The pause that the service wishes for before the next connection, in seconds, or None."""
        return None if self._parser.retry is None else self._parser.retry / 1000

    async def batches(
        self, *, on_open: Callable[[], None], on_skip: Callable[[DamagedEventError], None], hurry: bool
    ) -> AsyncGenerator[list[LogEvent]]:
        """Yields what is new, some events at a time; ends when the service closes the connection.

        Args:
            on_open: Called when the service has answered with a stream.
            on_skip: Called for an event that is damaged for good and passed over.
            hurry: Whether all that there is to say is in the service's log already, so that silence means the end.

        Raises:
            DropError: The connection ended otherwise.
            StreamEventTooLarge: An event is larger than the client accepts.
            TaskException: The service refuses, or the event that ends the task cannot be read.
        """
        request = self._watched.request(self._log.position)
        try:
            stream = await session().open_stream(request, self._api.client)
            try:
                await self._check_answer(stream)
                self.opened = True
                self._lease.event_seen(self._hear())  # what there is comes from now on
                self._silence.connection_opened()
                on_open()
                silent_at = self._limit(hurry=hurry)
                while chunk := await self._next_chunk(stream, silent_at, hurry=hurry):
                    events, now = self._parsed(chunk)
                    for batch in self._new(events, now, on_skip):
                        yield batch
                        if not self._room.is_set():
                            await self._until_room()
                    self._parser.feed(b"")  # raises if the same bytes have begun an event that is too large
                    if not hurry and self._lease.is_over(now):
                        raise DropError(Drop.LET_GO, _PLACE_NEEDED)
                    if events or self._parser.unfinished or not hurry:
                        silent_at = self._limit(hurry=hurry)
                self._check_end(stream)
            finally:
                await stream.close()
        except LostConnectionError as error:
            how = Drop.BROKEN if self.opened else Drop.NOT_OPENED
            raise DropError(how, error.message, lasting=error if error.lasting else None) from error
        except EventTooLargeError as error:
            raise self._too_large(error.size) from None
        finally:
            if self.opened:
                self._hear()  # a silent connection is contact for as long as it holds

    def _parsed(self, chunk: bytes) -> tuple[list[ServerSentEvent], float]:
        """Returns the events that some bytes have completed, and the time at which they came."""
        comments = self._parser.comments
        events = self._parser.feed(chunk)
        now = self._hear()
        if self._parser.comments > comments:
            self._silence.comment_seen(now)
        return events, now

    def _new(
        self, events: list[ServerSentEvent], now: float, on_skip: Callable[[DamagedEventError], None]
    ) -> Iterator[list[LogEvent]]:
        """Yields what is new, in batches; what comes before a damaged event, before that is passed over."""
        for begin in range(0, len(events), BATCH):
            some = events[begin : begin + BATCH]
            whole = self._log.read_all(some)
            # Looked for in the text, which costs next to nothing: nearly no event has any.
            referring = any(MARKER in data for _, _, data in some)
            for batch in self._with_doubt(some, on_skip) if whole is None else (whole,):
                self.progress = True
                if referring and self._watched.revive is not None:
                    self._watched.revive(batch)
                self._lease.event_seen(now)
                yield batch

    def _with_doubt(
        self, events: list[ServerSentEvent], on_skip: Callable[[DamagedEventError], None]
    ) -> Iterator[list[LogEvent]]:
        """Yields what is new of events of which some are old, damaged, or without a number of their own."""
        batch: list[LogEvent] = []
        for raw in events:
            try:
                event = self._log.read(raw)
            except DamagedEventError as error:
                if batch:
                    yield batch
                    batch = []
                self._pass_over(error)
                on_skip(error)
                continue
            if event is not None:
                batch.append(event)
        if batch:
            yield batch

    def _check_end(self, stream: OpenStream) -> None:
        """Looks at how the answer has ended.

        Raises:
            DropError: That was, or may have been, before its end.
        """
        if self._parser.unfinished:
            raise DropError(Drop.BROKEN, "the stream broke off inside of an event")
        if not stream.end_is_marked:
            raise DropError(Drop.CLOSED, "the connection of the stream was closed")

    def _limit(self, *, hurry: bool) -> float:
        """Returns until when something must come: in a hurry an event, else anything."""
        return self._loop.time() + (self._api.client.call_timeout if hurry else self._silence.seconds)

    async def _next_chunk(self, stream: OpenStream, silent_at: float, *, hurry: bool) -> bytes:
        """Waits for more bytes; returns none at the end."""
        began = self._loop.time()
        try:
            async with asyncio.timeout_at(silent_at) if hurry else self._lease.waiting_until(silent_at):
                return await stream.read()
        except TimeoutError:
            if self._loop.time() < silent_at - _CLOCK_RESOLUTION:
                raise DropError(Drop.LET_GO, _PLACE_NEEDED) from None
            silence = self._loop.time() - began
            raise DropError(Drop.SILENT, f"the stream was silent for {silence:.0f} seconds") from None

    async def _until_room(self) -> None:
        """Keeps the connection for a while for a consumer who cannot take more now."""
        try:
            async with self._lease.waiting_until(self._loop.time() + _FULL):
                await self._room.wait()
        except TimeoutError:
            raise DropError(Drop.LET_GO, "its consumer takes nothing") from None

    async def _check_answer(self, stream: OpenStream) -> None:
        if stream.status == 200 and stream.content_type == "text/event-stream":
            return
        step, task_id = self._watched.step, self._watched.task_id
        if stream.status == 200:
            raise TaskException(
                f"The service's answer to {step} is not an event stream but {stream.content_type}",
                task_id=task_id,
                status_code=200,
            )
        if is_transient(stream.status):
            raise DropError(
                Drop.NOT_OPENED,
                f"the service answered {stream.status}",
                at_least=retry_after(stream.headers.get("Retry-After"), now=datetime.now(UTC)),
                status=stream.status,
            )
        raise self._api.refused(step, stream.status, await stream.read_error_body(), task_id=task_id)

    def _pass_over(self, damage: DamagedEventError) -> None:
        """Goes on behind a damaged event, if fetching it again was of no use.

        Raises:
            DropError: It is to be fetched again first.
            TaskException: It is the one that ends the task, which cannot be skipped.
        """
        if not damage.again:
            raise DropError(
                Drop.TO_READ_AGAIN, f"the event at position {damage.position} is damaged ({damage})"
            )
        if damage.name in self._watched.terminal:
            raise TaskException(
                f"The task has ended ({damage.name}), but its last update cannot be read: {damage}",
                task_id=self._watched.task_id,
            )
        self.progress = True

    def _hear(self) -> float:
        now = self.last_heard = self._loop.time()
        return now

    def _too_large(self, size: int) -> StreamEventTooLarge:
        limit, position = self._api.client.max_event_size, self._log.position
        return StreamEventTooLarge(
            f"One event in the stream of {self._watched.name} has more than {limit} bytes "
            f"(after position {position})",
            position=position,
            size=size,
            limit=limit,
            task_id=self._watched.task_id,
            hint="raise the limit with Client(max_event_size=…)",
        )
