"""The access token in a `pyproject.toml`. Imported where it is needed, since files take longer than variables."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from requence._json import as_object
from requence.exceptions import ConfigurationError

__all__ = ["token_from_pyproject"]

_KEYS = ("task_access_token", "access_token")
_KEPT_FILES = 16  # those on the way upward to the one that has the token, and a few of other directories

_parsed: dict[Path, tuple[tuple[int, int, int], dict[str, Any]]] = {}


def token_from_pyproject() -> tuple[tuple[str, str] | None, str]:
    """Returns the source and the text of a token, if there is one, and where it was looked for."""
    try:
        start = Path.cwd()
    except OSError:
        return None, "no pyproject.toml, since the current directory is gone"
    looked_at = f"the tables [requence] and [tool.requence] of the pyproject.toml files from {start} upward"
    last = _homes()
    for directory in (start, *start.parents):
        file = directory / "pyproject.toml"
        if os.path.isfile(file):  # unlike Path.is_file, never raises
            if not _is_ours(file):
                return None, f"{looked_at} to {file}, which was not read since it belongs to another user"
            found = _read_token(file)
            if found is not None:
                return found, looked_at
        if os.path.lexists(directory / ".git") or directory in last:
            break
    return None, looked_at


def _homes() -> frozenset[Path]:
    """Returns the home directory as it is called and as the current directory would call it."""
    try:
        home = Path.home()
        return frozenset({home, home.resolve()})
    except (OSError, RuntimeError):  # a user without a home, as in some containers
        return frozenset()


def _is_ours(file: Path) -> bool:
    getuid = getattr(os, "getuid", None)
    try:
        return getuid is None or file.stat().st_uid == getuid()
    except OSError:
        return True  # reading it will tell what is wrong


def _read_token(file: Path) -> tuple[str, str] | None:
    content, problem = _read_toml(file)
    if problem is not None:
        raise ConfigurationError(
            f"{file} could not be read while looking for an access token: {problem}",
            hint="mend the file, or give the token as an argument or in REQUENCE_ACCESS_TOKEN",
        )
    tool = as_object(content.get("tool")) or {}
    for table_name, table in (("requence", content.get("requence")), ("tool.requence", tool.get("requence"))):
        fields = as_object(table) or {}
        for key in _KEYS:
            value: object = fields.get(key, "")
            source = f"{key} in [{table_name}] of {file}"
            if not isinstance(value, str):
                raise ConfigurationError(f"{source} must be text, not {type(value).__name__}")
            if value.strip():
                return source, value
    return None


def _read_toml(file: Path) -> tuple[dict[str, Any], str | None]:
    """Returns the file's content, or what is wrong with it.

    Raises nothing: the errors of the decoders carry the whole file, and with it the token. Parsed only once while
    the file is the same, since each task asks for it.
    """
    try:
        found = file.stat()
        version = (found.st_ino, found.st_size, found.st_mtime_ns)
        kept = _parsed.get(file)
        if kept is None or kept[0] != version:
            if len(_parsed) >= _KEPT_FILES:
                _parsed.clear()
            kept = _parsed[file] = version, tomllib.loads(file.read_text("utf-8"))
        return kept[1], None
    except (OSError, ValueError) as error:
        return {}, str(error)
    except RecursionError:
        return {}, "it is nested too deep"
