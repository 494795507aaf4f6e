"""The plain settings of a client: what each may be, its variable in the environment, and its default. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from requence.exceptions import ConfigurationError

__all__ = [
    "CA_BUNDLE_VARIABLE",
    "NOT_GIVEN",
    "PROXY_VARIABLE",
    "SETTINGS",
    "TOKEN_VARIABLES",
    "from_variable",
    "setting",
]

TOKEN_VARIABLES = ("REQUENCE_TASK_ACCESS_TOKEN", "REQUENCE_ACCESS_TOKEN")  # the first one counts
PROXY_VARIABLE = "REQUENCE_PROXY"
CA_BUNDLE_VARIABLE = "REQUENCE_CA_BUNDLE"


class _NotGiven:
    """Tells a setting that was left out from each value that it can have, None among them."""

    def __repr__(self) -> str:
        return "<from its variable, or the default>"


NOT_GIVEN: Final[Any] = _NotGiven()


class Setting(NamedTuple):
    """One setting.

    Attributes:
        variable: Its name in the environment.
        default: Its value where neither says anything.
        must_be: What it has to be, for errors.
        must_read: The same for the text of the variable.
        fits: Says whether a value is one that it may have.
        read: Makes a value of the variable's text; raises a `ValueError` if it cannot.
    """

    variable: str
    default: Any
    must_be: str
    must_read: str
    fits: Callable[[object], bool]
    read: Callable[[str], object]


def _seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _seconds_or_none(value: object) -> bool:
    return value is None or _seconds(value)


def _truth(value: object) -> bool:
    return isinstance(value, bool)


def _at_least(least: int) -> Callable[[object], bool]:
    def fits(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    return fits


def _read_patience(text: str) -> float | None:
    return None if text.lower() == "never" else float(text)


def _read_truth(text: str) -> bool:
    truths = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in truths:
        raise ValueError
    return truths[text.lower()]


def _count(variable: str, default: int, *, least: int) -> Setting:
    must_be = f"a whole number of at least {least}"
    return Setting(variable, default, must_be, must_be, _at_least(least), int)


_A_TIME = "a positive number of seconds"

SETTINGS: Mapping[str, Setting] = {
    "call_timeout": Setting("REQUENCE_CALL_TIMEOUT", 30.0, _A_TIME, _A_TIME, _seconds, float),
    "retries": _count("REQUENCE_RETRIES", 3, least=0),
    "patience": Setting(
        "REQUENCE_PATIENCE",
        900.0,
        _A_TIME,
        f'{_A_TIME}, or "never"',
        _seconds_or_none,
        _read_patience,
    ),
    "max_streams": _count("REQUENCE_MAX_STREAMS", 256, least=1),
    "shared_stream": Setting(
        "REQUENCE_SHARED_STREAM",
        False,
        "True or False",
        "true, false, 1 or 0",
        _truth,
        _read_truth,
    ),
    "max_event_size": _count("REQUENCE_MAX_EVENT_SIZE", 256 * 2**20, least=1),
}


def setting(name: str, given: object, environ: Mapping[str, str]) -> Any:
    """Returns the value of a setting: what was given, else its variable's, else the default.

    Args:
        name: The setting, a key of `SETTINGS`.
        given: The argument, or `NOT_GIVEN`.
        environ: The environment.

    Raises:
        ConfigurationError: The first of them that says something is of no use.
    """
    known = SETTINGS[name]
    if given is not NOT_GIVEN:
        if not known.fits(given):
            raise ConfigurationError(f"{name} must be {known.must_be}, not {given!r}")
        return given
    text = from_variable(known.variable, environ)
    if text is None:
        return known.default
    try:
        value = known.read(text)
    except (ValueError, OverflowError):
        pass
    else:
        if known.fits(value):
            return value
    raise ConfigurationError(
        f"The environment variable {known.variable} must be {known.must_read}, not {text!r}",
        hint=f"mend or unset it, or give {name}=",
    )


def from_variable(name: str, environ: Mapping[str, str]) -> str | None:
    """Returns what a variable says, or None if it is absent, empty or blank."""
    return environ.get(name, "").strip() or None
