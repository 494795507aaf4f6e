"""Checks what arrives: request bodies against the packaged API contract, inputs against a template's schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NoReturn, cast

from requence.exceptions import ConfigurationError
from requence.local.events import time_text
from requence.local.json_values import MAX_DEPTH, compact, is_too_deep

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, ValidationError

__all__ = [
    "ACK_REQUIRED",
    "FinalizeRequest",
    "InvalidRequestError",
    "WatchRequest",
    "check_input",
    "check_schema",
    "problems_with",
    "read_json",
    "result_misfit",
]

# How the text of a request ends whose outcome waits for a confirmation: what the store can look for.
ACK_REQUIRED = '"requireAck":true}'

_SHOWN_PROBLEMS = 5
_SHOWN_CHARACTERS = 300


class InvalidRequestError(ValueError):
    """A request cannot be accepted; the message tells people why."""


@dataclass(frozen=True, slots=True)
class FinalizeRequest:
    """The body of finalize.

    Attributes:
        name: The task's name for people, or None.
        input: Any JSON.
        priority: 0 (most urgent) to 10.
        require_ack: Whether the outcome waits for a confirmation.
    """

    name: str | None
    input: Any
    priority: int
    require_ack: bool

    @classmethod
    def from_body(cls, body: bytes, fetch: Callable[[str], bytes]) -> FinalizeRequest:
        """Reads the body of a request. A claim check in place of one of its values is resolved first.

        Args:
            body: The body.
            fetch: Returns the JSON text behind the URL of a claim check; raises `InvalidRequestError` if there is
                none.

        Raises:
            InvalidRequestError: It is not what the contract describes.
        """
        value = _checked("FinalizeRequest", _without_claim_checks(read_json(body), fetch))
        return cls(value["name"], value["input"], int(value["priority"]), value["requireAck"])

    def to_json(self) -> str:
        """Returns the request as JSON text, as `from_body` reads it; it ends with `ACK_REQUIRED` or does not."""
        return compact(
            {
                "name": self.name,
                "input": self.input,
                "priority": self.priority,
                "requireAck": self.require_ack,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> FinalizeRequest:
        """Reads what `to_json` wrote."""
        value = json.loads(text)
        return cls(value["name"], value["input"], value["priority"], value["requireAck"])


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """The body of watch, and of watch-all.

    Attributes:
        after: Only events after this position.
        since: Only events from this time on, written as `time_text` does; empty for all.
    """

    after: int
    since: str

    @classmethod
    def from_body(cls, body: bytes, *, of_all: bool) -> WatchRequest:
        """Reads the body of a request.

        Args:
            body: The body.
            of_all: Whether all tasks are to be watched.

        Raises:
            InvalidRequestError: It is not what the contract describes, or `since` is not a time.
        """
        value = _checked("WatchAllRequest" if of_all else "WatchRequest", read_json(body))
        since = "" if value["since"] is None else time_text(_time(value["since"]))
        if "lastPosition" in value:  # then it alone counts
            return cls(int(value["lastPosition"]), "")
        return cls(0, since)


def check_schema(template: str, which: str, schema: Mapping[str, object]) -> None:
    """Checks that a schema of a template is a JSON Schema (Draft 2020-12).

    Args:
        template: The template's name.
        which: What the schema is called in errors.
        schema: The schema.

    Raises:
        ConfigurationError: It is not.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    given: object = schema
    if not isinstance(given, dict):
        raise ConfigurationError(f'{which} of the template "{template}" must be a dict')
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        problem = _described(which, error)
        raise ConfigurationError(
            f'The {which} of the template "{template}" is not valid: {problem}'
        ) from None


def check_input(template: str, schema: Mapping[str, object], value: object) -> None:
    """Checks the input of a task against the schema of its template.

    Raises:
        InvalidRequestError: It does not fit; the message names the fields.
    """
    try:
        problems = _misfit(schema, "input", value)
    except _UncheckableError as error:
        raise InvalidRequestError(f'The input_schema of the template "{template}" {error}') from None
    if problems:
        raise InvalidRequestError(f'The input does not fit the template "{template}": {problems}')


