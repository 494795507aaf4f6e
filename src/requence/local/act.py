"""How a deferred node is ended from outside: what `server.act` and `POST /act/{key}` say. Pure."""

from __future__ import annotations

import json

from requence.exceptions import ConfigurationError
from requence.local.graph import Outcome
from requence.local.json_values import NotJsonError, compact, encode
from requence.local.refusals import InvalidRequestError
from requence.local.requests import read_json

__all__ = ["outcome_from_body", "outcome_of"]


def outcome_of(result: object, error: str | None) -> Outcome:
    """Returns how the node ends.

    Raises:
        ConfigurationError: The result is not JSON, the error is not text, or both are given.
    """
    given: object = error
    if given is None:
        try:
            return Outcome.succeeded(encode(result, "result"))
        except NotJsonError as problem:
            raise ConfigurationError(str(problem)) from None
    if result is not None:
        raise ConfigurationError("act takes a result or an error, not both")
    if not isinstance(given, str):
        raise ConfigurationError(f"error must be text, not {type(given).__name__}")
    return Outcome.failed(given)


def outcome_from_body(body: bytes) -> Outcome:
    """Reads the body of a request: `{"result": …}` or `{"error": "…"}`.

    Raises:
        InvalidRequestError: It is something else.
    """
    value = read_json(body)
    match value:
        case {"result": result, **rest} if not rest:
            return Outcome.succeeded(compact(result))
        case {"error": str(error), **rest} if not rest:
            return Outcome.failed(error)
        case _:
            shown = json.dumps({"result": 1}), json.dumps({"error": "why"})
            raise InvalidRequestError(f"The body must be like {shown[0]} or like {shown[1]}")
