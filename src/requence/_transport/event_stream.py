"""One event stream, however many connections it takes.

Only the consumer knows when a stream has ended: it stops iterating at the terminal event. Everything else that
ends a connection (a clean close, a reset, half an event, silence, a gateway's error) is a drop, after which the
stream is opened again from the last position.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Generic, TypeVar

from requence._transport.api import Api
from requence._transport.event_log import DamagedEventError, EventLog, LogEvent
from requence._transport.patience import Patience
from requence._transport.retry import STREAMS, is_transient, retry_after
from requence._transport.session import LostConnectionError, OpenStream, session
from requence._transport.silence import SilenceLimit
from requence._transport.sse import EventTooLargeError, SSEParser
from requence.exceptions import RequenceUnreachableException, StreamEventTooLarge, TaskException

__all__ = ["EventStream"]

E = TypeVar("E")

_logger = logging.getLogger("requence.transport")

_SHORT_CONNECTION = 1.0  # seconds; a service that closes at once must not be called again at once for ever
_BROKEN_REPLAYS = 3  # after which a log that breaks off before anything new is taken to have nothing new


class _Drop(Enum):
    """How a connection ended."""

    NOT_OPENED = auto()
    BROKEN = auto()
    COMPLETE = auto()  # the service has said all that it had to say
    TO_READ_AGAIN = auto()  # left by us, to fetch a damaged event once more


class _DropError(Exception):
    """The connection is of no more use; the stream goes on with the next one."""

    def __init__(self, how: _Drop, reason: str, *, at_least: float = 0.0, status: int | None = None) -> None:
        super().__init__(reason)
        self.how = how
        self.at_least = at_least
        self.status = status


class EventStream(Generic[E]):
    """Follows the event stream of one task. To be used on the I/O thread, by one consumer.

    Attributes:
        ended_with: What the service has said of the task's end when it was asked, else None.
    """

    ended_with: E | None

    def __init__(
        self,
        api: Api,
        url: str,
        *,
        task_id: str,
        terminal: frozenset[str],
        ask: Callable[[], Awaitable[E | None]],
        position: int | None = None,
    ) -> None:
        """Prepares to follow; nothing is opened before the iteration.

        Args:
            api: Builds and authorizes the requests.
            url: Where the stream is, as the service gave it.
            task_id: For the errors.
            terminal: The names of the events that end a task: a damaged one cannot be skipped.
            ask: Asks the service, after a connection that brought nothing new, how the task has ended; None if it
                has not. If then the log has nothing more either, the iteration ends without a terminal event.
            position: Where to begin; None means at the start.
        """
        self._api = api
        self._url = url
        self._task_id = task_id
        self._terminal = terminal
        self._ask_service = ask
        self._log = EventLog(position)
        self.ended_with = None
        self._progress = False  # whether the present connection brought anything new
        self._silence = SilenceLimit()
        self._pause_at_least = 0.0
        self._patience = Patience(api.client.patience, task_id=task_id, now=0.0)

    async def events(self) -> AsyncGenerator[LogEvent]:
        """Yields each event once, in order, until the consumer stops or the task is over.

        Raises:
            UnauthorizedError: And the other errors of a service that refuses the stream.
            StreamInterruptedError: There was no contact for longer than the client's patience.
            StreamEventTooLarge: One event is larger than the client accepts.
        """
        loop = asyncio.get_running_loop()
        self._patience.last_contact = loop.time()
        pauses = broken_replays = 0
        while True:
            began = loop.time()
            self._progress = False
            try:
                async with aclosing(self._connection()) as connection:
                    async for event in connection:
                        yield event
            except _DropError as error:
                drop = error
            else:
                drop = _DropError(_Drop.COMPLETE, "the service closed the stream")
            if drop.how in (_Drop.COMPLETE, _Drop.BROKEN) and not self._progress:
                if self.ended_with is not None:
                    if drop.how is _Drop.COMPLETE or broken_replays == _BROKEN_REPLAYS:
                        return
                    broken_replays += 1
                elif await self._ask():
                    continue  # the last event may have been logged after the connection ended: look once more
            if self._patience.is_over(loop.time()) and await self._is_settled_at_last(drop):
                return
            lasted = drop.how is not _Drop.NOT_OPENED and loop.time() - began > _SHORT_CONNECTION
            if self._progress or lasted:
                pauses = 0
            await self._pause(pauses, drop)
            pauses += 1

    async def _connection(self) -> AsyncGenerator[LogEvent]:
        """Yields the new events of one connection; ends when the service closes it.

        Raises:
            _DropError: The connection ended otherwise.
        """
        request = self._api.watch_request(self._url, since=None, last_position=self._log.position)
        parser = SSEParser(max_event_size=self._api.client.max_event_size)
        opened = False
        try:
            async with session().open_stream(request, timeout=self._api.client.call_timeout) as stream:
                await self._check_answer(stream)
                opened = True
                self._made_contact()
                self._silence.connection_opened()
                async with aclosing(self._read(stream, parser)) as events:
                    async for event in events:
                        yield event
        except LostConnectionError as error:
            how = _Drop.NOT_OPENED if not opened else _Drop.COMPLETE if error.silent else _Drop.BROKEN
            raise _DropError(how, error.message) from error
        except EventTooLargeError as error:
            raise self._too_large(error.size) from None
        finally:
            if opened:
                self._made_contact()  # a silent connection is contact for as long as it holds
            if parser.retry is not None:
                self._pause_at_least = min(parser.retry / 1000, STREAMS.cap)

    async def _read(self, stream: OpenStream, parser: SSEParser) -> AsyncGenerator[LogEvent]:
        while True:
            comments = parser.comments
            chunk = await stream.read(silence=self._silence_limit())
            if not chunk:
                return
            now = self._made_contact()
            events = parser.feed(chunk)
            if parser.comments > comments:
                self._silence.comment_seen(now)
            for raw in events:
                try:
                    event = self._log.read(raw)
                except DamagedEventError as error:
                    self._skip(error)
                    continue
                if event is not None:
                    self._progress = True
                    yield event
            parser.feed(b"")  # raises if the same bytes have begun an event that is too large

    async def _check_answer(self, stream: OpenStream) -> None:
        if stream.status == 200 and stream.content_type == "text/event-stream":
            return
        step = "watching the task"
        if stream.status == 200:
            raise TaskException(
                f"The service's answer to {step} is not an event stream but {stream.content_type}",
                task_id=self._task_id,
                status_code=200,
            )
        if is_transient(stream.status):
            raise _DropError(
                _Drop.NOT_OPENED,
                f"the service answered {stream.status}",
                at_least=retry_after(stream.headers.get("Retry-After"), now=datetime.now(UTC)),
                status=stream.status,
            )
        raise self._api.refused(step, stream.status, await stream.read_error_body(), task_id=self._task_id)

    def _skip(self, damage: DamagedEventError) -> None:
        """Goes on behind a damaged event, if fetching it again was of no use.

        Raises:
            _DropError: It is to be fetched again first.
            TaskException: It is the one that ends the task, which cannot be skipped.
        """
        if not damage.again:
            raise _DropError(
                _Drop.TO_READ_AGAIN, f"the event at position {damage.position} is damaged ({damage})"
            )
        if damage.name in self._terminal:
            raise TaskException(
                f"The task has ended ({damage.name}), but its last update cannot be read: {damage}",
                task_id=self._task_id,
            )
        _logger.error(
            "stream of task %s: the %s at position %s is damaged and skipped: %s",
            self._task_id,
            damage.name,
            damage.position,
            damage,
        )
        self._progress = True

    def _silence_limit(self) -> float:
        if self.ended_with is not None:
            return self._api.client.call_timeout  # what there is to say is in the log already
        return self._silence.seconds

    def _made_contact(self) -> float:
        now = self._patience.last_contact = asyncio.get_running_loop().time()
        return now

    async def _ask(self) -> bool:
        """Asks whether the task has ended, and keeps a yes. An answer is contact; a lost one is a no."""
        try:
            self.ended_with = await self._ask_service()
        except RequenceUnreachableException as error:
            _logger.debug("task %s could not be asked for: %s", self._task_id, error)
            return False
        except TaskException as error:
            if error.status_code is None or not (error.status_code < 300 or is_transient(error.status_code)):
                raise
            _logger.warning("task %s could not be asked for: %s", self._task_id, error)
            return False
        self._made_contact()
        return self.ended_with is not None

    async def _is_settled_at_last(self, drop: _DropError) -> bool:
        """Asks once more, now that the patience is at its end.

        Returns:
            Whether the task is over, its last events lost; False if it runs and only its stream is out of reach.

        Raises:
            StreamInterruptedError: The service does not answer at all.
        """
        if self.ended_with is not None or await self._ask():
            return True
        now = asyncio.get_running_loop().time()
        if not self._patience.is_over(now):
            return False
        raise self._patience.error(now, drop, position=self._log.position, status=drop.status) from drop

    async def _pause(self, pauses: int, drop: _DropError) -> None:
        at_least = max(drop.at_least, self._pause_at_least)
        pause = STREAMS.pause(pauses, dice=random.random(), at_least=at_least)  # noqa: S311 (jitter)
        _logger.debug("stream of task %s: %s; opening it again in %.2f s", self._task_id, drop, pause)
        await asyncio.sleep(pause)

    def _too_large(self, size: int) -> StreamEventTooLarge:
        limit, position = self._api.client.max_event_size, self._log.position
        return StreamEventTooLarge(
            f"One event of the task's stream has more than {limit} bytes (after position {position})",
            position=position,
            size=size,
            limit=limit,
            task_id=self._task_id,
            hint="raise the limit with Client(max_event_size=…)",
        )