def result_misfit(exit_name: str | None, schema: Mapping[str, object], value: object) -> str | None:
    """Returns why a task's result does not meet the schema of the exit, for people; None if it does."""
    which = "the exit" if exit_name is None else f'the exit "{exit_name}"'
    try:
        problems = _misfit(schema, "result", value)
    except _UncheckableError as error:
        return f"The output_schema of {which} {error}"
    return f"The result does not fit the output_schema of {which}: {problems}" if problems else None


class _UncheckableError(Exception):
    """Nothing can be said about a value, because of its schema."""


def _misfit(schema: Mapping[str, object], root: str, value: object) -> str:
    from referencing.exceptions import Unresolvable

    try:
        return _problems(_validator(schema), root, value)
    except Unresolvable as error:
        raise _UncheckableError(f"refers to something that is not part of it: {error}") from None
    except RecursionError:
        return f"{root}: nested too deeply to be checked"


def read_json(text: bytes, what: str = "The body") -> Any:
    """Reads what may be any JSON.

    Args:
        text: The text.
        what: What it is, for errors.

    Raises:
        InvalidRequestError: It is not JSON, or nested too deeply.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if is_too_deep(value):
            raise InvalidRequestError(f"{what} is nested deeper than {MAX_DEPTH} levels")
        compact(value)  # a number such as 1e999 is read as infinity, which could not be written again
    except InvalidRequestError:
        raise
    except RecursionError:
        raise InvalidRequestError(f"{what} is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise InvalidRequestError(f"{what} is not JSON: {error}") from None
    return value


def _without_claim_checks(value: Any, fetch: Callable[[str], bytes]) -> Any:
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    return {name: _resolved(name, part, fetch) for name, part in fields.items()}


def _resolved(name: str, value: Any, fetch: Callable[[str], bytes]) -> Any:
    match value:
        case {"__REQUENCE_type": "ClaimCheck", "url": str(url)}:
            return read_json(fetch(url), f"The content of the claim check in {name}")
        case _:
            return value


def problems_with(schema: str, value: object) -> str:
    """Returns what is wrong with a value for the contract's schema of this name; empty if nothing is."""
    return _problems(_contract_validator(schema), "", value)


def _checked(schema: str, value: Any) -> dict[str, Any]:
    if problems := problems_with(schema, value):
        raise InvalidRequestError(f"The body is not a {schema}: {problems}")
    checked: dict[str, Any] = value
    return checked


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"since: {_shortened(repr(text))} is not a time in ISO 8601") from None


@cache
def _contract_validator(schema: str) -> Draft202012Validator:
    contract = json.loads(files("requence_api").joinpath("openapi.json").read_text(encoding="utf-8"))
    return _validator({**contract["components"]["schemas"][schema], "components": contract["components"]})


def _validator(schema: Mapping[str, object]) -> Draft202012Validator:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry: a schema never makes this server fetch anything.
    return Draft202012Validator(schema, registry=Registry())


def _problems(validator: Draft202012Validator, root: str, value: object) -> str:
    # Any: the stubs of this method spell out the types of JSON, which a value that was just read has not.
    errors: Iterable[ValidationError] = cast("Any", validator).iter_errors(value)
    found = sorted(errors, key=lambda error: [str(step) for step in error.absolute_path])
    texts = [_described(root, error) for error in found[:_SHOWN_PROBLEMS]]
    if len(found) > _SHOWN_PROBLEMS:
        texts.append(f"and {len(found) - _SHOWN_PROBLEMS} more")
    return "; ".join(texts)


def _described(root: str, error: ValidationError | SchemaError) -> str:
    path = root
    for step in error.absolute_path:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return f"{path}: {_shortened(error.message)}" if path else _shortened(error.message)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
