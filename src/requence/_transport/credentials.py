"""Where the access token comes from."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from requence._client import Client
from requence._json import as_object
from requence._token import AccessToken, decode_access_token
from requence.exceptions import ConfigurationError

__all__ = ["find_access_token"]

_VARIABLES = ("REQUENCE_TASK_ACCESS_TOKEN", "REQUENCE_ACCESS_TOKEN")
_KEYS = ("task_access_token", "access_token")


def find_access_token(argument: object, client: Client) -> AccessToken:
    """Returns the first token of: argument, client, environment, `pyproject.toml`.

    Empty values count as absent. A damaged token is an error, never a reason to look further. In
    `pyproject.toml` the tables `[requence]` and `[tool.requence]` are read, of the nearest file that has one of
    the keys, from the current directory upward to the first `.git`, the home directory, or a file of another
    owner.

    Raises:
        ConfigurationError: There is none, or the first one is not usable.
    """
    if argument is not None and not isinstance(argument, str):
        raise ConfigurationError(f"access_token must be text, not {type(argument).__name__}")
    sources = [("the argument access_token", argument), ("the client's access_token", client.access_token)]
    sources += [(f"the environment variable {name}", os.environ.get(name)) for name in _VARIABLES]
    for source, text in sources:
        if text and text.strip():
            return decode_access_token(text, source=source)
    configured = _from_pyproject(Path.cwd())
    if configured is not None:
        source, text = configured
        return decode_access_token(text, source=source)
    raise ConfigurationError(
        "No access token was found. Looked at: the argument access_token, the client, the environment "
        f"variables {' and '.join(_VARIABLES)}, and the tables [requence] and [tool.requence] of the "
        f"pyproject.toml files from {Path.cwd()} upward",
        hint="copy a token from the Requence UI, or run a server of your own: "
        "`requence local FILE -- COMMAND` sets the variable for the command",
    )


def _from_pyproject(start: Path) -> tuple[str, str] | None:
    home = Path.home()
    for directory in (start, *start.parents):
        file = directory / "pyproject.toml"
        if file.is_file():
            if not _is_ours(file):
                return None
            found = _read_token(file)
            if found is not None:
                return found
        if (directory / ".git").exists() or directory == home:
            return None
    return None


def _is_ours(file: Path) -> bool:
    getuid = getattr(os, "getuid", None)
    return getuid is None or file.stat().st_uid == getuid()


def _read_token(file: Path) -> tuple[str, str] | None:
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{file} could not be read while looking for an access token: {error}",
            hint="mend the file, or give the token as an argument or in REQUENCE_ACCESS_TOKEN",
        ) from error
    tool = as_object(content.get("tool")) or {}
    for table_name, table in (("requence", content.get("requence")), ("tool.requence", tool.get("requence"))):
        fields = as_object(table) or {}
        for key in _KEYS:
            value: object = fields.get(key)
            if value is None or value == "":
                continue
            source = f"{key} in [{table_name}] of {file}"
            if not isinstance(value, str):
                raise ConfigurationError(f"{source} must be text, not {type(value).__name__}")
            if value.strip():
                return source, value
    return None
