"""From the caller's input to plain JSON, checked. Pure.

The result is a copy: what the caller changes afterwards is not sent.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
import reprlib
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from requence._references import Referring, reference_of
from requence.exceptions import ConfigurationError
from requence.task.arguments import check_function
from requence.task.order import Outgoing

if TYPE_CHECKING:
    from datetime import date

__all__ = ["encode_input"]

_DEEPEST = 500
_LONGEST_TRAIL = 12  # how many steps of a path an error names
_LONGEST_STEP = 60  # the characters of a key that it names in full
_PLAIN_BITS = 64
_MOST_DIGITS = 4300  # Python writes and reads no longer numbers, here as on a Python server


def encode_input(
    value: object,
    *,
    where: str = "input",
    default: Callable[[Any], object] | None = None,
    outgoing: list[Outgoing] | None = None,
) -> Any:
    """Returns `value` as plain JSON data.

    Taken as they are: dict, list, str, int, finite float, bool, None. Converted: tuples and other mappings, dates
    and times (ISO 8601), UUIDs, enum members (their value), dataclasses, attrs and pydantic objects (an object of
    their fields), other integral and real numbers (numpy scalars), and objects with a `to_json()`. Files and
    streams of another task become references; the caller's own ones stay as they are.

    Args:
        value: The input.
        where: What to call it in errors.
        default: As in `json.dumps`: called with each object that is none of these, for something to send in its
            place, which is encoded in turn. It is not asked about keys, or about numbers and texts that JSON has
            no form for.
        outgoing: Takes the caller's own files and streams; without it there may be none.

    Raises:
        ConfigurationError: A part of it cannot be sent, or `default` has failed; the message names the path to it.
    """
    default = check_function("default", default)
    encoder = _Encoder(where, default, outgoing)
    try:
        return encoder.encode(value)
    except ConfigurationError:
        raise
    except RecursionError as error:  # called from deep inside the caller's own recursion
        raise ConfigurationError(f"{where} is nested too deep for the stack that is left") from error
    except Exception as error:  # of the caller's own objects, which may do anything when they are looked at
        raise encoder.unreadable(error) from error


class _Encoder:
    """Encodes one input. After an error it is of no further use: it still stands where it met the fault."""

    __slots__ = ("_default", "_outer", "_outgoing", "_trail", "_where")

    def __init__(
        self, where: str, default: Callable[[Any], object] | None, outgoing: list[Outgoing] | None
    ) -> None:
        self._where = where
        self._default = default
        self._outgoing = outgoing
        self._trail: list[object] = []  # the keys and indexes from the input down to the present value
        self._outer: set[int] = set()  # the identities of the containers around it

    def encode(self, value: object) -> Any:
        # One frame for each level, and no path before it is needed: inputs can be deep, and large.
        if value is None or isinstance(value, bool) or _is_plain(value):
            return value
        if type(value) not in (
            dict,
            list,
            tuple,
        ):  # which spares them the questions that cannot be about them
            if isinstance(value, Enum):
                return self.encode(value.value)
            if isinstance(value, str):
                return self._text(value)
            if isinstance(value, numbers.Integral):
                return self._integer(value)
            if isinstance(value, numbers.Real):
                return self._finite(value)
            if _is_of("datetime", "date", value):
                return cast("date", value).isoformat()
            if _is_of("uuid", "UUID", value):
                return str(value)
        me = id(value)
        if me in self._outer:
            raise self._fault("contains itself, and JSON cannot express that")
        if len(self._outer) >= _DEEPEST:
            raise self._fault(f"is nested more than {_DEEPEST} levels deep")
        self._outer.add(me)
        encoded: Any
        if isinstance(value, Mapping):
            encoded = {}
            for key, item in cast("Mapping[object, object]", value).items():
                name = self._key(key)
                if _is_plain(item):  # without a frame of its own, as below: most of an input is
                    encoded[name] = item
                    continue
                self._trail.append(name)
                encoded[name] = self.encode(item)
                self._trail.pop()
        elif isinstance(value, list | tuple):
            encoded = []
            for index, item in enumerate(cast("Sequence[object]", value)):
                if _is_plain(item):
                    encoded.append(item)
                    continue
                self._trail.append(index)
                encoded.append(self.encode(item))
                self._trail.pop()
        elif isinstance(value, Referring):
            encoded = self._referred(value)
        else:
            encoded = self.encode(self._converted(value))
        self._outer.discard(me)
        return encoded

    def _referred(self, value: Referring) -> object:
        """Returns the reference for a file, say, of another task; one of the caller's own is kept, to be sent."""
        if value.refusal is not None:
            raise self._fault(f"is {_a(value)}: {value.refusal}")
        reference = reference_of(value)
        if reference is not None:
            return reference
        if self._outgoing is None:
            raise self._fault(f"is {_a(value)}, which cannot be sent from here")
        self._outgoing.append(Outgoing(self._place(), value))
        return value

    def _converted(self, value: object) -> object:
        """Returns the content of an object that can give it."""
        convert = _conversion(value)
        if convert is None:
            return self._replaced(value)
        try:
            return convert()
        except Exception as error:
            raise self._fault(f"is {_a(value)}, and asking for its content failed: {error!r}") from error

    def _replaced(self, value: object) -> object:
        """Returns what the caller wants to be sent in the place of an object."""
        refused = f"is {_a(value)}, which JSON cannot express"
        if self._default is None:
            raise self._fault(refused, hint=_hint(value))
        try:
            instead = self._default(value)
        except Exception as error:
            raise self._fault(f"{refused}, and `default` failed on it: {error!r}") from error
        if instead is value:
            raise self._fault(f"{refused}, and `default` gave it back as it is", hint=_hint(value))
        return instead

    def _text(self, value: str) -> str:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise self._fault(
                    f"has a lone surrogate at index {error.start}, which is no character and cannot be sent",
                    hint="decode the bytes it came from with errors='replace'",
                ) from None
        return str.__str__(value)  # the text itself, whatever a subclass shows instead

    def _integer(self, value: numbers.Integral) -> int:
        whole = int(value)
        if whole.bit_length() > 3 * _MOST_DIGITS and abs(whole) >= 10**_MOST_DIGITS:
            raise self._fault(f"has more than {_MOST_DIGITS:,} digits", hint="use a text")
        return whole

    def _finite(self, value: numbers.Real) -> float:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._fault(f"is {number}, which JSON cannot express", hint="use None or a text")
        return number

    def _key(self, key: object) -> str:
        if isinstance(key, str):
            return self._text(key)
        raise self._fault(
            f"has the key {reprlib.repr(key)}, which is {_a(key)}: JSON keys are text", hint="use str(key)"
        )

    def unreadable(self, error: Exception) -> ConfigurationError:
        """Returns the error for a part that has raised when it was looked at, or asked for what is in it."""
        return self._fault(f"could not be read: {error!r}")

    def _fault(self, problem: str, *, hint: str | None = None) -> ConfigurationError:
        return ConfigurationError(f"{self._place()} {problem}", hint=hint)

    def _place(self) -> str:
        steps = [_step(step) for step in self._trail[:_LONGEST_TRAIL]]
        more = "…" if len(self._trail) > _LONGEST_TRAIL else ""
        return f"{self._where}{''.join(steps)}{more}"


