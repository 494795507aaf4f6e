"""When a request is repeated, and after which pause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from requence._transport.retry import CALLS, STREAMS, Backoff, is_gateway_status, is_transient, retry_after

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 507, 520, 599])
def test_statuses_that_may_pass(status: int) -> None:
    assert is_transient(status)


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 403, 404, 409, 410, 413, 422, 428])
def test_statuses_that_stay(status: int) -> None:
    assert not is_transient(status)


def test_statuses_of_a_gateway() -> None:
    assert [status for status in range(200, 600) if is_gateway_status(status)] == [502, 503, 504]


def test_the_longest_pauses_double_up_to_a_limit() -> None:
    assert [CALLS.pause(repetition, dice=1) for repetition in range(7)] == [0.25, 0.5, 1, 2, 4, 8, 8]
    assert [STREAMS.pause(repetition, dice=1) for repetition in range(9)] == [
        0.25,
        0.5,
        1,
        2,
        4,
        8,
        16,
        30,
        30,
    ]


def test_the_dice_spread_the_pauses_over_their_whole_length() -> None:
    assert CALLS.pause(3, dice=0) == 0
    assert CALLS.pause(3, dice=0.5) == 1
    assert CALLS.pause(9, dice=0.25) == 2


def test_what_the_service_asks_for_is_obeyed_even_beyond_the_limit() -> None:
    assert CALLS.pause(0, dice=1, at_least=100) == 100
    assert CALLS.pause(5, dice=1, at_least=3) == 8
    assert CALLS.pause(5, dice=0, at_least=3) == 3


@given(
    st.integers(0, 10**9),
    st.floats(0, 1),
    st.floats(0, 120),
    st.builds(Backoff, first=st.floats(0.001, 60), cap=st.floats(0.001, 3600)),
)
def test_a_pause_is_never_shorter_than_asked_for_nor_longer_than_the_limit(
    repetition: int, dice: float, at_least: float, backoff: Backoff
) -> None:
    assert at_least <= backoff.pause(repetition, dice=dice, at_least=at_least) <= max(backoff.cap, at_least)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        (" ", 0),
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("007", 7),
        ("120", 120),
        ("121", 120),
        ("9" * 500, 120),
        ("-5", 0),
        ("1.5", 0),
        ("1e3", 0),
        ("\u0663", 0),  # a digit, but not an ASCII one
        ("\u00b2", 0),
        ("soon", 0),
        (",", 0),
        ("Sat, 31 Jan 2026 12:00:30 GMT", 30),
        ("Saturday, 31-Jan-26 12:00:30 GMT", 30),  # the two older spellings of a date
        ("Sat Jan 31 12:00:30 2026", 30),
        ("Sat, 31 Jan 2026 13:00:30 +0100", 30),
        ("Sat, 31 Jan 2026 12:00:30 -0000", 30),
        ("Sat, 31 Jan 2026 11:59:30 GMT", 0),
        ("Sun, 31 Jan 2027 12:00:00 GMT", 120),
        ("Sat, 31 Jan 99999 12:00:00 GMT", 0),
        ("Sat, 31 Jan 99999999999999999999 12:00:00 GMT", 0),
        ("Sat, 31 Jan 2026 12:00:30 +99999999999", 0),
        ("Sat, 31 Jan 2026 99:00:00 GMT", 0),
    ],
)
def test_what_the_header_asks_for(header: str | None, seconds: float) -> None:
    assert retry_after(header, now=NOW) == seconds


@given(st.integers(-10_000, 10_000))
def test_dates(seconds: int) -> None:
    header = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(header, now=NOW) == min(max(seconds, 0), 120)


date_pieces = st.sampled_from(
    ["Sat,", "31", "Jan", "31-Jan-26", "2026", "-1", "9" * 30, "12:00", ":", "+0100", "GMT"]
)


@given(st.text() | st.lists(date_pieces).map(" ".join))
def test_no_header_harms(header: str) -> None:
    assert 0 <= retry_after(header, now=NOW) <= 120
