"""What handlers return becomes JSON here, or an error that names the place. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import chain
from typing import Any, cast

__all__ = ["MAX_DEPTH", "NotJsonError", "compact", "encode", "is_too_deep"]

# Far below what the interpreter's recursion limit allows, wherever on the stack a value is read or written: what
# was accepted once can be handled ever after.
MAX_DEPTH = 200


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


def is_too_deep(value: object) -> bool:
    """Returns whether a JSON value has more than `MAX_DEPTH` levels of lists and dicts."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        items: list[Any] = list(chain.from_iterable(map(_children, level)))
        level = [item for item in items if isinstance(item, dict | list)]
    return bool(level)


def _children(node: Any) -> Iterable[Any]:
    return cast("dict[str, Any]", node).values() if isinstance(node, dict) else node


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
    if len(ancestors) == MAX_DEPTH:
        raise NotJsonError(f"{path.partition('[')[0]} is nested deeper than {MAX_DEPTH} levels")
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
