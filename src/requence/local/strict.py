"""What a strict server does: it holds all that it is about to send against the contract."""

from __future__ import annotations

import json

from starlette.responses import Response, StreamingResponse

from requence.local.contract import ContractViolationError, check, check_event, operation, resolved

__all__ = ["check_answer", "check_framed_event"]

# What the contract's introduction says of all operations.
_ANYWHERE = {503}


def check_answer(name: str, answer: Response) -> None:
    """Checks an answer; of one that is streamed, its status and media type.

    Args:
        name: The contract's `operationId`.
        answer: The answer.

    Raises:
        ContractViolationError: It is not one of the operation's answers.
    """
    if answer.status_code in _ANYWHERE:
        return
    where = f"{name}, status {answer.status_code}"
    described = operation(name)
    if answer.status_code not in described["x-local-statuses"]:
        raise ContractViolationError(f"{where}: not in x-local-statuses")
    content = resolved(described["responses"][str(answer.status_code)]).get("content")
    if content is None:  # its body has no meaning
        return
    given = answer.headers.get("content-type", "").partition(";")[0]
    media = content.get(given) or content.get("*/*")
    if media is None:
        raise ContractViolationError(f"{where}: the media type {given!r} is none of {', '.join(content)}")
    if given == "application/json" and not isinstance(answer, StreamingResponse):
        check(where, media["schema"]["$ref"], json.loads(bytes(answer.body)))


def check_framed_event(operation: str, name: str, framed: bytes) -> None:
    """Checks an event as it is about to be sent, with its `id`, `event` and `data` lines: see `check_event`."""
    check_event(operation, name, json.loads(framed.partition(b"\ndata: ")[2]))
