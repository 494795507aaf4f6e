"""The text/event-stream format, from bytes to events. Pure: no I/O, no clock.

Follows the event stream section of the HTML standard: lines end with LF, CRLF or CR and nothing else, a
leading byte order mark is dropped, several `data` lines are joined with LF, an event that was not ended by a
blank line is not an event. Half an event at the end of a connection is therefore dropped together with its
parser: use a new parser for each connection.
"""

from __future__ import annotations

import re
from typing import TypeAlias

__all__ = ["EventTooLargeError", "SSEParser", "ServerSentEvent"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANK_LINE = b"\n\n"
# What nearly all services send. A whole event, from the start of the text or behind a blank line. Whether it is
# there is looked at behind a literal: only what begins with one is found fast in text that has nothing like it.
_PLAIN_EVENT = re.compile(r"id:(?:(?<=\n\nid:)|(?<=\Aid:)) ?([0-9]+)\nevent: ?([A-Za-z]+)\ndata: ?(.*)\n\n")
_RETRY_DIGITS = 9  # a pause of more than eleven days is a mistake, not a wish


ServerSentEvent: TypeAlias = tuple[str, str, str]
"""One event of a stream, plain since there may be very many.

The last id that the stream gave up to here, empty where it gave none; the event's name, `message` where the stream
gave none; the joined data lines.
"""


class EventTooLargeError(ValueError):
    """One event has more bytes than the parser accepts; `size` bytes of it had arrived."""

    def __init__(self, size: int) -> None:
        super().__init__(f"one event of the stream has more than the accepted size ({size} bytes so far)")
        self.size = size


class SSEParser:
    """Turns the bytes of one connection into events, in time linear in their number.

    Attributes:
        last_event_id: The id that the last blank line made current.
        retry: The last `retry` value in milliseconds, or None.
        comments: How many comment lines were seen; servers send them to show that they are alive.
    """

    def __init__(self, *, max_event_size: int) -> None:
        self.last_event_id = self._id = ""
        self.retry: int | None = None
        self.comments = 0
        self._max_event_size = max_event_size
        self._start: bytes | None = b""  # what may become a byte order mark; None once that is decided
        self._skip_line_feed = False  # the last chunk ended with CR: a LF now would belong to it
        self._pieces: list[bytes] = []  # of a line whose end has not arrived; joined once, when it has
        self._pieces_size = 0
        self._too_large: EventTooLargeError | None = None
        self._begin_event()

    @property
    def unfinished(self) -> bool:
        """Whether an event has begun whose end has not arrived."""
        return self._data is not None or bool(self._name) or (bool(self._pieces) and self._pieces[0] != b":")

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Takes the next bytes of the connection and returns the events that they completed.

        Raises:
            EventTooLargeError: An event exceeds the limit. If the same bytes completed events before it, they
                are returned first, and the next call raises. The parser is of no use afterwards.
        """
        if self._too_large is not None:
            raise self._too_large
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(chunk):
                self._start = chunk
                return []
            self._start = None
            chunk = chunk.removeprefix(_BYTE_ORDER_MARK)
        if not chunk:
            return []
        if self._skip_line_feed:
            chunk = chunk.removeprefix(b"\n")
        self._skip_line_feed = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events: list[ServerSentEvent] = []
        try:
            if (
                self._pieces or self.unfinished or self._id != self.last_event_id
            ):  # in an event, or in a comment
                begun, gap, chunk = chunk.partition(_BLANK_LINE)
                self._take_lines(begun + gap, events)
            whole, gap, rest = chunk.rpartition(_BLANK_LINE)
            if gap:
                self._take_whole(whole + gap, events)
            self._take_lines(rest, events)
        except EventTooLargeError as error:
            if not events:
                raise
            self._too_large = error
        return events

    def _take_whole(self, block: bytes, events: list[ServerSentEvent]) -> None:
        """Reads whole events, and adds them: plain ones all at once, ten times as fast as line by line."""
        if len(block) <= self._max_event_size:
            try:
                found = _PLAIN_EVENT.findall(block.decode())
            except UnicodeDecodeError:
                found = []
            if found and len(found) == block.count(_BLANK_LINE):  # else there is something between them
                events += found
                self._id = self.last_event_id = found[-1][0]
                return
        self._take_lines(block, events)

    def _take_lines(self, text: bytes, events: list[ServerSentEvent]) -> None:
        """Reads text line by line, and adds the events that it ends."""
        *ends, rest = text.split(b"\n")  # ten times as fast as a regular expression for the three line ends
        for end in ends:
            self._add_piece(end)
            event = self._take_line(self._whole_line())
            if event is not None:
                events.append(event)
        if rest:
            self._add_piece(rest)

    def _begin_event(self) -> None:
        self._name = b""
        self._id = self.last_event_id
        # A buffer from the second line on: they may be many and short, and shall count for what they take.
        self._data: bytes | bytearray | None = None

    def _add_piece(self, piece: bytes) -> None:
        if (self._pieces[0] if self._pieces else piece).startswith(b":"):
            # A comment is not part of an event, however long it is: only that it is one is kept.
            if not self._pieces:
                self._pieces.append(b":")
            return
        self._pieces.append(piece)
        self._pieces_size += len(piece)
        size = self._pieces_size + (0 if self._data is None else len(self._data) + 1)
        if size > self._max_event_size:
            raise EventTooLargeError(size)

    def _whole_line(self) -> bytes:
        line = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._pieces_size = 0
        return line

    def _take_line(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._end_event()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            if self._data is None:
                self._data = value
            else:
                if isinstance(self._data, bytes):
                    self._data = bytearray(self._data)
                self._data += b"\n"
                self._data += value
        elif field == b"event":
            self._name = value
        elif field == b"id":
            if b"\0" not in value:
                self._id = _text(value)
        elif field == b"retry":
            if value.isdigit() and len(value) <= _RETRY_DIGITS:
                self.retry = int(value)
        elif not field:
            self.comments += 1
        return None

    def _end_event(self) -> ServerSentEvent | None:
        self.last_event_id = self._id
        event = None
        if self._data is not None:
            event = self.last_event_id, _text(self._name) or "message", _text(self._data)
        self._begin_event()
        return event


def _text(raw: bytes | bytearray) -> str:
    # Line by line gives the same text as decoding the whole stream: no line end is part of a longer sequence.
    return raw.decode("utf-8", "replace")
