"""One event stream, however many connections it takes.

Only the consumer knows when a stream has ended: it stops iterating at the terminal event. Everything else that
ends a connection (a clean close, a reset, half an event, silence, a gateway's error) is a drop, after which the
stream is opened again from the last position.
"""

from __future__ import annotations

import asyncio
import json
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
_BROKEN_REPLAYS = 3  # after which a log that breaks off before anything new is taken to have nothing new
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

    def __init__(
        self,
        reason: str,
        *,
        at_least: float = 0.0,
        status: int | None = None,
        whole: bool = False,
        damaged: bool = False,
    ) -> None:
        super().__init__(reason)
        self.at_least = at_least
        self.status = status
        self.whole = whole  # whether the service has said all that it had to say
        self.damaged = damaged  # whether it is left only to fetch an event again


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
                ended? If then the log has nothing more either, the iteration ends without a terminal event.
            position: Where to begin; None means at the start.
        """
        self.position = position
        self._api = api
        self._url = url
        self._task_id = task_id
        self._terminal = terminal
        self._is_over = is_over
        self._last_key: str | int | None = None  # tells the last event from others at the same position
        self._unnumbered: set[str | int] = set()
        self._damaged: dict[tuple[int | None, int], int] = {}  # how often each damaged event came
        self._retry = 0.0
        self._longest_silence: float | None = None
        self._contact = 0.0
        self._over = False  # whether the service has said that the task has ended
        self._open = self._progress = False  # of the present connection

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
            opened = loop.time()
            self._open = self._progress = False
            try:
                async with aclosing(self._connection()) as connection:
                    async for event in connection:
                        self._progress = True
                        yield event
                        self.position = event.position if event.position is not None else self.position
                drop = _DropError("the service closed the stream", whole=True)
            except _DropError as error:
                drop = error
            if self._open and not self._progress and not drop.damaged:
                if self._over and (drop.whole or pauses >= _BROKEN_REPLAYS):
                    return
                if not self._over and await self._ask():
                    continue  # the last event may have been logged after the connection ended, so look once more
            if self._progress or loop.time() - opened > STREAMS.cap:
                pauses = 0
            if await self._is_hopeless(loop.time(), drop):
                return
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
                self._open = True
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
                    parser.feed(b"")  # raises if the same bytes have begun an event that is too large
        except LostConnectionError as error:
            raise _DropError(error.message, whole=error.silent) from error
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
            if self._open:
                self._contact = loop.time()  # a silent connection is contact for as long as it holds
            if parser.retry is not None:
                self._retry = min(parser.retry / 1000, STREAMS.cap)

    def _silence_limit(self) -> float:
        if self._over:
            return self._api.client.call_timeout  # what there is to say is in the log already
        if self._longest_silence is None:
            return _SILENCE_WITHOUT_COMMENTS
        return max(_SILENCE_AT_LEAST, 3 * self._longest_silence)

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
                f"the service answered {stream.status}",
                at_least=retry_after(stream.headers.get("Retry-After"), now=datetime.now(UTC)),
                status=stream.status,
            )
        raise refusal(step, stream.status, await stream.read_error_body(), task_id=self._task_id)

    def _decode(self, event: ServerSentEvent) -> StreamEvent | None:
        """Returns the decoded event, or None for a damaged one that came damaged twice."""
        numbered = event.id.isascii() and event.id.isdigit() and len(event.id) <= _POSITION_DIGITS
        position = int(event.id) if numbered else None
        try:
            value = _decoded(event.data)
        except (ValueError, RecursionError) as error:
            problem = str(error)
        else:
            payload = as_object(value)
            if payload is not None:
                return StreamEvent(position, event.name, payload)
            problem = f"a {type(value).__name__} where an object was expected"
        if position is not None and self.position is not None and position < self.position:
            return None
        if position == self.position and (position, 0) in self._damaged:
            return None  # skipped before, and replayed
        which = (position, hash((event.name, event.data)) if position in (None, self.position) else 0)
        self._damaged[which] = times = self._damaged.get(which, 0) + 1
        if times == 1:
            raise _DropError(f"the event at position {position} is damaged ({problem})", damaged=True)
        if times > 2:
            return None
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
        if position is not None:
            self.position = position
        self._progress = True
        return None

    def _is_new(self, event: StreamEvent, raw: ServerSentEvent) -> bool:
        # An event without an id of its own has that of the event before it. So among those at one position, as
        # among those without any, only the events themselves tell a replay from news.
        update_id = event.payload.get("updateId")
        key = update_id if isinstance(update_id, str) else hash((raw.name, raw.data))
        if event.position is None or event.position == self.position:
            if key == self._last_key or key in self._unnumbered:
                return False
            self._unnumbered.add(key)
            return True
        if self.position is not None and event.position < self.position:
            return False
        self._last_key = key
        return True

    async def _ask(self) -> bool:
        """Asks whether the task has ended, and keeps a yes. An answer is contact; a lost one is a no."""
        try:
            self._over = await self._is_over()
        except RequenceUnreachableException as error:
            _log.debug("task %s could not be asked for: %s", self._task_id, error)
            return False
        except TaskException as error:
            if error.status_code is None or not (error.status_code < 300 or is_transient(error.status_code)):
                raise
            _log.warning("task %s could not be asked for: %s", self._task_id, error)
            return False
        self._contact = asyncio.get_running_loop().time()
        return self._over

    async def _is_hopeless(self, now: float, drop: _DropError) -> bool:
        """Says, when the patience is at its end, whether the task is over without its last events.

        Raises:
            StreamInterruptedError: The service does not answer at all.
        """
        patience, contact = self._api.client.patience, self._contact
        without_contact = now - contact
        if patience is None or without_contact <= patience:
            return False
        if self._over or await self._ask():
            return True
        if self._contact != contact:
            return False  # the task runs and is reachable, only its stream is not
        raise StreamInterruptedError(
            f"There was no contact with the service for {without_contact:.0f} seconds ({drop}); "
            f"the task may still run",
            position=self.position,
            status=drop.status,
            hint=f"look at it again later by its id, {self._task_id}; Client(patience=None) waits for ever",
        ) from drop


def _decoded(text: str) -> object:
    """Decodes JSON; also halves of surrogate pairs, from texts cut in two, which JavaScript sends."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)
