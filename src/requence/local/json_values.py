"""What handlers return becomes JSON here, or an error that names the place. Pure."""

from __future__ import annotations

import json
import math
from typing import cast

__all__ = ["NotJsonError", "compact", "encode"]


class NotJsonError(ValueError):
    """A value cannot be written as JSON; the message names the path to it."""


def encode(value: object, name: str) -> str:
    """Returns the value as compact JSON. Tuples become lists.

    Args:
        value: Any object.
        name: What the value is called in an error: the first part of the path.

    Raises:
        NotJsonError: Something inside is not JSON.
    """
    try:
        _check(value, name, set())
        return compact(value)
    except RecursionError:
        raise NotJsonError(f"{name} is nested too deeply for JSON") from None
    except NotJsonError:
        raise
    except ValueError as error:  # for instance a whole number of more digits than Python prints
        raise NotJsonError(f"{name} cannot be written as JSON: {error}") from None


def compact(value: object) -> str:
    """Returns the JSON text of a value that is known to be JSON.

    Everything beyond ASCII is escaped: lone surrogates, which JSON allows, fit neither into UTF-8 nor into
    SQLite in any other form.

    Raises:
        ValueError: The value is not JSON after all (NaN and infinity are not).
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _check(value: object, path: str, ancestors: set[int]) -> None:
    if value is None or isinstance(value, str | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotJsonError(f"{path} is {value}, which JSON cannot express")
        return
    if not isinstance(value, dict | list | tuple):
        raise NotJsonError(f"{path} is of type {type(value).__name__}, which JSON cannot express")
    container = cast("dict[object, object] | list[object] | tuple[object, ...]", value)
    if id(container) in ancestors:
        raise NotJsonError(f"{path} contains itself, which JSON cannot express")
    ancestors.add(id(container))
    if isinstance(container, dict):
        for key, item in container.items():
            if not isinstance(key, str):
                raise NotJsonError(
                    f"{path} has the key {key!r} of type {type(key).__name__}; JSON keys are text"
                )
            _check(item, f"{path}[{json.dumps(key)}]", ancestors)
    else:
        for index, item in enumerate(container):
            _check(item, f"{path}[{index}]", ancestors)
    ancestors.discard(id(container))
