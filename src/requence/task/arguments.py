"""The checks of what callers pass, made before anything is sent. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from requence.exceptions import ConfigurationError

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "check_function",
    "check_identifier",
    "check_optional_text",
    "check_position",
    "check_priority",
    "check_seconds",
    "check_since",
    "is_coroutine_function",
    "utc_text",
]


F = TypeVar("F", bound=Callable[..., object])


def check_function(what: str, value: F | None) -> F | None:
    """Returns a function that is to give a value when it is called, or None.

    Raises:
        ConfigurationError: It cannot be called, or it is a coroutine function.
    """
    if value is None:
        return None
    if not callable(value):
        raise ConfigurationError(f"{what} must be a function or None, not {type(value).__name__}")
    if is_coroutine_function(value):
        raise ConfigurationError(
            f"{what} must be a plain function: a coroutine function would not be awaited"
        )
    return value


def is_coroutine_function(function: Callable[..., object]) -> bool:
    """Returns whether calling a function gives a coroutine; also for an object whose call does."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004 (an object whose call is a coroutine function)
    )


def check_identifier(what: str, value: object) -> str:
    """Returns a name or id that can stand as one segment of a URL's path.

    Raises:
        ConfigurationError: It is empty, `.`, `..`, or not a text.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{what} must be text, not {type(value).__name__}")
    if not value.strip() or value in (".", ".."):
        raise ConfigurationError(f"{what} must not be {value!r}")
    return _sendable(what, value)


def check_optional_text(what: str, value: object) -> str | None:
    """Returns a text or None.

    Raises:
        ConfigurationError: It is something else.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise ConfigurationError(f"{what} must be text or None, not {type(value).__name__}")
    return _sendable(what, value)


def check_priority(value: object) -> int:
    """Returns a priority from 0 (low) to 10 (high).

    Raises:
        ConfigurationError: It is not a whole number, or out of the range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"priority must be a whole number from 0 (low) to 10 (high), not {value!r}")
    if not 0 <= value <= 10:
        raise ConfigurationError(f"priority must be from 0 (low) to 10 (high), not {value}")
    return value


def check_seconds(what: str, value: object) -> float | None:
    """Returns a number of seconds, or None for no limit.

    Raises:
        ConfigurationError: It is negative, or not a number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigurationError(f"{what} must be a number of seconds or None, not {value!r}")
    return float(value)


def check_position(value: object) -> int:
    """Returns a position in a task's log.

    Raises:
        ConfigurationError: It is not a whole number, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(
            f"position must be the position of an update, a whole number, not {value!r}",
            hint="update.position is None where the service numbers nothing",
        )
    return value


def check_since(value: object) -> str:
    """Returns a time as text in UTC: of a datetime, of a date (its midnight), or of ISO 8601 text.

    What has no offset is local time.

    Raises:
        ConfigurationError: It is none of these.
    """
    from datetime import date, datetime  # here, since only watchers need it

    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ConfigurationError(f"since must be a time in ISO 8601, not {value!r}") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise ConfigurationError(
            f"since must be a datetime, a date or ISO 8601 text, not {type(value).__name__}"
        )
    try:
        return utc_text(value)
    except (OverflowError, OSError, ValueError):
        raise ConfigurationError(f"since is out of range: {value.isoformat()}") from None


def utc_text(time: datetime) -> str:
    """Returns a time as ISO 8601 text in UTC, with `Z`; one without an offset is local time."""
    from datetime import UTC

    return time.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _sendable(what: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{what} has a lone surrogate, which is no character and cannot be sent"
        ) from None
    return value
