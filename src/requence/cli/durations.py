"""Durations as people write them on a command line: `90s`, `30m`, `12h`, `7d`. Pure."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["FORMS", "read_duration"]

FORMS = "90s, 30m, 12h, 7d"
"""Examples of all forms, for help and errors."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_duration(text: str) -> timedelta | None:
    """Returns the duration; None if the text is none.

    Raises:
        OverflowError: It is longer than can be counted.
    """
    number, unit = text[:-1], _UNITS.get(text[-1:])
    # Ten digits at most: more days than that no calendar has.
    if unit is None or not (number.isascii() and number.isdigit()) or len(number) > 10:
        return None
    return timedelta(**{unit: int(number)})
