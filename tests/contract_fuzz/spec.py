"""What schemathesis is given: the contract, as far as it holds for the local server. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

__all__ = ["labels", "links", "narrowed"]

WATCH = "/task/watch/{task_id}"
LAST_SEGMENT = "#regex:/([^/]+)$"  # what schemathesis has beyond the runtime expressions of OpenAPI


def narrowed(contract: dict[str, Any], ended: Sequence[str] = ()) -> dict[str, Any]:
    """Returns a copy of the contract that says no more than what is agreed of the local server.

    - The classes 4XX and 5XX stand for the hosted service: only `x-local-statuses` are left of the answers.
    - Events are described where OpenAPI can say it, for the tools that read a schema as that of each event.
    - Links that stand for a whole URL name the part of it that the path has.
    - Watch takes a `key`: schemathesis would put ids of its own choice into a `task_id`, also those of tasks that
      are not started, whose streams stay open.

    Args:
        contract: The contract.
        ended: Ids of tasks that have ended, each to be watched from its beginning, for one.
    """
    spec = deepcopy(contract)
    _rename_parameter(spec, WATCH, "key", ended)
    for operation in _operations(spec):
        answers = operation["responses"]
        operation["responses"] = {
            str(status): answers[str(status)] for status in operation["x-local-statuses"]
        }
    stream = spec["components"]["responses"]["EventStream"]
    stream["content"] = {"text/event-stream": {"schema": _event(stream["x-events"])}}
    absolute = {each["operationId"] for each in _operations(spec) if each.get("x-absolute-url")}
    for link in spec["components"]["links"].values():
        if link["operationId"] in absolute:
            link["parameters"] = {
                name: _last_segment(expression) for name, expression in link["parameters"].items()
            }
    return spec


def labels(spec: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns the id and the description of each operation by its label, as in "GET /task/{task_id}"."""
    return {
        f"{method.upper()} {path}": (operation["operationId"], operation)
        for path, methods in spec["paths"].items()
        for method, operation in methods.items()
    }


def links(spec: dict[str, Any]) -> set[str]:
    """Returns the links as reports write them: "operation -> [status] name -> operation", with labels."""
    label = {name: label for label, (name, _) in labels(spec).items()}
    return {
        f"{source} -> [{status}] {title} -> {label[_resolved(spec, link)['operationId']]}"
        for source, (_, operation) in labels(spec).items()
        for status, answer in operation["responses"].items()
        for title, link in answer.get("links", {}).items()
    }


def _resolved(spec: dict[str, Any], link: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = spec["components"]["links"][link["$ref"].rpartition("/")[2]]
    return found


def _rename_parameter(spec: dict[str, Any], path: str, name: str, values: Sequence[str]) -> None:
    """Gives an operation, and the link to it, another name for the only parameter of its path."""
    methods = spec["paths"].pop(path)
    spec["paths"][re.sub(r"\{\w+\}", f"{{{name}}}", path)] = methods
    [operation] = methods.values()
    # Examples of parameters and bodies are sent in pairs: with each value twice, both bodies are sent with each.
    examples = {str(number): {"value": values[number // 2]} for number in range(2 * len(values))}
    described = {**spec["components"]["parameters"]["TaskId"], "name": name, "examples": examples}
    del described["example"]
    operation["parameters"] = [described]
    for link in spec["components"]["links"].values():
        if link["operationId"] == operation["operationId"]:
            [expression] = link["parameters"].values()
            link["parameters"] = {name: expression}


def _operations(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in spec["paths"].values():
        yield from methods.values()


def _last_segment(expression: str) -> str:
    return expression + LAST_SEGMENT if expression.startswith("$response.body#/") else expression


def _event(schemas: dict[str, dict[str, str]]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["id", "event", "data"],
        "properties": {
            "id": {"type": "string", "pattern": "^[1-9][0-9]*$"},
            "event": {"enum": list(schemas)},
        },
        "allOf": [
            {
                "if": {"properties": {"event": {"const": name}}},
                "then": {"properties": {"data": _json_text(schema)}},
            }
            for name, schema in schemas.items()
        ],
    }


def _json_text(schema: dict[str, str]) -> dict[str, Any]:
    return {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
