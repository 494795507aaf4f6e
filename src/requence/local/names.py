"""What may serve as a name. Pure."""

from __future__ import annotations

from requence.exceptions import ConfigurationError

__all__ = ["check_name"]


def check_name(what: str, name: object) -> None:
    """Checks that a name is readable text.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(name, str):
        raise ConfigurationError(f"A {what} must be text, not {type(name).__name__}")
    if not name.strip() or not name.isprintable():
        raise ConfigurationError(f"A {what} must be readable text, not {name!r}")
