"""From an answer that says yes to what it says; what is not understood is told by its field. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from requence._json import as_object
from requence.exceptions import TaskException

__all__ = ["http_scheme", "optional_text", "parsed", "required_text"]

M = TypeVar("M")

_NOT_UNDERSTOOD = (msgspec.DecodeError, AttributeError, TypeError, ValueError, RecursionError)


def parsed(
    step: str, status: int, body: bytes, from_dict: Callable[[dict[str, Any]], M], *, keep_null: bool = False
) -> M:
    """Reads a JSON object with a generated model.

    Args:
        step: What was asked for, to be read after "the service's answer to".
        status: The answer's HTTP status, for the error.
        body: The answer's body.
        from_dict: Makes the model.
        keep_null: Whether the model is given fields that are null.

    Raises:
        TaskException: It is not understood; the message names the field.
    """
    fields: dict[str, Any] = {}
    try:
        value: object = msgspec.json.decode(body)
        found = as_object(value)
        if found is None:
            raise TypeError(f"a {type(value).__name__} where an object was expected")
        # A null where something is optional says the same as leaving it out, which the models expect.
        fields = {name: field for name, field in found.items() if keep_null or field is not None}
        return from_dict(fields)
    except KeyError as error:
        problem = f"{error.args[0]} is missing"
    except _NOT_UNDERSTOOD as error:
        problem = _naming_the_field(fields, from_dict) or str(error)
    raise TaskException(f"The service's answer to {step} is not understood: {problem}", status_code=status)


def _naming_the_field(fields: dict[str, Any], from_dict: Callable[[dict[str, Any]], M]) -> str | None:
    """Returns which optional field is at fault: the one without which the answer is understood."""
    for name in fields:
        try:
            from_dict({other: field for other, field in fields.items() if other != name})
        except (KeyError, *_NOT_UNDERSTOOD):
            continue
        return f"{name} is of another type than expected"
    return None


def http_scheme(url: str) -> str | None:
    """Returns the scheme of a URL that a request can be sent to, else None."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    # A user in the URL would take the place of the bearer; a blank or a line end would end the request's line; a
    # backslash ends the host for some who read URLs, and not for others.
    if not usable or any(sign in parts.netloc for sign in "@\\") or not url.isprintable() or " " in url:
        return None
    return parts.scheme


def required_text(step: str, field: str, value: object) -> str:
    """Returns a text that must be there.

    Raises:
        TaskException: It is not a text, or empty.
    """
    if not isinstance(value, str) or not value:
        raise TaskException(f"The service's answer to {step} is not understood: {field} is not a text")
    return value


def optional_text(value: object) -> str | None:
    """Returns a text, or None for everything else."""
    return value if isinstance(value, str) and value else None
