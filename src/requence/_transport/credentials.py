"""Where the access token comes from."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from requence._client import Client, note_use, reach_of
from requence._settings import TOKEN_VARIABLES
from requence._token import AccessToken, decode_access_token
from requence.exceptions import ConfigurationError

__all__ = ["find_access_token", "located_access_token"]


def find_access_token(argument: object, client: Client) -> AccessToken:
    """Returns the first token of: argument, client, environment, `pyproject.toml`.

    Empty values count as absent. A damaged token is an error, never a reason to look further. In
    `pyproject.toml` the tables `[requence]` and `[tool.requence]` are read, of the nearest file that has one of
    the keys, from the current directory upward to the first `.git`, the home directory, or a file of another
    owner.

    Raises:
        ConfigurationError: There is none, or the first one is not usable; or the environment names a proxy for its
            service that is of no use.
    """
    _, token = located_access_token(argument, client)
    reach_of(client).proxy_for(token.base_url, urlsplit(token.base_url).hostname or "")
    note_use(client)
    return token


def located_access_token(argument: object, client: Client) -> tuple[str, AccessToken]:
    """Returns where the token that `find_access_token` returns comes from, as text for people, and the token.

    Raises:
        ConfigurationError: There is none, or the first one is not usable.
    """
    if argument is not None and not isinstance(argument, str):
        raise ConfigurationError(f"access_token must be text, not {type(argument).__name__}")
    sources = [("the argument access_token", argument), ("the client's access_token", client.access_token)]
    sources += [(f"the environment variable {name}", os.environ.get(name)) for name in TOKEN_VARIABLES]
    for source, text in sources:
        if text and text.strip():
            return source, decode_access_token(text, source=source)
    from requence._transport.pyproject import token_from_pyproject  # here: mostly it is never needed

    found, looked_at = token_from_pyproject()
    if found is not None:
        source, text = found
        return source, decode_access_token(text, source=source)
    raise ConfigurationError(
        "No access token was found. Looked at: the argument access_token, the client, the environment "
        f"variables {' and '.join(TOKEN_VARIABLES)}, and {looked_at}",
        hint="copy a token from the Requence UI, or run a server of your own: "
        "`requence local FILE -- COMMAND` sets the variable for the command",
    )
