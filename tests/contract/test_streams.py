"""Each kind of event has one class of updates, and each of its fields one attribute; and the reverse."""

from __future__ import annotations

import inspect
import itertools
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from tests.contract.existing import existing, templates
from tests.local.api import Api
from tests.local.contract import EVENT_SCHEMAS

from requence.local import LocalServer
from requence.task import updates
from requence.task.context import Context
from requence.task.reading import read_update
from requence.task.record import snake_case
from requence.task.updates import BaseUpdate, UnknownUpdate

# What updates have beside the fields of their event; `type` comes from the stream's own line.
BESIDE = {"type"}
# What they do, or know beside the event.
OWN = {"context", "incomplete", "position", "synthetic", "to_dict", "with_context"}
KINDS = sorted(EVENT_SCHEMAS)
# By the names of JSON Schema. A schema without a type is any JSON.
TYPES: dict[str, Any] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": float,
    "object": dict,
    "array": list,
    "null": type(None),
}


def resolved(contract: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        part = contract["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    return part


def wire_fields(contract: dict[str, Any], schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The fields of an event's schema, with those that it has in common with others."""
    schema = resolved(contract, schema)
    found: dict[str, dict[str, Any]] = {}
    for part in schema.get("allOf", ()):
        found |= wire_fields(contract, part)
    return found | {name: resolved(contract, field) for name, field in schema.get("properties", {}).items()}


def fields(contract: dict[str, Any], schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The fields of an event's schema in Python's spelling."""
    return {snake_case(name): field for name, field in wire_fields(contract, schema).items()}


def class_of(kind: str) -> type[BaseUpdate]:
    return type(read_update(kind, {}, before=Context({}), position=1))


def annotated(kind: str) -> dict[str, Any]:
    """The fields of a class of updates, with their types."""
    declared = {
        name for each in class_of(kind).__mro__ for name in inspect.get_annotations(each) if name[0] != "_"
    }
    hints = get_type_hints(class_of(kind))
    return {name: hints[name] for name in declared - BESIDE}


def allows(annotation: Any, kind: Any) -> bool:
    """Whether an attribute of this type may hold a value of a JSON type."""
    if get_origin(annotation) in (Union, types.UnionType):
        return any(allows(each, kind) for each in get_args(annotation))
    return annotation is Any or (get_origin(annotation) or annotation) is kind


def test_each_kind_has_a_class_of_its_own() -> None:
    classes = {class_of(kind) for kind in KINDS}
    public = {getattr(updates, name) for name in updates.__all__ if name != "Update"}
    assert classes == public - {BaseUpdate, UnknownUpdate}
    assert len(classes) == len(KINDS) == 9
    for kind in KINDS:
        assert get_type_hints(class_of(kind))["type"] == Literal[kind]
    assert class_of("somethingNew") is UnknownUpdate


def test_both_streams_have_the_same_kinds(contract: dict[str, Any]) -> None:
    kinds = [
        set(resolved_response(contract, path)["x-events"])
        for path in ("/task/watch/{task_id}", "/task/watch-all")
    ]
    assert kinds == [set(KINDS), set(KINDS)]


def resolved_response(contract: dict[str, Any], path: str) -> dict[str, Any]:
    answer: dict[str, Any] = contract["paths"][path]["post"]["responses"]["200"]
    name = answer.get("$ref", "").rpartition("/")[2]
    return contract["components"]["responses"][name] if name else answer


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_has_its_attribute_and_the_reverse(contract: dict[str, Any], kind: str) -> None:
    described = fields(contract, {"$ref": f"#/components/schemas/{EVENT_SCHEMAS[kind]}"})
    assert set(annotated(kind)) == set(described)
    # Something that is computed would look like a field that is sent.
    classes = [each for each in class_of(kind).__mro__ if issubclass(each, BaseUpdate)]
    assert {name for each in classes for name in vars(each) if name[0] != "_"} == OWN


@pytest.mark.parametrize("kind", KINDS)
def test_an_attribute_may_hold_what_its_field_may(contract: dict[str, Any], kind: str) -> None:
    described = fields(contract, {"$ref": f"#/components/schemas/{EVENT_SCHEMAS[kind]}"})
    for name, annotation in annotated(kind).items():
        given = described[name].get("type")
        if given is None:
            assert annotation is Any, f"{name} is any JSON, and not {annotation}"
        else:
            kinds: list[str] = [given] if isinstance(given, str) else given
            for each in kinds:
                assert allows(annotation, TYPES[each]), f"{name} may be {each}, which {annotation} is not"


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_is_read_in_both_spellings(contract: dict[str, Any], kind: str) -> None:
    described = fields(contract, {"$ref": f"#/components/schemas/{EVENT_SCHEMAS[kind]}"})
    for spelling in (str, wire):
        values = {
            spelling(name): {"id": "n", "type": "service"} if name == "node" else f"a {name}"
            for name in described
        }
        update = read_update(kind, values, before=Context({}), position=1)
        for name in described:
            value = values[spelling(name)]
            found = [getattr(update, name), update[name], getattr(update, wire(name)), update[wire(name)]]
            assert found == [value] * 4, name


def wire(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


@pytest.fixture(scope="module")
def emitted() -> dict[str, list[dict[str, Any]]]:
    """The payloads of a local server's events by their kind, from both streams."""
    found: dict[str, list[dict[str, Any]]] = {}
    with LocalServer(*templates()) as server, Api(server.access_token) as api:
        there = existing(api)
        api.post("abort", there.running)
        tasks = [there.ended, there.running, api.start("failing"), api.start("deferring")]
        events = [event for task in tasks for event in api.watch(task)]
        with api.watch_all() as of_all:
            events += itertools.islice(of_all, len(events))
    for event in events:
        found.setdefault(event.name, []).append(event.payload)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_local_server_sends_each_field_and_no_other(
    contract: dict[str, Any], emitted: dict[str, list[dict[str, Any]]], kind: str
) -> None:
    """What nobody has described would pass: schemas are open for fields that come later."""
    described = wire_fields(contract, {"$ref": f"#/components/schemas/{EVENT_SCHEMAS[kind]}"})
    assert set().union(*emitted[kind]) == set(described)
    if "node" in described:
        nodes = [payload["node"] for payload in emitted[kind]]
        assert set().union(*nodes) == set(wire_fields(contract, described["node"]))
