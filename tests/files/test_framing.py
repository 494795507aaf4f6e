"""The frames of a stream: any data in any pieces, and everything that is wrong with them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scripted_server import frame

from requence._transport.framing import FrameParser, FramingError


def fed(parser: FrameParser, whole: bytes, cuts: list[int]) -> bytes:
    places = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]
    return b"".join(parser.feed(whole[begin:end]) for begin, end in pairwise(places))


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(min_value=0)))
def test_any_data_in_any_pieces(payloads: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(frame(0, payload) for payload in payloads) + frame(1, b"")
    parser = FrameParser()
    assert fed(parser, whole, cuts) == b"".join(payloads)
    assert parser.has_ended
    assert parser.truncated is None


@given(st.binary(max_size=40), st.text(max_size=40), st.lists(st.integers(min_value=0)))
def test_a_truncation(payload: bytes, reason: str, cuts: list[int]) -> None:
    parser = FrameParser()
    whole = frame(0, payload) + frame(2, reason.encode("utf-8", "replace"))
    assert fed(parser, whole, cuts) == payload
    assert not parser.has_ended
    assert parser.truncated == reason.encode("utf-8", "replace").decode()


def test_the_example_of_the_protocol() -> None:
    parser = FrameParser()
    assert parser.feed(bytes.fromhex("00 00000002 6869 01 00000000")) == b"hi"
    assert parser.has_ended


def test_data_is_given_before_its_frame_is_whole() -> None:
    """A frame may have four gigabytes."""
    parser = FrameParser()
    assert parser.feed(b"\0\xff\xff\xff\xffabc") == b"abc"
    assert parser.feed(b"def") == b"def"


@pytest.mark.parametrize(
    ("whole", "says"),
    [
        (frame(3, b""), "no frame of type 3 with 0 bytes"),
        (frame(255, b"x"), "no frame of type 255"),
        (frame(1, b"x"), "no frame of type 1 with 1 bytes"),
        (b"\2\xff\xff\xff\xff", "no frame of type 2"),
        (frame(1, b"") + b"\0", "bytes after the end"),
        (frame(1, b"") + frame(0, b"x"), "bytes after the end"),
        (frame(2, b"") + frame(1, b""), "bytes after the end"),
        (b"<html>", "no frame of type 60"),
    ],
)
def test_what_is_no_frame(whole: bytes, says: str) -> None:
    with pytest.raises(FramingError, match=says):
        FrameParser().feed(whole)
    with pytest.raises(FramingError, match=says):
        fed(FrameParser(), whole, list(range(len(whole))))
