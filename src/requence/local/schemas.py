"""Holds values against JSON Schemas, and says for people what does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from requence.exceptions import ConfigurationError
from requence.local.refusals import InvalidRequestError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, ValidationError

__all__ = ["check_input", "check_schema", "problems", "result_misfit", "shortened", "validator"]

_SHOWN_PROBLEMS = 5
_SHOWN_CHARACTERS = 300


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
        return problems(validator(schema), root, value)
    except Unresolvable as error:
        raise _UncheckableError(f"refers to something that is not part of it: {error}") from None
    except RecursionError:
        return f"{root}: nested too deeply to be checked"
    except OverflowError:  # `multipleOf` divides, by a fraction perhaps
        return f"{root}: has a number that is too large to be checked"


def validator(schema: Mapping[str, object]) -> Draft202012Validator:
    """Returns what holds values against a schema."""
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # An empty registry: a schema never makes this server fetch anything.
    return Draft202012Validator(schema, registry=Registry())


def problems(validator: Draft202012Validator, root: str, value: object) -> str:
    """Returns what does not fit, for people; empty if all does. `root` is what the value is called."""
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
    return f"{path}: {shortened(error.message)}" if path else shortened(error.message)


def shortened(text: str) -> str:
    """Returns a text that may be long, so that it can stand in an error."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
