"""Which files with types are let in, and where they go. Pure.

Their names come from the service, and the folder they go to is the user's. So every name is held against these
rules before the first file is written, and one that breaks them refuses all. The rules are those of all systems at
once, since the files are often committed on one and checked out on another.
"""

from __future__ import annotations

import re
import reprlib
import unicodedata
from collections.abc import Mapping

__all__ = ["RefusedFilesError", "checked_files", "is_a_place", "shown"]

_LONGEST_NAME = 255  # bytes
_MOST_FILES = 10_000
_LARGEST_SUM = 64 * 1024 * 1024  # bytes

_FORBIDDEN = '/\\:*?"<>|'
# Windows takes these for devices, whatever follows the first dot, in any folder.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE)
# Stubs describe `requence.task` to editors, which look for them in a folder of that name.
_STUBS = ("requence", "task")

_short = reprlib.Repr()
_short.maxstring = 80


class RefusedFilesError(Exception):
    """The files are not written, none of them; the message names the one at fault."""


def checked_files(answer: Mapping[str, object]) -> dict[str, bytes]:
    """Returns the contents by the places of the files, below the folder that the user names, with slashes.

    Modules go into that folder itself, to be imported from there; stubs (`.pyi`) into `requence/task` in it.

    Raises:
        RefusedFilesError: A name or a content breaks the rules.
    """
    if len(answer) > _MOST_FILES:
        raise RefusedFilesError(f"there are more than {_MOST_FILES} files")
    files: dict[str, bytes] = {}
    names: dict[str, str] = {}
    size = 0
    for name, text in answer.items():
        if problem := _problem_of_name(name):
            raise RefusedFilesError(f"the file name {shown(name)} {problem}")
        other = names.setdefault(_folded(name), name)
        if other is not name:
            raise RefusedFilesError(
                f"the file names {shown(other)} and {shown(name)} are the same where case does not count"
            )
        content = _content(name, text)
        size += len(content)
        if size > _LARGEST_SUM:
            raise RefusedFilesError(f"the files have more than {_LARGEST_SUM >> 20} MiB up to {shown(name)}")
        files[_place(name)] = content
    return files


def is_a_place(path: str) -> bool:
    """Says whether a path is one that `checked_files` could have returned."""
    name = path.rpartition("/")[2]
    return _problem_of_name(name) is None and path == _place(name)


def shown(name: str) -> str:
    """Returns a name as it can stand in a message, however long it is and whatever characters it has."""
    return _short.repr(name)


def _place(name: str) -> str:
    return "/".join((*_STUBS, name)) if name.endswith(".pyi") else name


def _folded(name: str) -> str:
    """Returns what names have in common that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _problem_of_name(name: str) -> str | None:
    """Returns what is wrong with a file's name, to be read after it; None if nothing is."""
    if not name:
        return "is empty"
    if not name.isprintable():  # nor has it lone surrogates, which no file name could be made of
        return "has characters that cannot be printed"
    for character in _FORBIDDEN:
        if character in name:
            return f"has the character {character}"
    if name != name.strip() or name != name.strip("."):
        return "begins or ends with a blank or a dot"
    if len(name.encode()) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} bytes"
    if _DEVICE.fullmatch(name):
        return "is that of a device on Windows"
    if _folded(name) == _STUBS[0]:
        return "is that of the folder for stubs"
    return None


def _content(name: str, text: object) -> bytes:
    if not isinstance(text, str):
        raise RefusedFilesError(f"the content of {shown(name)} is not a text")
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise RefusedFilesError(f"the content of {shown(name)} is not a text in Unicode") from None
    if b"\0" in content:
        raise RefusedFilesError(f"the content of {shown(name)} is not a text: it has a NUL character")
    return content
