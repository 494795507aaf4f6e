"""How long a download may be silent. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from requence.exceptions import ConfigurationError

__all__ = ["FILE_STALL_VARIABLE", "STREAM_STALL_VARIABLE", "longest_silence"]

FILE_STALL_VARIABLE = "REQUENCE_FILE_STALL_TIMEOUT_MS"
STREAM_STALL_VARIABLE = "REQUENCE_STREAM_STALL_TIMEOUT_MS"

_DEFAULT = 300.0


def longest_silence(variable: str, environment: Mapping[str, str]) -> float:
    """Returns the seconds after which a silent download is given up: 300, or what a variable says in milliseconds.

    Raises:
        ConfigurationError: The variable is no number above 0.
    """
    text = environment.get(variable, "").strip()
    if not text:
        return _DEFAULT
    try:
        milliseconds = float(text)
    except ValueError:
        milliseconds = math.nan
    if not 0 < milliseconds < math.inf:
        raise ConfigurationError(
            f"The environment variable {variable} must be a number of milliseconds above 0, not {text!r}"
        )
    return milliseconds / 1000
