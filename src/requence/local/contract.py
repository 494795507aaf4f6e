"""The API's contract as the package brings it: its operations, and what does not keep to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from requence.local.schemas import problems, validator

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

__all__ = ["ContractViolationError", "check", "check_event", "operation", "path", "problems_with", "resolved"]


class ContractViolationError(Exception):
    """What the server was about to say is not what the contract describes; the message names the place."""


def check_event(operation: str, name: str, payload: object) -> None:
    """Checks an event.

    Args:
        operation: The contract's `operationId`: in which stream it is sent.
        name: The event's kind.
        payload: What is sent of it.

    Raises:
        ContractViolationError: It is not what the contract describes.
    """
    schema = _events(operation).get(name)
    if schema is None:
        raise ContractViolationError(f"{operation}: there are no events named {name!r}")
    check(f"{operation}, event {name}", schema["$ref"], payload)


def check(where: str, reference: str, value: object) -> None:
    """Checks a value against the schema that a reference of the contract names; `where` is for the error."""
    schema = reference.rpartition("/")[2]
    if problems := problems_with(schema, value):
        raise ContractViolationError(f"{where}: not a {schema}: {problems}")


def problems_with(schema: str, value: object) -> str:
    """Returns what is wrong with a value for the contract's schema of this name; empty if nothing is."""
    return problems(_validator(schema), "", value)


def operation(name: str) -> dict[str, Any]:
    """Returns what the contract says of an operation, by its `operationId`."""
    return _operations()[name]


def path(name: str, **parameters: str) -> str:
    """Returns the path of an operation, by its `operationId`, with these values for its parameters."""
    return _paths()[name].format_map({key: quote(value, safe="") for key, value in parameters.items()})


def resolved(described: dict[str, Any]) -> dict[str, Any]:
    """Returns what a part of the contract refers to, or the part itself."""
    if "$ref" not in described:
        return described
    found: Any = _contract()
    for step in described["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    answer: dict[str, Any] = found
    return answer


@cache
def _events(operation: str) -> dict[str, dict[str, str]]:
    events: dict[str, dict[str, str]] = resolved(_operations()[operation]["responses"]["200"])["x-events"]
    return events


@cache
def _operations() -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, dict[str, Any]]] = _contract()["paths"]
    return {each["operationId"]: each for methods in paths.values() for each in methods.values()}


@cache
def _paths() -> dict[str, str]:
    paths: dict[str, dict[str, dict[str, Any]]] = _contract()["paths"]
    return {each["operationId"]: path for path, methods in paths.items() for each in methods.values()}


@cache
def _contract() -> dict[str, Any]:
    contract: dict[str, Any] = json.loads(
        files("requence_api").joinpath("openapi.json").read_text(encoding="utf-8")
    )
    return contract


@cache
def _validator(schema: str) -> Draft202012Validator:
    schemas = _contract()["components"]["schemas"]
    return validator(_spelled_out(schemas[schema], schemas))


def _spelled_out(part: Any, schemas: Mapping[str, Any]) -> Any:
    """Returns a part of the contract with the schema itself in place of each reference to one.

    To follow references takes longer than all the rest of checking an event, and each event is checked.
    """
    match part:
        case {"$ref": str(reference)}:
            return _spelled_out(schemas[reference.rpartition("/")[2]], schemas)
        case dict():
            return {key: _spelled_out(value, schemas) for key, value in cast("dict[str, Any]", part).items()}
        case [*items]:
            return [_spelled_out(value, schemas) for value in items]
        case _:
            return part
