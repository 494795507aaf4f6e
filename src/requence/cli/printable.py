"""Text in which others have a say, made fit for a terminal: nothing in it acts on the terminal. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

__all__ = ["brief", "json_line", "json_text", "one_line", "printable", "shortened"]

_NOT_ASCII = re.compile(r"[^\n -~]")  # also DEL, which JSON leaves as it is


def printable(text: str, encoding: str = "utf-8") -> str:
    """Returns a text with escapes in the place of what a terminal would act on, or what cannot be written there.

    Line breaks are among these, and so are the characters that turn the direction of writing.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def one_line(text: str, room: int = 2000, encoding: str = "utf-8") -> str:
    """Returns what somebody wrote for people as one line of at most so many characters, as `printable` does.

    White space becomes single blanks.
    """
    return shortened(printable(" ".join(text[: 2 * room].split()), encoding), room)


def shortened(text: str, room: int) -> str:
    """Returns a text of at most so many characters, three dots at its end if it was longer."""
    return text if len(text) <= room else text[: max(room - 3, 0)] + "..."


def brief(value: object, room: int) -> str:
    """Returns the beginning of a value as JSON on one line, in at most so many characters.

    However large or deep the value is, only what is shown is looked at.
    """
    if isinstance(value, str):
        value = value[: room + 1]
    text = ""
    for piece in _lazy.iterencode(value):
        text += piece
        if len(text) > room:
            break
    return shortened(printable(text), room)


def json_text(value: object, encoding: str = "utf-8") -> str:
    """Returns JSON for people, on several lines, with escapes for what a terminal would act on or cannot show."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # What is not ASCII can only be inside a string, where an escape means the same.
    return _NOT_ASCII.sub(_escape_unless_shown(encoding), text)


def json_line(value: object) -> str:
    """Returns JSON for programs, on one line and in ASCII, so that no reader can split or misread it."""
    return json.dumps(value, separators=(",", ":")).replace("\x7f", "\\u007f")


def _named(value: object) -> str:
    return f"<{type(value).__name__}>"


_lazy = json.JSONEncoder(ensure_ascii=False, default=_named)


def _escape_unless_shown(encoding: str) -> Callable[[re.Match[str]], str]:
    def replacement(found: re.Match[str]) -> str:
        character = found[0]
        if character.isprintable():
            try:
                character.encode(encoding)
            except UnicodeEncodeError:
                pass
            else:
                return character
        return json.dumps(character).strip('"') if character != "\x7f" else "\\u007f"

    return replacement
