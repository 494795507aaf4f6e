"""The checks of what callers pass, made before anything is sent. Pure."""

from __future__ import annotations

from requence.exceptions import ConfigurationError

__all__ = ["check_identifier", "check_optional_text", "check_priority", "check_seconds"]


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


def _sendable(what: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{what} has a lone surrogate, which is no character and cannot be sent"
        ) from None
    return value
