"""From an answer that says no to the error that the user meets. Pure."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence

import msgspec

from requence._json import as_object
from requence._transport.retry import is_gateway_status, is_transient
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
    secrets: Sequence[str] = (),
    otherwise: type[TaskException] = TaskException,
    task_id: str | None = None,
    task_template: str | None = None,
) -> TaskException | RequenceUnreachableException:
    """Returns the error for an answer outside 2xx.

    Args:
        step: What was asked for, to be read after "the service answered 404 to".
        status: The answer's HTTP status.
        body: The answer's body, used as the message: plain text, JSON and HTML are understood.
        secrets: What must not be shown, should the body repeat it.
        otherwise: The class where the status has no error of its own.
        task_id: The task, if known.
        task_template: The template, if known.
    """
    said = f"The service answered {status} to {step}"
    text = readable(body, secrets) or said
    error: TaskException | RequenceUnreachableException
    if is_gateway_status(status):
        error = RequenceUnreachableException(f"The service is not reachable: {text}", status=status)
    else:
        kind, hint = _kind_and_hint(status, otherwise)
        error = kind(text, task_id=task_id, task_template=task_template, status_code=status, hint=hint)
    if text != said:
        error.add_note(said)
    return error


def _kind_and_hint(status: int, otherwise: type[TaskException]) -> tuple[type[TaskException], str | None]:
    if status in (401, 403):
        return UnauthorizedError, "check the access token, and what it is allowed to do"
    if 300 <= status < 400:
        return otherwise, "redirects are not followed; check the base URL in the access token"
    if is_transient(status) and otherwise is TaskRefusedError:
        return TaskException, None  # it could not look at the task now, so it did not refuse it
    if status in (404, 410) and otherwise is TaskException:
        return TaskNotFoundError, None
    return otherwise, None


def readable(body: bytes, secrets: Sequence[str] = ()) -> str:
    """Returns an error body as one readable text of at most 2,000 characters, without the secrets."""
    text = body.decode("utf-8-sig", "replace").strip()
    if text.startswith(("{", "[", '"')):
        text = _json_message(text)
    elif text.startswith("<"):
        text = " ".join(html.unescape(_MARKUP.sub(" ", text)).split())
    for secret in secrets:  # only now, since the body may have written them in another way
        for written in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(written, "[access token]")
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 2] + " …"


def _json_message(text: str) -> str:
    """Returns what a JSON body says to people, or the body itself if that is not clear."""
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return (_said(value) or json.dumps(value, ensure_ascii=False)) if value else ""


def _said(value: object, *, levels: int = 2) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    fields = as_object(value) if levels else None
    if fields is None:
        return None
    inner = (_said(fields.get(name), levels=levels - 1) for name in _SAYING_FIELDS)
    return next((said for said in inner if said), None)