def _is_of(module: str, name: str, value: object) -> bool:
    """Says whether a value is of a class in a module, without importing that: who has such a value has done so."""
    kind: object = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _is_plain(value: object) -> bool:
    """Says whether a text or number is one that JSON can express, without a doubt; most of an input is."""
    if type(value) is str:
        return value.isascii()
    return type(value) is int and value.bit_length() <= _PLAIN_BITS


def _conversion(value: object) -> Callable[[], object] | None:
    """Returns how an object gives its content, or None."""
    if isinstance(value, type):
        return None
    for method in ("to_json", "model_dump"):
        found: object = getattr(value, method, None)
        if callable(found):
            return found
    fields: tuple[Any, ...] | None
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
    else:
        fields = getattr(type(value), "__attrs_attrs__", None)
    if fields is None:
        return None
    return lambda: {field.name: getattr(value, field.name) for field in fields}


def _step(step: object) -> str:
    if isinstance(step, str) and step.isidentifier() and len(step) <= _LONGEST_STEP:
        return f".{step}"
    return f"[{reprlib.repr(step)}]"


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


def _hint(value: object) -> str:
    if isinstance(value, os.PathLike):
        return "use str(path), or RequenceFile(path) to send the file"
    if isinstance(value, bytes | bytearray | memoryview):
        return "send it as RequenceFile(…), or as text, for instance with base64"
    if isinstance(value, set | frozenset):
        return "use sorted(…) or list(…)"
    if isinstance(value, numbers.Number) and not isinstance(value, numbers.Complex):
        return "use str(…) to keep every digit, or float(…)"
    if callable(value):
        return "functions and classes cannot be sent"
    for method in ("tolist", "isoformat"):  # arrays, times
        if callable(getattr(value, method, None)):
            return f"use its {method}()"
    if hasattr(value, "__iter__"):
        return "use list(…)"
    return "convert it, give it a to_json() method, or give the task a default="
