"""The input of a task as it stands on the command line: JSON, a file, or what comes on standard input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from requence.exceptions import ConfigurationError

__all__ = ["parsed_json", "read_input"]

_HINT = """write it as --input '{"name": "World"}', --input @FILE, or --input - for standard input"""


def read_input(text: str) -> Any:
    """Returns the input that `--input` names.

    Args:
        text: JSON; `@` and the path of a file; or `-` for standard input.

    Raises:
        ConfigurationError: It cannot be read, or is not JSON. The message says where it is wrong.
    """
    if text == "-":
        return parsed_json(_standard_input(), "standard input")
    if not text.startswith("@"):
        return parsed_json(text.encode("utf-8", "surrogateescape"), "--input")
    path = text[1:]
    if not path:
        raise ConfigurationError("--input @ names no file", hint=_HINT)
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # the latter for a name with a null character
        problem = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigurationError(f"The input file {path} cannot be read: {problem}") from None
    return parsed_json(content, path)


def parsed_json(content: bytes, source: str) -> Any:
    """Reads JSON in UTF-8.

    Args:
        content: The text, with or without a byte order mark.
        source: What it is called in errors.

    Raises:
        ConfigurationError: It is not JSON. The message has the line and the column, both from 1.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1
        raise ConfigurationError(
            f"{source}, line {line}, byte {column} of it: this is not UTF-8", hint="JSON is written in UTF-8"
        ) from None
    if not text.strip():
        raise ConfigurationError(f"{source} is empty, which is not JSON", hint=_HINT)
    try:
        return json.loads(text, parse_constant=_refused)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            f"{source} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}", hint=_HINT
        ) from None
    except RecursionError:
        raise ConfigurationError(f"{source} is nested too deeply") from None
    except ValueError as error:
        raise ConfigurationError(f"{source} is not JSON: {error}") from None


def _refused(name: str) -> NoReturn:
    raise ValueError(f"it has {name}, which is no number there")


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise ConfigurationError("There is no standard input to read the input from")
    try:
        return sys.stdin.buffer.read()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Standard input cannot be read: {error}") from None
