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
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from requence._json import as_object
from requence._transport.api import Api
from requence._transport.refusals import refusal
from requence._transport.retry import STREAMS, is_transient, retry_after
from requence._transport.session import LostConnectionError, OpenStream, session
from requence._transport.sse import EventTooLargeError, ServerSentEvent, SSEParser
from requence.exceptions import (
    RequenceUnreachableException,
    StreamEventTooLarge,
    StreamInterruptedError,
    TaskException,
)

__all__ = ["EventStream", "StreamEvent"]

_log = logging.getLogger("requence.transport")

_SILENCE_WITHOUT_COMMENTS = 300.0
_SILENCE_AT_LEAST = 30.0
_POSITION_DIGITS = 18  # what fits a 64-bit integer; a longer number is no position


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event, decoded.

    Attributes:
        position: Its position in the log, or None if the service numbers nothing.
        name: The event's name, which is the update's type.
        payload: The JSON object it carries.
    """

    position: int | None
    name: str
    payload: dict[str, Any]


class _DropError(Exception):
    """The connection is of no more use; the stream goes on with the next one."""

    def __init__(self, reason: str, *, at_least: float = 0.0, status: int | None = None) -> None:
        super().__init__(reason)
        self.at_least = at_least
        self.status = status


class EventStream:
    """Follows the event stream of one task. To be used on the I/O thread, by one consumer.

    Attributes:
        position: The position of the last event that was handed out, or None.
    """

    def __init__(
        self,
        api: Api,
        url: str,
        *,
        task_id: str,
        terminal: frozenset[str],
        is_over: Callable[[], Awaitable[bool]],
        position: int | None = None,
    ) -> None:
        """Prepares to follow; nothing is opened before the iteration.

        Args:
            api: Builds and authorizes the requests.
            url: Where the stream is, as the service gave it.
            task_id: For the errors.
            terminal: The names of the events that end a task: a damaged one cannot be skipped.
            is_over: Asked after a connection that brought nothing new: does the service say that the task has
                ended? Then the iteration ends, without a terminal event.
            position: Where to begin; None means at the start.
        """
        self.position = position
        self._api = api
        self._url = url
        self._task_id = task_id
        self._terminal = terminal
        self._is_over = is_over
        self._unnumbered: set[str | int] = set()
        self._suspect: int | str | None = None
        self._retry = 0.0
        self._longest_silence: float | None = None
        self._contact = 0.0

    async def events(self) -> AsyncGenerator[StreamEvent]:
        """Yields each event once, in order, until the consumer stops or the task is over.

        Raises:
            UnauthorizedError: And the other errors of a service that refuses the stream.
            StreamInterruptedError: There was no contact for longer than the client's patience.
            StreamEventTooLarge: One event is larger than the client accepts.
        """
        loop = asyncio.get_running_loop()
        self._contact = loop.time()
        pauses = 0
        while True:
            opened, news = loop.time(), False
            try:
                async with aclosing(self._connection()) as connection:
                    async for event in connection:
                        news = True
                        yield event
                        self.position = event.position if event.position is not None else self.position
                drop = _DropError("the service closed the stream")
                if not news and await self._settled():
                    return
            except _DropError as error:
                drop = error
            if news or loop.time() - opened > STREAMS.cap:
                pauses = 0
            self._check_patience(loop.time(), drop)
            pause = STREAMS.pause(pauses, dice=random.random(), at_least=max(drop.at_least, self._retry))  # noqa: S311
            _log.debug("stream of task %s: %s; opening it again in %.2f s", self._task_id, drop, pause)
            await asyncio.sleep(pause)
            pauses += 1

    async def _connection(self) -> AsyncGenerator[StreamEvent]:
        """Yields the new events of one connection; ends when the service closes it."""
        request = self._api.watch_request(self._url, since=None, last_position=self.position)
        parser = SSEParser(max_event_size=self._api.client.max_event_size)
        loop = asyncio.get_running_loop()
        try:
            async with session().open_stream(request, timeout=self._api.client.call_timeout) as stream:
                await self._check_answer(stream)
                self._contact = loop.time()
                while True:
                    began, comments = self._contact, parser.comments
                    chunk = await stream.read(silence=self._silence_limit())
                    if not chunk:
                        return
                    self._contact = loop.time()
                    events = parser.feed(chunk)
                    if (
                        parser.comments > comments
                    ):  # a comment ended this silence, so the next will end likewise
                        self._longest_silence = max(self._longest_silence or 0.0, self._contact - began)
                    for event in events:
                        decoded = self._decode(event)
                        if decoded is not None and self._is_new(decoded, event):
                            yield decoded
        except LostConnectionError as error:
            raise _DropError(error.message) from error
        except EventTooLargeError as error:
            limit = self._api.client.max_event_size
            raise StreamEventTooLarge(
                f"One event of the task's stream has more than {limit} bytes (after position {self.position})",
                position=self.position,
                size=error.size,
                limit=limit,
                task_id=self._task_id,
                hint="raise the limit with Client(max_event_size=…)",
            ) from None
        finally:
            if parser.retry is not None:
                self._retry = min(parser.retry / 1000, STREAMS.cap)

    def _silence_limit(self) -> float:
        if self._longest_silence is None:
            return _SILENCE_WITHOUT_COMMENTS
        return max(_SILENCE_AT_LEAST, 3 * self._longest_silence)

    async def _check_answer(self, stream: OpenStream) -> None:
        if stream.status == 200 and stream.content_type == "text/event-stream":
            return
        body = await stream.read_error_body()
        if is_transient(stream.status):
            raise _DropError(
                f"the service answered {stream.status}",
                at_least=retry_after(stream.headers.get("Retry-After"), now=datetime.now(UTC)),
                status=stream.status,
            )
        step = "watching the task"
        if stream.status == 200:
            raise TaskException(
                f"The service's answer to {step} is not an event stream but {stream.content_type}",
                task_id=self._task_id,
                status_code=200,
            )
        raise refusal(step, stream.status, body, task_id=self._task_id)

    def _decode(self, event: ServerSentEvent) -> StreamEvent | None:
        """Returns the decoded event, or None for a damaged one that came damaged twice."""
        numbered = event.id.isascii() and event.id.isdigit() and len(event.id) <= _POSITION_DIGITS
        position = int(event.id) if numbered else None
        try:
            value: object = msgspec.json.decode(event.data)
        except msgspec.DecodeError as error:
            problem = str(error)
        else:
            payload = as_object(value)
            if payload is not None:
                return StreamEvent(position, event.name, payload)
            problem = f"a {type(value).__name__} where an object was expected"
        if position is not None and self.position is not None and position <= self.position:
            return None
        where = position if position is not None else event.data
        if self._suspect != where:
            self._suspect = where
            raise _DropError(f"the event at position {position} is damaged ({problem})")
        if event.name in self._terminal:
            raise TaskException(
                f"The task has ended ({event.name}), but its last update cannot be read: {problem}",
                task_id=self._task_id,
            )
        _log.error(
            "stream of task %s: the %s at position %s is damaged and skipped: %s",
            self._task_id,
            event.name,
            position,
            problem,
        )
        return None

    def _is_new(self, event: StreamEvent, raw: ServerSentEvent) -> bool:
        if event.position is not None:
            return self.position is None or event.position > self.position
        # Without positions only the events themselves tell a replay from news.
        update_id = event.payload.get("updateId")
        key = update_id if isinstance(update_id, str) else hash((raw.name, raw.data))
        if key in self._unnumbered:
            return False
        self._unnumbered.add(key)
        return True

    async def _settled(self) -> bool:
        """Asks whether the task has ended. Any answer is contact; none is a drop like the others."""
        try:
            over = await self._is_over()
        except RequenceUnreachableException as error:
            raise _DropError(error.message, status=error.status) from error
        self._contact = asyncio.get_running_loop().time()
        return over

    def _check_patience(self, now: float, drop: _DropError) -> None:
        patience = self._api.client.patience
        if patience is None or now - self._contact <= patience:
            return
        raise StreamInterruptedError(
            f"There was no contact with the service for {now - self._contact:.0f} seconds ({drop}); "
            f"the task may still run",
            position=self.position,
            status=drop.status,
            hint=f"look at it again later by its id, {self._task_id}; Client(patience=None) waits for ever",
        ) from drop
