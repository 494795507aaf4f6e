"""Judges requests, answers and events by the contract, with openapi-core.

What OpenAPI cannot describe is judged by what the contract says otherwise: the events of a stream by its list of
them, `x-events`, and what is special to files by its text (`in_words.py`).
openapi-core is there in the environment of `make contract` only, and has no types that strict checkers could use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator
from tests.contract_client.in_words import (
    ANY_MEDIA_TYPE,
    MEDIA_TYPE,
    PROTOCOL,
    with_claim_checks,
    wrong_with_frames,
)

__all__ = ["Judge", "Request", "events_in"]

_BYTES = "application/octet-stream"

_core: Any = import_module("openapi_core")
_datatypes: Any = import_module("openapi_core.datatypes")
_invalid: Any = import_module("openapi_core.validation.schemas.exceptions").InvalidSchemaValue
_missing: Any = import_module("openapi_core.validation.response.exceptions").MissingData
_no_body: Any = import_module("openapi_core.validation.request.exceptions").MissingRequiredRequestBody
_error: Any = import_module("openapi_core.exceptions").OpenAPIError
_containers: Any = import_module("werkzeug.datastructures")


@dataclass(frozen=True, slots=True)
class Request:
    """A request to an operation, as openapi-core wants to see it.

    Attributes:
        operation: The `operationId`.
        method: In lower case.
        path: The path of the contract, with what was sent in the place of its parameter.
        parameters: Query, headers and cookies.
        body: The body; None if there is none.
        content_type: Its media type; `application/octet-stream` where the contract lets that stand for any.
        host_url: The server's address, as the contract has it.
    """

    operation: str
    method: str
    path: str
    parameters: Any
    body: bytes | None
    content_type: str
    host_url: str = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class _Answer:
    status_code: int
    data: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Judge:
    """Says what is wrong. `document` is the contract.

    Readers of the contract put up with fields that come later; a client of today says nothing that is not in it.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document = with_claim_checks(_with_closed_bodies(document))
        decoders = {"text/event-stream": _decoded, _BYTES: _one_by_one, "*/*": _one_by_one}
        self._openapi = _core.OpenAPI.from_dict(
            document, config=_core.Config(extra_media_type_deserializers=decoders)
        )
        self._operations = {
            operation["operationId"]: (method, path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }
        self.of_event = lru_cache(maxsize=20_000)(self._of_event)
        self._validator = cache(self._made_validator)

    def kinds(self, operation: str) -> list[str]:
        """Returns the kinds of events that an operation streams."""
        return list(self._resolved(self._operations[operation][2]["responses"]["200"])["x-events"])

    def has_url_of_its_own(self, operation: str) -> bool:
        """Whether clients get the URL of an operation whole, so that all of it is the server's affair."""
        return bool(self._operations[operation][2].get("x-absolute-url"))

    def asked_for(self, method: str, path: str) -> tuple[str, str] | None:
        """Returns the operation of a path, and what is in the place of its parameter; None for no operation."""
        for name, (its_method, template, _) in self._operations.items():
            pattern = re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(template))
            if its_method == method.lower() and (found := re.fullmatch(pattern, path)):
                return name, "".join(found.groups())
        return None

    def request(
        self, operation: str, segment: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> Request:
        """Returns a request in the contract's terms.

        Args:
            operation: The `operationId`.
            segment: What was in the place of the path's parameter, as it was sent.
            query: The query, without question mark.
            headers: The headers, names in lower case.
            body: The body.
        """
        method, template, _ = self._operations[operation]
        path = re.sub(r"\{\w+\}", lambda _: segment, template)
        parameters = _datatypes.RequestParameters(
            query=_containers.ImmutableMultiDict(parse_qsl(query)),
            header=_containers.Headers(dict(headers)),
            cookie=_containers.ImmutableMultiDict(),
        )
        kind = headers.get("content-type", "")
        says = ANY_MEDIA_TYPE.get(operation)
        if says == "does not count" or (says and MEDIA_TYPE.fullmatch(kind)):
            kind = _BYTES
        return Request(operation, method, path, parameters, body or None, kind)

    def of_request(self, request: Request) -> list[str]:
        """Returns what is wrong with a request."""
        operation = self._operations[request.operation][2]
        if request.operation in ANY_MEDIA_TYPE and request.content_type != _BYTES:
            return [f"{request.operation}, request: {request.content_type!r} is no media type"]
        if operation.get("security") == [] and "authorization" in request.parameters.header:
            return [f"{request.operation}, request: a token is sent to where none belongs"]
        try:
            self._openapi.validate_request(request)
        except _no_body as error:
            # For openapi-core an empty content is none; a file may be one.
            if request.operation not in ANY_MEDIA_TYPE:
                return [f"{request.operation}, request: {_explained(error)}"]
        except _error as error:
            return [f"{request.operation}, request: {_explained(error)}"]
        described = map(self._resolved, operation.get("parameters", []))
        known = {each["name"] for each in described if each["in"] == "query"}
        if unknown := sorted(set(request.parameters.query) - known):
            return [f"{request.operation}, request: there is no {', '.join(unknown)} in the query"]
        return []

    def of_answer(self, request: Request, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """Returns what is wrong with an answer; of a stream, what is wrong with its beginning."""
        given = {name.lower(): value for name, value in headers.items()}
        kind = given.get("content-type", "")
        try:
            self._openapi.validate_response(request, _Answer(status, body, kind, given))
        except _missing:
            # For openapi-core an empty text or content is none; for the contract it is one.
            if kind.startswith("text/") or (
                self._is_content(request.operation, status) and MEDIA_TYPE.fullmatch(kind)
            ):
                return []
            return [f"{request.operation}, status {status}: there is no body"]
        except _error as error:
            return [f"{request.operation}, status {status}: {_explained(error)}"]
        if PROTOCOL in given and self._is_content(request.operation, status):
            wrong = wrong_with_frames(request.parameters.header.get(PROTOCOL), given[PROTOCOL], body)
            return [f"{request.operation}, status {status}: {wrong}"] if wrong else []
        return []

    def _is_content(self, operation: str, status: int) -> bool:
        """Whether an answer is bytes of any media type."""
        answers = self._operations[operation][2]["responses"]
        return "*/*" in self._resolved(answers.get(str(status), {})).get("content", {})

    def _of_event(self, operation: str, name: str, data: str) -> tuple[str, ...]:
        """Returns what is wrong with an event of a stream."""
        where = f"{operation}, event {name}"
        validator = self._validator(operation, name)
        if validator is None:
            return (f"{where}: there are no events of this kind",)
        try:
            payload = json.loads(data)
        except (ValueError, RecursionError):
            return (f"{where}: its data is not JSON",)
        return tuple(f"{where}: {error.message[:300]}" for error in validator.iter_errors(payload))

    def _made_validator(self, operation: str, name: str) -> Any:
        kinds = self._resolved(self._operations[operation][2]["responses"]["200"])["x-events"]
        if name not in kinds:
            return None
        return Draft202012Validator({**kinds[name], "components": self._document["components"]})

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            found: Any = self._document
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            node = found
        return node


def _with_closed_bodies(document: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy in which the JSON of requests has no fields but those that are described."""
    document = deepcopy(document)
    for methods in document["paths"].values():
        for operation in methods.values():
            content = operation.get("requestBody", {}).get("content", {})
            if reference := content.get("application/json", {}).get("schema", {}).get("$ref"):
                schema = document["components"]["schemas"][reference.rpartition("/")[2]]
                schema["unevaluatedProperties"] = False
    return document


def events_in(stream: bytes) -> Iterator[tuple[str, str]]:
    """Yields the kind and the data of each event in a stream's bytes; one that is not complete is none."""
    name, data = "", list[str]()
    lines = re.split(r"\r\n|\r|\n", stream.decode("utf-8", "replace"))
    for line in lines[:-1]:
        field_name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field_name == "event":
            name = value
        elif field_name == "data":
            data.append(value)
        elif not line:
            if name and data:
                yield name, "\n".join(data)
            name, data = "", []


def _one_by_one(content: bytes, **_: str) -> str:
    """Returns a text of which each character is a byte, so that the contract's lengths are numbers of bytes."""
    return content.decode("latin-1")


def _decoded(content: bytes, **_: str) -> str:
    return content.decode("utf-8", "replace")


def _explained(error: BaseException) -> str:
    """Returns what the innermost of the errors says, which is where the values are."""
    inner: Any = error
    while not isinstance(inner, _invalid) and inner.__cause__ is not None:
        inner = inner.__cause__
    errors: list[object] = list(getattr(inner, "schema_errors", None) or [f"{type(inner).__name__}: {inner}"])
    return "; ".join(str(each).partition("\n")[0][:300] for each in errors)
