"""How long a stream may be silent: learnt from its own comments."""

from __future__ import annotations

from requence._transport.silence import SilenceLimit


def test_without_comments_it_is_long() -> None:
    assert SilenceLimit().seconds == 300


def test_one_comment_tells_no_interval() -> None:
    """A server may greet with one and be silent for minutes afterwards."""
    limit = SilenceLimit()
    limit.comment_seen(5.0)
    assert limit.seconds == 300


def test_three_times_the_longest_gap() -> None:
    limit = SilenceLimit()
    for now in (0.0, 15.0, 75.0, 90.0):
        limit.comment_seen(now)
    assert limit.seconds == 180


def test_it_is_never_short() -> None:
    limit = SilenceLimit()
    limit.comment_seen(0.0)
    limit.comment_seen(1.0)
    assert limit.seconds == 30


def test_a_gap_over_two_connections_says_nothing() -> None:
    limit = SilenceLimit()
    limit.comment_seen(0.0)
    limit.connection_opened()
    limit.comment_seen(1000.0)
    limit.comment_seen(1020.0)
    assert limit.seconds == 60
