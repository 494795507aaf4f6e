"""Holds what the server is about to send against the contract: answers, and events in streams."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.responses import Response, StreamingResponse

from requence.local.contract import problems_with

__all__ = ["ContractViolationError", "check_answer", "check_event"]


class ContractViolationError(Exception):
    """What was about to be sent is not what the contract describes; the message names the place."""


def check_answer(operation: str, answer: Response) -> None:
    """Checks an answer; of one that is streamed, its status and media type.

    Args:
        operation: The contract's `operationId`.
        answer: The answer.

    Raises:
        ContractViolationError: It is not one of the operation's answers.
    """
    where = f"{operation}, status {answer.status_code}"
    described = _operations()[operation]
    if answer.status_code not in described["x-local-statuses"]:
        raise ContractViolationError(f"{where}: not in x-local-statuses")
    content = _resolved(described["responses"][str(answer.status_code)]).get("content")
    if content is None:  # its body has no meaning
        return
    given = answer.headers.get("content-type", "").partition(";")[0]
    media = content.get(given) or content.get("*/*")
    if media is None:
        raise ContractViolationError(f"{where}: the media type {given!r} is none of {', '.join(content)}")
    if given == "application/json" and not isinstance(answer, StreamingResponse):
        _check_json(where, media["schema"]["$ref"], bytes(answer.body))


def check_event(operation: str, name: str, framed: bytes) -> None:
    """Checks an event as it is about to be sent.

    Args:
        operation: The contract's `operationId`.
        name: The event's kind.
        framed: The event with its `id`, `event` and `data` lines.

    Raises:
        ContractViolationError: It is not what the contract describes.
    """
    answer = _resolved(_operations()[operation]["responses"]["200"])
    schema = answer["x-events"].get(name)
    if schema is None:
        raise ContractViolationError(f"{operation}: there are no events named {name!r}")
    _check_json(f"{operation}, event {name}", schema["$ref"], framed.partition(b"\ndata: ")[2])


def _check_json(where: str, reference: str, text: bytes) -> None:
    schema = reference.rpartition("/")[2]
    if problems := problems_with(schema, json.loads(text)):
        raise ContractViolationError(f"{where}: not a {schema}: {problems}")


def _resolved(described: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in described:
        return described
    found: Any = _contract()
    for step in described["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    answer: dict[str, Any] = found
    return answer


@cache
def _operations() -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, dict[str, Any]]] = _contract()["paths"]
    return {each["operationId"]: each for methods in paths.values() for each in methods.values()}


@cache
def _contract() -> dict[str, Any]:
    contract: dict[str, Any] = json.loads(
        files("requence_api").joinpath("openapi.json").read_text(encoding="utf-8")
    )
    return contract
