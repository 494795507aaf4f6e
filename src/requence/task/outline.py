"""Data in some lines, for people to look at: indented, bounded in length and in work. Pure."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from itertools import islice
from typing import Any, NamedTuple, cast

from requence._brief import brief, is_brief, printable
from requence._json import as_list, as_object
from requence._references import MARKER

__all__ = ["KEPT", "Outline", "in_words", "outline"]

KEPT = "\n\t\xa0\u3000\u200c\u200d"
"""Of what cannot be seen, what texts are full of and what harms nobody: lines, spaces, and how letters join."""

_WIDTH = 100
_LEVELS = 8
_ITEMS = 50
_TEXT = 1000  # characters of a text inside of other data


class Outline(NamedTuple):
    """What is shown of a value.

    Attributes:
        text: The lines.
        left_out: What of it is not there, in words; empty if nothing is left out.
    """

    text: str
    left_out: str = ""


def in_words(value: object) -> str:
    """Returns what kind of value it is, and how large. Never fails, whatever a user's own object does."""
    kind = type(value).__name__
    try:
        if isinstance(value, str):
            return _counted(len(value), "character")
        if isinstance(value, Mapping):
            return _counted(len(cast("Mapping[object, object]", value)), "entry", "entries")
        if isinstance(value, list | tuple):
            return _counted(len(cast("list[object]", value)), "item")
    except Exception:  # a decoded result may be of any class
        return kind
    return kind


def outline(value: object, most: int) -> Outline:
    """Returns a value in lines of at most so many characters together.

    A text is shown as it is, everything else like Python writes it, with an indented line for each item. Of each
    container there are at most 50 items. Never fails, whatever the objects in it do.
    """
    lines = list[str]()
    room = most
    try:
        if isinstance(value, str):
            text = printable(str.__getitem__(value, slice(most)).replace("\r\n", "\n"), keep=KEPT)
            rest = max(str.__len__(value) - most, 0)
            return Outline(text[:most], f"{_counted(rest, 'character')} more" if rest else "")
        for line in _lines(value, "", "", _LEVELS):
            if len(line) > room:
                lines.append(f"{line[:room]}…")
                return Outline("\n".join(lines), f"what is behind the first {_counted(most, 'character')}")
            lines.append(line)
            room -= len(line) + 1
    except Exception as error:  # a container of the user's own, or one that another thread changes right now
        return Outline("\n".join(lines), f"the rest, which cannot be read: {type(error).__name__}")
    return Outline("\n".join(lines))


def _lines(value: Any, before: str, after: str, levels: int) -> Generator[str]:
    """Yields the lines of a value, with what stands before it in the first, and behind it in the last."""
    indent = before[: len(before) - len(before.lstrip(" "))]
    fields, items = as_object(value), as_list(value)
    is_reference = fields is not None and MARKER in fields
    if is_reference or (fields is None and items is None) or is_brief(value, _WIDTH - len(before)):
        yield f"{before}{brief(value, _TEXT)}{after}"
    elif not levels:
        yield f"{before}{brief(value, _WIDTH)}{after}"
    else:
        opening, closing = ("[", "]") if fields is None else ("{", "}")
        yield f"{before}{opening}"
        for item in islice(fields or items or (), _ITEMS):
            if fields is None:
                yield from _lines(item, f"{indent}  ", ",", levels - 1)
            else:
                yield from _lines(fields[item], f"{indent}  {brief(item)}: ", ",", levels - 1)
        if (rest := len(fields or items or ()) - _ITEMS) > 0:
            yield f"{indent}  … {rest:,} more"
        yield f"{indent}{closing}{after}"


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
