"""An operation as people read it: what it does, what it takes, what it answers, and an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from protocol.document import Contract, Operation, Part, checked
from protocol.markdown import cell, code, deeper, fence, heading, link, linked, plain, slug, table
from protocol.schemas import Shown, json_text

__all__ = ["operation_blocks", "overview"]

_OPERATION = (
    "operationId",
    "tags",
    "summary",
    "description",
    "parameters",
    "requestBody",
    "responses",
    "security",
)
_PARAMETER = ("name", "in", "required", "description", "schema", "example")
_CONTENT = ("schema", "examples", "example")
_LOCAL = "x-local-statuses"


def overview(operations: list[Operation]) -> str:
    """Returns the table of the operations."""
    rows = [
        (
            link(each.title, slug(each.title)),
            code(f"{each.method} {each.path}"),
            "yes" if each.token else "no",
        )
        for each in operations
    ]
    return table(("operation", "request", "access token"), rows)


def operation_blocks(shown: Shown, operation: Operation) -> Iterator[str]:
    """Yields an operation, with its heading."""
    described = checked(f"{operation.method} {operation.path}", operation.described, _OPERATION)
    yield heading(3, operation.title)
    yield f"{code(f'{operation.method} {operation.path}')} — {'. '.join(_facts(shown, operation))}."
    if "description" in described:
        yield deeper(shown.text(described["description"]), 3)
    if parameters := _parameters(shown.contract, operation):
        yield "**Parameters**"
        yield _parameter_table(shown, operation, parameters)
    if "requestBody" in described:
        yield "**Request body**"
        yield _body_text(shown, operation)
    yield "**Answers**"
    yield _answer_table(shown, operation)
    yield from _more_of_answers(shown, operation)
    yield from _examples(shown.contract, operation)


def _facts(shown: Shown, operation: Operation) -> Iterator[str]:
    yield "With the access token" if operation.token else "Without a token"
    yield f"In code: {code(operation.described['operationId'])}"
    if operation.described.get("x-absolute-url"):
        yield linked("The URL is one that the server gave (`x-absolute-url`)", shown.anchors)
    if operation.described.get("x-handwritten"):
        yield "Generated clients only build the request (`x-handwritten`)"


def _parameters(contract: Contract, operation: Operation) -> list[Part]:
    return [contract.resolved(parameter) for parameter in operation.described.get("parameters", [])]


def _parameter_table(shown: Shown, operation: Operation, parameters: list[Part]) -> str:
    where = operation.described["operationId"]
    rows: list[tuple[str, ...]] = []
    for each in parameters:
        checked(f"{where}, parameter {each['name']}", each, _PARAMETER)
        example = code(str(each["example"])) if "example" in each else ""
        words = shown.words(f"{where}, parameter {each['name']}", each["schema"])
        required = "yes" if each.get("required") else "no"
        rows.append((code(each["name"]), each["in"], words, required, shown.meaning(each), example))
    return table(("name", "in", "type", "required", "meaning", "example"), rows)


def _body_text(shown: Shown, operation: Operation) -> str:
    body = shown.contract.resolved(operation.described["requestBody"])
    where = f"{operation.described['operationId']}, request body"
    checked(where, body, ("description", "required", "content"))
    kinds = " or ".join(_content(shown, where, body["content"]))
    needed = "Required" if body.get("required") else "Optional"
    return " ".join(filter(None, [f"{needed}: {kinds}.", shown.text(body.get("description"))]))


def _content(shown: Shown, where: str, content: Mapping[str, Part]) -> Iterator[str]:
    for media, described in content.items():
        checked(f"{where}, {media}", described, _CONTENT)
        yield f"{shown.words(where, described['schema'])} as {code(media)}"


def _answer_table(shown: Shown, operation: Operation) -> str:
    local = operation.described.get(_LOCAL, [])
    rows: list[tuple[str, ...]] = []
    for status, answer in shown.contract.answers(operation).items():
        where = f"{operation.described['operationId']}, status {status}"
        checked(where, answer, ("description", "content", "headers", "links"))
        bodies = " or ".join(_content(shown, where, answer.get("content", {})))
        if answer.get("x-events"):
            bodies += f": {link('events', slug('Events'))}"
        elif not status.startswith("2") and (example := _first_example(answer)) is not None:
            bodies += f", such as {code(str(example))}"
        known = "yes" if status.isdigit() and int(status) in local else ""
        rows.append((_status_text(status), cell(shown.text(answer["description"])), cell(bodies), known))
    return table(("status", "meaning", "body", "local server"), rows)


def _more_of_answers(shown: Shown, operation: Operation) -> Iterator[str]:
    """The headers of answers, and where they lead."""
    for status, answer in shown.contract.answers(operation).items():
        where = f"{operation.described['operationId']}, status {status}"
        rows: list[tuple[str, str, str]] = []
        for name, reference in answer.get("headers", {}).items():
            header = shown.contract.resolved(reference)
            checked(f"{where}, header {name}", header, ("description", "schema", "required", "example"))
            rows.append((code(name), shown.words(where, header["schema"]), shown.meaning(header)))
        if rows:
            yield f"**Headers of {plain(status)}**"
            yield table(("name", "type", "meaning"), rows)
        titles = {each.described["operationId"]: each.title for each in shown.contract.operations()}
        leads_to = [shown.contract.resolved(each)["operationId"] for each in answer.get("links", {}).values()]
        if leads_to:
            links = (link(titles[each], slug(titles[each])) for each in leads_to)
            yield f"After {plain(status)}: {', '.join(links)}."


def _examples(contract: Contract, operation: Operation) -> Iterator[str]:
    body = contract.resolved(operation.described.get("requestBody", {}))
    requests = _titled_examples(body.get("content", {}))
    done = [
        (status, answer) for status, answer in contract.answers(operation).items() if status.startswith("2")
    ]
    yield "**Example**"
    yield fence("http", _request_text(contract, operation, body, requests[0][1] if requests else None))
    for status, answer in done[:1]:
        answers = _titled_examples(answer.get("content", {}))
        yield fence("http", _answer_text(status, answer, answers[0][1] if answers else None))
        others = [("Request", *each) for each in requests[1:]] + [("Answer", *each) for each in answers[1:]]
        for what, title, value in others:
            yield f"{what}: {plain(title)}"
            yield fence(*_as_text(value))


def _request_text(contract: Contract, operation: Operation, body: Part, value: object) -> str:
    parameters = _parameters(contract, operation)
    given = {(each["in"], each["name"]): str(each["example"]) for each in parameters if "example" in each}
    path = operation.path
    for (place, name), text in given.items():
        path = path.replace(f"{{{name}}}", quote(text, safe="")) if place == "path" else path
    query = "&".join(f"{name}={quote(text)}" for (place, name), text in given.items() if place == "query")
    lines = [f"{operation.method} {path}{'?' if query else ''}{query} HTTP/1.1"]
    lines += ["Authorization: Bearer …"] if operation.token else []
    lines += [f"{name}: {text}" for (place, name), text in given.items() if place == "header"]
    return "\n".join([*lines, *_entity(body.get("content", {}), value)])


def _answer_text(status: str, answer: Part, value: object) -> str:
    # Of other statuses the names differ between versions of Python, and the page must not.
    line = f"HTTP/1.1 {status}{' OK' if status == '200' else ''}"
    return "\n".join([line, *_entity(answer.get("content", {}), value)])


def _entity(content: Mapping[str, Part], value: object) -> Iterator[str]:
    for media, described in list(content.items())[:1]:
        yield f"Content-Type: {media if '*' not in media else '…'}"
        if value is not None:
            yield f"\n{_as_text(value)[1]}"
        elif described["schema"].get("maxLength") != 0:
            yield "\n…"


def _as_text(value: object) -> tuple[str, str]:
    """The language and the text of an example."""
    return ("", value) if isinstance(value, str) else ("json", json_text(value))


def _titled_examples(content: Mapping[str, Part]) -> list[tuple[str, Any]]:
    return [
        (example.get("summary", name), example["value"])
        for described in content.values()
        for name, example in described.get("examples", {}).items()
    ]


def _first_example(answer: Part) -> object:
    return next((value for _, value in _titled_examples(answer.get("content", {}))), None)


def _status_text(status: str) -> str:
    return status if status.isdigit() else f"any other {status}"
