"""The event stream's framing: every case, however the network cuts it."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, combinations, pairwise, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stream.framing_cases import CASES, LARGE, MORE_CASES, Event, FramingCase

from requence._transport.sse import EventTooLargeError, SSEParser

AMPLE = 1 << 30

ALL = (*CASES, *MORE_CASES)
SMALL = tuple(case for case in ALL if len(case.stream) <= LARGE)
BIG = tuple(case for case in ALL if len(case.stream) > LARGE)


def run(chunks: Iterable[bytes], *, max_event_size: int = AMPLE) -> tuple[list[Event], SSEParser]:
    parser = SSEParser(max_event_size=max_event_size)
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return [(name, data, event_id) for event_id, name, data in events], parser


def check(case: FramingCase, chunks: Iterable[bytes]) -> None:
    events, parser = run(chunks)
    assert events == list(case.events)
    assert parser.last_event_id == case.last_event_id
    assert parser.retry == case.retry


def cut(stream: bytes, positions: Iterable[int]) -> list[bytes]:
    ends = [0, *sorted(positions), len(stream)]
    return [stream[start:end] for start, end in pairwise(ends)]


def with_empty_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield b""
    for chunk in chunks:
        yield chunk
        yield b""


def near(stream: bytes, *, every: int) -> set[int]:
    """Positions around both ends of a large stream and around each `every`-th multiple of 64 KiB."""
    marks = range(0, len(stream), every * LARGE)
    positions = {mark + offset for mark in marks for offset in (-1, 0, 1)}
    positions.update(range(10), range(len(stream) - 4, len(stream) + 1))
    return {position for position in positions if 0 <= position <= len(stream)}


def test_there_are_34_numbered_cases() -> None:
    assert [case.number for case in CASES] == list(range(1, 35))
    assert len({case.name for case in ALL}) == len(ALL)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_as_sent_and_in_one_piece(case: FramingCase) -> None:
    check(case, case.chunks)
    check(case, [case.stream])
    check(case, with_empty_chunks(case.chunks))


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_cut_at_every_position(case: FramingCase) -> None:
    for position in range(len(case.stream) + 1):
        pieces = cut(case.stream, [position])
        check(case, pieces)
        check(case, with_empty_chunks(pieces))


@pytest.mark.parametrize("case", [case for case in SMALL if len(case.stream) < 100], ids=str)
def test_cut_at_every_two_positions(case: FramingCase) -> None:
    for positions in combinations(range(len(case.stream) + 1), 2):
        check(case, cut(case.stream, positions))


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_byte_by_byte(case: FramingCase) -> None:
    single = cut(case.stream, range(1, len(case.stream)))
    check(case, single)
    check(case, with_empty_chunks(single))


@pytest.mark.parametrize("case", BIG, ids=str)
def test_large_streams_cut_around_ends_and_multiples_of_64_kib(case: FramingCase) -> None:
    for position in near(case.stream, every=1 if len(case.stream) < 2**20 else 8):
        check(case, with_empty_chunks(cut(case.stream, [position])))
    check(case, with_empty_chunks(cut(case.stream, near(case.stream, every=1))))


@pytest.mark.parametrize("case", BIG, ids=str)
def test_large_streams_in_equal_chunks(case: FramingCase) -> None:
    for size in (1024, 4096, LARGE - 1, LARGE, LARGE + 1):
        check(case, with_empty_chunks(cut(case.stream, range(size, len(case.stream), size))))


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_cut_at_random(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(SMALL), label="case")
    positions = data.draw(st.lists(st.integers(0, len(case.stream)), max_size=12), label="cuts")
    check(case, cut(case.stream, positions))


# An independent reading of the standard, on the whole stream at once: decoded first, then cut into lines. It
# has no chunks to care for, so it can be short enough to be seen to be right.
def read_whole(stream: bytes) -> tuple[list[Event], str, int | None]:
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    events: list[Event] = []
    data: list[str] = []
    name, current_id, buffered_id = "", "", ""
    retry: int | None = None
    for line in re.split("\r\n|\r|\n", text)[:-1]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            current_id = buffered_id
            if data:
                events.append((name or "message", "\n".join(data), current_id))
            name, data = "", []
        elif field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            buffered_id = value
        elif field == "retry" and re.fullmatch("[0-9]{1,9}", value):
            retry = int(value)
    return events, current_id, retry


FIELDS = [b"data", b"event", b"id", b"retry", b"data: a\n", b"id: 1\n", b"event: e\r\n", b"retry: 5\r"]
MARKS = [b":", b": ", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"7", b"x"]
CHARACTERS = [
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\xf0\x9f\x98\x80",
    b"\xef",
    b"\xbb",
    b"\xbf",
    b"\xc3",
    b"\xff",
]
FRAGMENTS = st.sampled_from([*FIELDS, *MARKS, *CHARACTERS])
STREAMS = st.lists(FRAGMENTS | st.binary(max_size=3), max_size=40).map(b"".join)


@given(stream=STREAMS, data=st.data())
@settings(max_examples=1000, deadline=None)
def test_any_bytes_are_read_as_the_standard_reads_them(stream: bytes, data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.integers(0, len(stream)), max_size=8), label="cuts")
    events, parser = run(cut(stream, positions))
    assert (events, parser.last_event_id, parser.retry) == read_whole(stream)


@given(stream=STREAMS)
@settings(max_examples=300, deadline=None)
def test_any_bytes_one_by_one(stream: bytes) -> None:
    events, parser = run(cut(stream, range(1, len(stream))))
    assert (events, parser.last_event_id, parser.retry) == read_whole(stream)


def test_an_event_is_a_plain_value() -> None:
    (event,) = SSEParser(max_event_size=AMPLE).feed(b"id: 3\nevent: nodeEnd\ndata: {}\n\n")
    assert event == ("3", "nodeEnd", "{}")


def test_the_id_stays_over_events_chunks_and_comments() -> None:
    parser = SSEParser(max_event_size=AMPLE)
    parser.feed(b"id: 41\ndata: a\n\n")
    assert parser.last_event_id == "41"
    assert [event_id for event_id, _, _ in parser.feed(b": ka\n\ndata: b\n\ndata: c\n\n")] == ["41", "41"]
    parser.feed(b"id: 42\ndata: half")
    assert parser.last_event_id == "41", "half an event does not move the id"
    assert [event_id for event_id, _, _ in parser.feed(b"\n\n")] == ["42"]
    assert parser.last_event_id == "42"


def test_the_rest_of_a_comment_is_no_event_whatever_it_looks_like() -> None:
    stream = b": not id: 3\nevent: nodeEnd\ndata: {}\n\n"
    events, parser = run(cut(stream, [len(b": not ")]))
    assert events == [("nodeEnd", "{}", "")]
    assert parser.comments == 1


def test_a_new_parser_knows_nothing_of_the_half_event_before_it() -> None:
    first = SSEParser(max_event_size=AMPLE)
    first.feed(b"id: 1\ndata: a\n\nid: 2\nevent: e\ndata: partial")
    events, _ = run([b"data: b\n\n"])
    assert events == [("message", "b", "")]


@pytest.mark.parametrize(
    ("stream", "comments"),
    [
        (b"", 0),
        (b"data: a\n\n", 0),
        (b":\n", 1),
        (b": ka\r\n\r\n: ka\r\n\r\n", 2),
        (b":data: a\n:\n\n", 2),
        (b"\xef\xbb\xbf: ka\n", 1),
        (b": unfinished", 0),
        (b"data: :\n :\n\n", 0),
    ],
)
def test_comments_are_counted(stream: bytes, comments: int) -> None:
    for position in range(len(stream) + 1):
        _, parser = run(cut(stream, [position]))
        assert parser.comments == comments


class TestSizeCap:
    """One event may have `max_event_size` bytes; an event that goes on is refused before it is kept."""

    def test_at_the_cap_and_one_above(self) -> None:
        assert run([b"data: 2345\n\n"], max_event_size=10)[0] == [("message", "2345", "")]
        with pytest.raises(EventTooLargeError) as caught:
            run([b"data: 23456\n\n"], max_event_size=10)
        assert caught.value.size == 11
        assert "11 bytes" in str(caught.value)
        assert isinstance(caught.value, ValueError)

    def test_the_message_does_not_show_the_data(self) -> None:
        with pytest.raises(EventTooLargeError) as caught:
            run([b"data: secret-secret\n\n"], max_event_size=10)
        assert "secret" not in f"{caught.value}{caught.value!r}"

    def test_within_a_line_that_never_ends(self) -> None:
        with pytest.raises(EventTooLargeError) as caught:
            run(chain([b"data: "], repeat(b"x" * 1024)), max_event_size=100_000)
        assert 100_000 < caught.value.size <= 100_000 + 1024, "noticed with the chunk that passed the cap"

    def test_over_many_lines(self) -> None:
        with pytest.raises(EventTooLargeError) as caught:
            run(repeat(b"data: 0123456789\n"), max_event_size=1000)
        assert 1000 < caught.value.size < 1030

    def test_empty_data_lines_count_their_line_end(self) -> None:
        with pytest.raises(EventTooLargeError):
            run([b"data\n" * 1000], max_event_size=500)

    @pytest.mark.parametrize("position", range(20))
    def test_wherever_it_is_cut(self, position: int) -> None:
        with pytest.raises(EventTooLargeError):
            run(cut(b"data: a\ndata: 01234567\n\n", [position]), max_event_size=15)
        assert run(cut(b"data: a\ndata: 01234567\n\n", [position]), max_event_size=16)[0]

    def test_ended_events_do_not_count(self) -> None:
        events, _ = run([b"data: 0123456789\n\n"] * 1000, max_event_size=20)
        assert len(events) == 1000
        assert len(run([b"data: 0123456789\n\n" * 1000], max_event_size=20)[0]) == 1000

    def test_events_without_data_do_not_count(self) -> None:
        assert run([b"id: 1\nevent: e\n\n" * 1000 + b"data: a\n\n"], max_event_size=20)[0] == [
            ("message", "a", "1")
        ]

    def test_comments_do_not_count(self) -> None:
        chunks = [b"data: 01234\n", *[b": keep-alive\n"] * 1000, b"data: 56789\n\n"]
        for sent in (chunks, [b"".join(chunks)]):
            events, parser = run(sent, max_event_size=20)
            assert events == [("message", "01234\n56789", "")]
            assert parser.comments == 1000

    @pytest.mark.parametrize("size", [1, 7, 1000, 10_000])
    def test_one_long_comment_neither_counts_nor_is_kept(self, size: int) -> None:
        stream = b"data: a\n:" + b"c" * 9_000 + b"\r\ndata: b\r\n\r\n"
        events, parser = run(cut(stream, range(size, len(stream), size)), max_event_size=20)
        assert events == [("message", "a\nb", "")]
        assert parser.comments == 1

    @pytest.mark.parametrize("position", range(30))
    def test_a_long_comment_after_a_byte_order_mark(self, position: int) -> None:
        stream = b"\xef\xbb\xbf:" + b"c" * 40 + b"\ndata: a\n\n"
        assert run(cut(stream, [position]), max_event_size=20)[0] == [("message", "a", "")]

    def test_events_that_ended_before_the_large_one_are_delivered(self) -> None:
        """The position after them is where a reader goes on: losing them would lose updates."""
        stream = b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: 0123456789\n\n"
        for position in range(len(stream)):
            parser = SSEParser(max_event_size=10)
            chunks = iter([*cut(stream, [position]), b": ka\n"])
            delivered: list[str] = []
            with pytest.raises(EventTooLargeError):
                delivered.extend(data for chunk in chunks for _, _, data in parser.feed(chunk))
            assert delivered == ["a", "b"]
            assert parser.last_event_id == "2"


def _one_line(size: int) -> bytes:
    return b"data: " + b"x" * size + b"\n\n"


def _many_lines(size: int) -> bytes:
    return b"data: 0123456789\n" * (size // 17) + b"\n"


def _many_events(size: int) -> bytes:
    return b"data: 0123456789\n\n" * (size // 18)


def _one_comment(size: int) -> bytes:
    return b": " + b"x" * size + b"\n\n"


SHAPES = pytest.mark.parametrize("shape", [_one_line, _many_lines, _many_events, _one_comment])
KIB = 1024


def _work(stream: bytes) -> int:
    """Returns the bytes that the parser allocated while it read the stream in chunks of 1 KiB.

    To look at a byte again, a parser must have put it together with later ones, which allocates. So this
    counts the work without a clock: whoever copies what is there already at each chunk allocates its square.
    """
    chunks = cut(stream, range(KIB, len(stream), KIB))
    parser = SSEParser(max_event_size=AMPLE)
    work = 0
    tracemalloc.start()
    try:
        for chunk in chunks:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            parser.feed(chunk)
            work += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return work


@SHAPES
def test_work_grows_with_the_size_and_not_with_its_square(shape: Callable[[int], bytes]) -> None:
    sizes = [64 * KIB << doubling for doubling in range(4)]
    per_byte = [_work(shape(size)) / size for size in sizes]
    assert max(per_byte) < 1.5 * min(per_byte) + 0.5, per_byte


def test_an_unfinished_line_is_kept_in_the_pieces_it_came_in() -> None:
    parser = SSEParser(max_event_size=AMPLE)
    parser.feed(b"data: ")
    pieces = [bytes([97 + number % 26]) * KIB for number in range(1000)]
    for piece in pieces:
        parser.feed(piece)
    kept = parser._pieces  # pyright: ignore[reportPrivateUsage]
    assert all(piece is given for piece, given in zip(kept[1:], pieces, strict=True))
    ((_, _, data),) = parser.feed(b"\n\n")
    assert data == b"".join(pieces).decode()


def test_nothing_is_kept_of_ended_events_and_comments() -> None:
    parser = SSEParser(max_event_size=AMPLE)
    stream = b"id: 1\nevent: e\ndata: 0123456789\n\n: comment\n\n" * 20
    parser.feed(stream)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(500):
            parser.feed(stream)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 4 * KIB
