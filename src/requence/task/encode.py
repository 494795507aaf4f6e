"""From the caller's input to plain JSON, checked. Pure.

The result is a copy: what the caller changes afterwards is not sent.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import Enum
from typing import Any, cast
from uuid import UUID

from requence.exceptions import ConfigurationError

__all__ = ["encode_input"]

_DEEPEST = 500


def encode_input(value: object, *, where: str = "input") -> Any:
    """Returns `value` as plain JSON data.

    Taken as they are: dict, list, str, int, finite float, bool, None. Converted: tuples and other mappings, dates
    and times (ISO 8601), UUIDs, enum members (their value), dataclasses, attrs and pydantic objects (an object of
    their fields), other integral and real numbers (numpy scalars), and objects with a `to_json()`.

    Args:
        value: The input.
        where: What to call it in errors.

    Raises:
        ConfigurationError: A part of it cannot be sent; the message names the path to it.
    """
    return _encode(value, where, frozenset(), 0)


def _encode(value: object, path: str, outer: frozenset[int], depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _encode(value.value, path, outer, depth)
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return _finite(float(value), path)
    if id(value) in outer:
        raise ConfigurationError(f"{path} contains itself, and JSON cannot express that")
    if depth >= _DEEPEST:
        raise ConfigurationError(f"{path} is nested more than {_DEEPEST} levels deep")
    outer, depth = outer | {id(value)}, depth + 1
    if isinstance(value, Mapping):
        fields = cast("Mapping[object, object]", value).items()
        return {_key(key, path): _encode(item, f"{path}{_step(key)}", outer, depth) for key, item in fields}
    if isinstance(value, list | tuple):
        items = enumerate(cast("Sequence[object]", value))
        return [_encode(item, f"{path}[{index}]", outer, depth) for index, item in items]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    converted = _converted(value)
    if converted is not None:
        return _encode(converted(), path, outer, depth)
    raise ConfigurationError(f"{path} is {_a(value)}, which JSON cannot express", hint=_hint(value))


def _converted(value: object) -> Callable[[], object] | None:
    """Returns how an object with fields gives its content, or None."""
    if isinstance(value, type):
        return None
    for method in ("to_json", "model_dump"):
        found: object = getattr(value, method, None)
        if callable(found):
            return found
    if dataclasses.is_dataclass(value):
        fields: tuple[Any, ...] = dataclasses.fields(value)
    else:
        fields = getattr(type(value), "__attrs_attrs__", ())
        if not fields:
            return None
    return lambda: {field.name: getattr(value, field.name) for field in fields}


def _text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"{path} has a lone surrogate at index {error.start}, which is no character and cannot be sent",
            hint="decode the bytes it came from with errors='replace'",
        ) from None
    return str(value)


def _finite(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise ConfigurationError(f"{path} is {value}, which JSON cannot express", hint="use None or a text")
    return value


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise ConfigurationError(
            f"{path} has the key {key!r}, which is {_a(key)}: JSON keys are text", hint="use str(key)"
        )
    return _text(key, f"a key of {path}")


def _step(key: object) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _hint(value: object) -> str | None:
    if isinstance(value, os.PathLike):
        return "use str(path)"
    if isinstance(value, bytes | bytearray | memoryview):
        return "decode it to text, for instance with base64"
    if isinstance(value, set | frozenset):
        return "use sorted(…) or list(…)"
    if isinstance(value, numbers.Number):
        return "use str(…) to keep every digit, or float(…)"
    if callable(value):
        return "functions cannot be sent"
    if hasattr(value, "__iter__"):
        return "use list(…)"
    return "convert it, or give it a to_json() method"
