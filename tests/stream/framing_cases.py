"""The framing of event streams as data: what goes in, chunk by chunk, and which events must come out.

`CASES` are the 34 numbered cases that `benchmarks/sse_conformance.py` puts every reader through as well.
`MORE_CASES` are narrower ones for our own parser. Nothing here imports the package, so that an environment
without it can use the cases too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["CASES", "LARGE", "MORE_CASES", "Event", "FramingCase"]

Event: TypeAlias = tuple[str, str, str]
"""Name, data, and the id that was current when the event ended."""

M = "message"

LARGE = 64 * 1024
"""Streams above this size are not cut at every position, but around their ends and at multiples of this."""


@dataclass(frozen=True, slots=True)
class FramingCase:
    """One stream: it ends after the last chunk.

    Attributes:
        name: What the case is about.
        chunks: The bytes in the pieces in which they are sent.
        events: The events that must come out.
        last_event_id: The id that is current when the stream ends.
        retry: The retry value in milliseconds when the stream ends, None if no valid one was sent.
        number: The case's number in the table of 34, 0 outside of it.
    """

    name: str
    chunks: tuple[bytes, ...]
    events: tuple[Event, ...]
    last_event_id: str = ""
    retry: int | None = None
    number: int = 0

    @property
    def stream(self) -> bytes:
        """The whole stream in one piece."""
        return b"".join(self.chunks)

    def __str__(self) -> str:
        return f"{self.number:02} {self.name}" if self.number else self.name


def _case(
    name: str,
    chunks: str | bytes | list[str | bytes],
    *events: Event,
    last_event_id: str = "",
    retry: int | None = None,
    number: int = 0,
) -> FramingCase:
    pieces = chunks if isinstance(chunks, list) else [chunks]
    raw = tuple(piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    return FramingCase(name, raw, events, last_event_id, retry, number)


_ODD_BREAKS = "a\u2028b\x85c\x0bd\x0ce\x1cf"  # all of them line ends to str.splitlines(), none to a stream

CASES: tuple[FramingCase, ...] = (
    _case("plain", "data: a\n\n", (M, "a", ""), number=1),
    _case("byte order mark", "\ufeffdata: a\n\n", (M, "a", ""), number=2),
    _case("byte order mark cut in two", [b"\xef", b"\xbb\xbfdata: a\n\n"], (M, "a", ""), number=3),
    _case(
        "a later byte order mark is text",
        ["data: a\n\n", "\ufeffdata: b\n\ndata: c\n\n"],
        (M, "a", ""),
        (M, "c", ""),
        number=4,
    ),
    _case("CR only", "data: a\rdata: b\r\rdata: c\r\r", (M, "a\nb", ""), (M, "c", ""), number=5),
    _case("CRLF", "data: a\r\ndata: b\r\n\r\n", (M, "a\nb", ""), number=6),
    _case(
        "CRLF cut in two",
        ["data: a\r", "\ndata: b\r", "\n\r", "\ndata: c\r\n\r\n"],
        (M, "a\nb", ""),
        (M, "c", ""),
        number=7,
    ),
    _case("CR, LF and CRLF mixed", "data: a\rdata: b\ndata: c\r\n\r\n", (M, "a\nb\nc", ""), number=8),
    _case("data of several lines", ["data: a\n", "data: b\n\n"], (M, "a\nb", ""), number=9),
    _case("empty data", "data\n\ndata\ndata\n\ndata:", (M, "", ""), (M, "\n", ""), number=10),
    _case("empty data lines at the end", "data: a\ndata:\ndata:\n\n", (M, "a\n\n", ""), number=11),
    _case("only one space is dropped", "data:a\n\ndata:  b\n\n", (M, "a", ""), (M, " b", ""), number=12),
    _case("data of spaces only", "data:  \n\n", (M, " ", ""), number=13),
    _case("spaces at the end are kept", "data: a  \n\n", (M, "a  ", ""), number=14),
    _case("comments as signs of life", [": ka\n\n", ":\n\n", "data: a\n\n"], (M, "a", ""), number=15),
    _case("no data, no event, and the name is forgotten", "event: x\n\ndata: a\n\n", (M, "a", ""), number=16),
    _case("event name", "event: nodeEnd\ndata: a\n\n", ("nodeEnd", "a", ""), number=17),
    _case(
        "the id stays",
        "id: 1\ndata: a\n\ndata: b\n\n",
        (M, "a", "1"),
        (M, "b", "1"),
        last_event_id="1",
        number=18,
    ),
    _case(
        "an id with NUL is ignored",
        "id: 1\ndata: a\n\nid: 2\x00x\ndata: b\n\n",
        (M, "a", "1"),
        (M, "b", "1"),
        last_event_id="1",
        number=19,
    ),
    _case("an empty id resets", "id: 1\ndata: a\n\nid\ndata: b\n\n", (M, "a", "1"), (M, "b", ""), number=20),
    _case(
        "retry, good and bad",
        "retry: 20\ndata: a\n\nretry: 1x\ndata: b\n\n",
        (M, "a", ""),
        (M, "b", ""),
        retry=20,
        number=21,
    ),
    _case("retry with a digit that is not ASCII", "retry: \xb2\ndata: a\n\n", (M, "a", ""), number=22),
    _case("end without a blank line", "data: a\n\ndata: b\n", (M, "a", ""), number=23),
    _case("end within a line", "data: a\n\ndata: b", (M, "a", ""), number=24),
    _case(
        "UTF-8 cut in two",
        [b"data: \xc3", b"\xa9\xf0\x9f", b"\x98\x80\n\n"],
        (M, "\xe9\U0001f600", ""),
        number=25,
    ),
    _case("invalid UTF-8", b"data: \xff\n\n", (M, "\ufffd", ""), number=26),
    _case("what is no line end", f"data: {_ODD_BREAKS}\n\n", (M, _ODD_BREAKS, ""), number=27),
    _case("unknown fields and wrong case", "foo: 1\nData: x\ndata: y\n\n", (M, "y", ""), number=28),
    _case("colons in data", "data: a: b:c\n\n", (M, "a: b:c", ""), number=29),
    _case("a line of one space is not blank", "data: a\n \ndata: b\n\n", (M, "a\nb", ""), number=30),
    _case("the last event name wins", "event: a\nevent: b\ndata: x\n\n", ("b", "x", ""), number=31),
    _case("a line of 200,000", "data: " + "x" * 200_000 + "\n\n", (M, "x" * 200_000, ""), number=32),
    _case("a line of 600,000", "data: " + "x" * 600_000 + "\n\n", (M, "x" * 600_000, ""), number=33),
    _case("a line of 5 MiB", "data: " + "x" * 5_242_880 + "\n\n", (M, "x" * 5_242_880, ""), number=34),
)

MORE_CASES: tuple[FramingCase, ...] = (
    _case("nothing at all", ""),
    _case("blank lines only", "\n\r\n\r\n\n"),
    _case("an id without data is kept, without an event", "id: 5\n\n", last_event_id="5"),
    _case("an id in half an event is not taken", "id: 5\n\ndata: a\nid: 6", last_event_id="5"),
    _case("an id in an event without its blank line is not taken", "data: a\nid: 6\n"),
    _case("a keep-alive after an id is nothing", "id: 5\n\n: ka\n\n", last_event_id="5"),
    _case("an id that is no number", "id: a b \ndata: x\n\n", (M, "x", "a b "), last_event_id="a b "),
    _case("the last id wins", "id: 1\nid: 2\ndata: x\n\n", (M, "x", "2"), last_event_id="2"),
    _case("retry of nine digits", "retry: 999999999\n\n", retry=999_999_999),
    _case("retry of ten digits is ignored", "retry: 1000000000\n\n"),
    _case("retry of a thousand digits is ignored", "retry: " + "1" * 1000 + "\n\n"),
    _case("retry needs no blank line", "retry: 7\n", retry=7),
    _case("retry without a number", "retry\nretry:\nretry: -1\nretry: 1.5\nretry: +1\nretry:  1\n\n"),
    _case("the last valid retry wins", "retry: 1\nretry: 2\nretry: x\n\n", retry=2),
    _case("a comment between data lines", "data: a\n: ka\ndata: b\n\n", (M, "a\nb", "")),
    _case("a comment is not data", ":data: a\n\n"),
    _case("an empty event name is none", "event: a\nevent:\ndata: x\n\n", (M, "x", "")),
    _case("spaces around a field's name", "data : a\n data: b\ndata: c\n\n", (M, "c", "")),
    _case("a tab is not dropped", "data:\ta\n\n", (M, "\ta", "")),
    _case("NUL in data is kept", "data: a\x00b\n\n", (M, "a\x00b", "")),
    _case("a byte order mark before a comment", "\ufeff: ka\ndata: a\n\n", (M, "a", "")),
    _case("a byte order mark before a blank line", "\ufeff\ndata: a\n\n", (M, "a", "")),
    _case("of two byte order marks the second is text", "\ufeff\ufeffdata: a\n\ndata: b\n\n", (M, "b", "")),
    _case("two thirds of a byte order mark", b"\xef\xbbdata: a\n\ndata: b\n\n", (M, "b", "")),
    _case("a byte order mark within data", "data: \ufeffa\n\n", (M, "\ufeffa", "")),
    _case("a cut character does not swallow the line end", b"data: \xe2\x82\n\n", (M, "\ufffd", "")),
    _case("a surrogate is invalid UTF-8", b"data: \xed\xa0\x80\n\n", (M, "\ufffd" * 3, "")),
    _case("invalid UTF-8 in name and id", b"event: \xff\nid: \xfe\ndata\n\n", ("\ufffd", "", "\ufffd"),
          last_event_id="\ufffd"),
    _case("a blank line of CR ends the event at once", "data: a\r\r", (M, "a", "")),
    _case("a blank line of CRLF ends the event at its CR", "data: a\r\n\r", (M, "a", "")),
    _case("LF CR is two line ends", "data: a\n\rdata: b\n\r", (M, "a", ""), (M, "b", "")),
)  # fmt: skip
