"""From an answer that says no to the error that the user meets. Pure."""

from __future__ import annotations

import html
import re

import msgspec

from requence._json import as_object
from requence._transport.retry import is_gateway_status
from requence.exceptions import (
    RequenceUnreachableException,
    TaskException,
    TaskNotFoundError,
    TaskRefusedError,
    UnauthorizedError,
)

__all__ = ["readable", "refusal"]

_LONGEST_TEXT = 2000
# What is left open reaches to the end, so that no body makes the search start over and over.
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)|<[^<>]*>", re.DOTALL | re.IGNORECASE
)
_SAYING_FIELDS = ("message", "error", "detail", "reason")


def refusal(
    step: str,
    status: int,
    body: bytes,
    *,
    otherwise: type[TaskException] = TaskException,
    task_id: str | None = None,
    task_template: str | None = None,
) -> TaskException | RequenceUnreachableException:
    """Returns the error for an answer outside 2xx.

    Args:
        step: What was asked for, to be read after "the service answered 404 to".
        status: The answer's HTTP status.
        body: The answer's body, used as the message: plain text, JSON and HTML are understood.
        otherwise: The class where the status has no error of its own.
        task_id: The task, if known.
        task_template: The template, if known.
    """
    said = f"the service answered {status} to {step}"
    text = readable(body) or said[0].upper() + said[1:]
    if is_gateway_status(status):
        return RequenceUnreachableException(f"The service is not reachable: {text}", status=status, hint=said)
    kind, hint = otherwise, said
    if status in (401, 403):
        kind, hint = UnauthorizedError, f"{said}: check the access token, and what it is allowed to do"
    elif 300 <= status < 400:
        hint = f"{said}: redirects are not followed; check the base URL in the access token"
    elif status >= 500 and otherwise is TaskRefusedError:
        kind = TaskException  # it broke down, so it did not refuse anything
    elif status in (404, 410) and otherwise is TaskException:
        kind = TaskNotFoundError
    return kind(text, task_id=task_id, task_template=task_template, status_code=status, hint=hint)


def readable(body: bytes) -> str:
    """Returns an error body as one readable text of at most 2,000 characters."""
    text = body.decode("utf-8-sig", "replace").strip()
    if text.startswith(("{", "[", '"')):
        text = _json_message(text)
    elif text.startswith("<"):
        text = " ".join(html.unescape(_MARKUP.sub(" ", text)).split())
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 2] + " …"


def _json_message(text: str) -> str:
    """Returns what a JSON body says to people, or the body itself if that is not clear."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return (_said(value) or text) if value else ""


def _said(value: object, *, levels: int = 2) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    fields = as_object(value) if levels else None
    if fields is None:
        return None
    inner = (_said(fields.get(name), levels=levels - 1) for name in _SAYING_FIELDS)
    return next((said for said in inner if said), None)
