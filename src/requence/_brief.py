"""Values in one short line, for reprs: bounded in length and in work, without control characters. Pure.

What a task was given and what it has left behind may be large, and comes from anywhere. A repr shows a glimpse of
it; whoever wants all of it prints the value itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, cast

from requence._json import as_object
from requence._references import MARKER

__all__ = ["brief", "error_in_brief", "is_brief", "listed", "printable", "said_by", "shortened", "word"]

_MOST = 80  # characters of one value; a whole repr stays below 200
_ITEMS = 6
_LEVELS = 3
_TEXT_INSIDE = 40  # characters of a text that is not all there is to show
_LARGEST_INT = 10**40


def _repr_of(kind: type) -> object:
    return kind.__repr__


# Those of the built-in containers, which also subclasses have that do not bring their own.
_BUILT_IN = {_repr_of(kind) for kind in (dict, list, tuple, set, frozenset)}


def brief(value: object, most: int = _MOST) -> str:
    """Returns something like `repr(value)` in one line of at most so many characters; … is what is left out.

    Never fails, whatever the `repr` of somebody else's object does. References appear without their URLs: whoever
    has such a URL has the file.
    """
    return _Line(value, most).text


def is_brief(value: object, most: int = _MOST) -> bool:
    """Says whether `brief` shows all of a value."""
    return _Line(value, most).is_whole


def word(text: object, most: int = 40) -> str:
    """Returns an id or a name without quotes; what has control characters, or is no text, like its repr."""
    if isinstance(text, str) and text.isprintable():
        return shortened(text, most)
    return brief(text, most)


def error_in_brief(error: BaseException, most: int = _MOST) -> str:
    """Returns the class of an error and what it says."""
    return f"{shortened(type(error).__name__, 30)}: {said_by(error, most)}"


def said_by(error: BaseException, most: int = _MOST) -> str:
    """Returns what an error says, in one line."""
    return shortened(_one_line(str, error, most), most)


def listed(names: Iterable[str], most: int = _MOST) -> str:
    """Returns some names as a list, of which only the first are looked at."""
    return brief(list(islice(names, _ITEMS + 1)), most)


def shortened(text: str, most: int = _MOST) -> str:
    """Returns a text, or as much of it as there is room for."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def printable(text: str, *, keep: str = "") -> str:
    """Returns a text with escapes in the place of what cannot be seen: controls, halves of pairs, directions.

    Args:
        text: The text.
        keep: Which of these stay.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else repr(char)[1:-1] for char in text)


class _Line:
    """A value in one line.

    Attributes:
        text: The line.
        is_whole: Whether nothing is left out.
    """

    def __init__(self, value: object, most: int) -> None:
        self.is_whole = True
        self._most = self._room = most
        self._parts: list[str] = []
        try:
            self._add(value, _LEVELS, most)
        except Exception:  # a container of the user's own, or one that another thread changes right now
            self.is_whole = False
            self._parts.append("…")
        self.text = shortened("".join(self._parts), most)

    def _write(self, text: str) -> None:
        # One character more than there is room for is enough to know that it was too much.
        self._parts.append(text[: max(self._room, 0) + 1])
        self._room -= len(text)
        if self._room < 0:
            self.is_whole = False

    def _add(self, value: Any, levels: int, most: int = _TEXT_INSIDE) -> None:
        kind = cast("type[object]", type(value))
        if isinstance(value, str | bytes):
            self._add_text(value, most)
        elif kind is int and abs(value) > _LARGEST_INT:  # which Python may refuse to write out
            self._write(f"<int of {value.bit_length()} bits>")
            self.is_whole = False
        elif _repr_of(kind) in _BUILT_IN:
            self._add_container(value, levels)
        else:
            self._add_other(value)

    def _add_text(self, value: str | bytes, most: int) -> None:
        kind: Any = str if isinstance(value, str) else bytes  # whatever a subclass shows instead
        shown: str = kind.__repr__(kind.__getitem__(value, slice(most)))
        if len(value) > most:
            self.is_whole = False
            shown = f"{shown[:-1]}…{shown[-1]}"
        self._write(shown)

    def _add_container(self, value: Any, levels: int) -> None:
        fields = as_object(value)
        if fields is not None and MARKER in fields:
            self._write(f"<reference to a {word(fields[MARKER], 20)}>")
            return
        if not value:
            self._write(repr(value))
            return
        brackets = "[]" if isinstance(value, list) else "()" if isinstance(value, tuple) else "{}"
        self._write(brackets[0])
        if levels == 0:
            self._write("…")
            self.is_whole = False
        else:
            self._add_items(value, levels - 1)
        self._write(brackets[1])

    def _add_items(self, value: Any, levels: int) -> None:
        fields = as_object(value)
        for number, item in enumerate(value):
            self._write(", " if number else "")
            if number == _ITEMS or self._room < 0:
                self._write("…")
                self.is_whole = False
                return
            self._add(item, levels)
            if fields is not None:
                self._write(": ")
                self._add(fields[item], levels)
        if isinstance(value, tuple) and len(cast("tuple[object, ...]", value)) == 1:
            self._write(",")

    def _add_other(self, value: object) -> None:
        self._write(_one_line(repr, value, self._most))


def _one_line(show: Callable[[object], str], value: object, most: int) -> str:
    """Returns what `repr` or `str` says, in one line; of what is long somewhat more than there is room for."""
    try:
        text = show(value)
    except Exception:  # whatever somebody else's object may do
        text = f"<{type(value).__name__}>"
    return printable(" ".join(text[: 20 * most].split()))
