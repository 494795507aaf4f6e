"""When to try again, and after which pause. Pure: the clock and the dice are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

__all__ = [
    "CALLS",
    "STREAMS",
    "Backoff",
    "http_date",
    "is_gateway_status",
    "is_not_processed",
    "is_transient",
    "retry_after",
]

LONGEST_RETRY_AFTER = 120.0
_NOT_PROCESSED = frozenset({425, 429})
_TRANSIENT = frozenset({408, *_NOT_PROCESSED})
_GATEWAY = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing pauses with full jitter.

    Attributes:
        first: The longest pause before the first repetition, in seconds. It doubles with each further one.
        cap: The longest pause of all, in seconds.
    """

    first: float
    cap: float

    def pause(self, repetition: int, *, dice: float, at_least: float = 0.0) -> float:
        """Returns the seconds to wait.

        Args:
            repetition: 0 before the first repetition, 1 before the second, and so on.
            dice: A random number from 0 up to 1, so that many clients do not come back at the same moment.
            at_least: What the service asked for, in seconds.
        """
        longest = min(self.cap, self.first * 2.0 ** min(repetition, 60))
        return max(longest * dice, at_least)


CALLS = Backoff(first=0.25, cap=8.0)
STREAMS = Backoff(first=0.25, cap=30.0)


def is_transient(status: int) -> bool:
    """Says whether the same request may succeed a little later."""
    return status in _TRANSIENT or status >= 500


def is_not_processed(status: int) -> bool:
    """Says whether the service refused to look at the request now, so that it has had no effect."""
    return status in _NOT_PROCESSED


def is_gateway_status(status: int) -> bool:
    """Says whether a gateway answered in the place of the service."""
    return status in _GATEWAY


def retry_after(header: str | None, *, now: datetime) -> float:
    """Returns the seconds that a `Retry-After` header asks for: at most 120, and 0 where it says nothing."""
    if not header:
        return 0.0
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER)
    when = http_date(text)
    return 0.0 if when is None else min(max((when - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


@lru_cache(maxsize=16)  # all answers within a second have the same `Date`
def http_date(text: str | None) -> datetime | None:
    """Returns the time in a header such as `Date`, or None if there is none."""
    if not text:
        return None
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for a year beyond all numbers
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
