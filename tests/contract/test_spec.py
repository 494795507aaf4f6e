"""The contract itself: valid, complete, and true to its own examples."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
OPERATIONS = {
    "prepare_task",
    "finalize_task",
    "get_task",
    "abort_task",
    "protect_task",
    "ack_task",
    "watch_task",
    "watch_all_tasks",
    "get_python_types",
    "upload_file",
    "register_stream",
    "send_stream",
    "download_file",
    "download_stream",
}
EVENTS = {
    "taskStart": "TaskStartEvent",
    "nodeStart": "NodeStartEvent",
    "nodeUpdate": "NodeUpdateEvent",
    "nodeError": "NodeErrorEvent",
    "nodeDefer": "NodeDeferEvent",
    "nodeEnd": "NodeEndEvent",
    "taskEnd": "TaskEndEvent",
    "taskError": "TaskErrorEvent",
    "taskAborted": "TaskAbortedEvent",
}


class Example(NamedTuple):
    """A value in the document and the schema that it claims to meet."""

    where: str
    schema: Any
    value: Any


def operations(contract: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in contract["paths"].values():
        for method, operation in path.items():
            if method in METHODS:
                yield operation["operationId"], operation


def resolve(contract: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = contract
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


def nodes(value: Any, where: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document, with its place."""
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        yield where, mapping
        for key, item in mapping.items():
            yield from nodes(item, f"{where}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, item in enumerate(cast("Sequence[Any]", value)):
            yield from nodes(item, f"{where}/{index}")


def examples(contract: dict[str, Any]) -> Iterator[Example]:
    for where, node in nodes(contract):
        schema = node.get("schema")
        if schema is not None and "example" in node:
            yield Example(where, schema, node["example"])
        if schema is not None:
            for name, example in node.get("examples", {}).items():
                yield Example(f"{where}/examples/{name}", schema, example["value"])
    for name, schema in contract["components"]["schemas"].items():
        for index, value in enumerate(schema.get("examples", [])):
            yield Example(f"{name} {index}", schema, value)


def complaints(contract: dict[str, Any], schema: Any, value: Any) -> list[str]:
    """What is wrong with `value`; references in `schema` are looked up in the contract."""
    resource: Resource[Any] = Resource.from_contents(contract, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry[Any]().with_resource("urn:contract", resource)
    validator: Any = Draft202012Validator(absolute(schema), registry=registry)
    return [error.message for error in validator.iter_errors(value)]


def absolute(schema: Any) -> Any:
    """The schema with references that also hold outside the document; inside it they already do."""
    if isinstance(schema, dict):
        mapping = cast("dict[str, Any]", schema)
        return {
            key: f"urn:contract{item}" if key == "$ref" else absolute(item) for key, item in mapping.items()
        }
    if isinstance(schema, list):
        return [absolute(item) for item in cast("Sequence[Any]", schema)]
    return schema


def test_is_valid_openapi(contract: dict[str, Any]) -> None:
    """Every tool that reads the contract relies on this."""
    assert [str(error) for error in OpenAPIV31SpecValidator(contract).iter_errors()] == []


def test_has_every_operation(contract: dict[str, Any]) -> None:
    """An operation that gets lost here is lost in client, server tests and manual alike."""
    assert {name for name, _ in operations(contract)} == OPERATIONS


def test_every_operation_is_explained(contract: dict[str, Any]) -> None:
    """The manual of the protocol is made from this document."""
    for name, operation in operations(contract):
        assert operation["summary"], name
        assert operation["description"], name


def test_every_local_status_is_documented(contract: dict[str, Any]) -> None:
    """`x-local-statuses` is what the local server is held to, so the manual must explain each of them."""
    for name, operation in operations(contract):
        statuses = operation["x-local-statuses"]
        assert statuses == sorted(set(statuses)), name
        assert 200 in statuses, name
        documented = set(operation["responses"])
        assert {str(status) for status in statuses} == documented - {"4XX", "5XX"}, name
        assert {"4XX", "5XX"} <= documented, name


def test_every_refusal_is_plain_text(contract: dict[str, Any]) -> None:
    """The body of a refusal is the message of the exception that a user sees."""
    for name, operation in operations(contract):
        for status, response in operation["responses"].items():
            if status != "200":
                assert list(resolve(contract, response)["content"]) == ["text/plain"], f"{name} {status}"


def test_bearer_goes_everywhere_but_to_file_urls(contract: dict[str, Any]) -> None:
    """The URLs of files are capabilities of their own; a token sent there would be given away."""
    assert contract["security"] == [{"bearer": []}]
    for name, operation in operations(contract):
        if operation["tags"] == ["files"]:
            assert operation["security"] == [], name
            assert operation["x-absolute-url"] is True, name
        else:
            assert "security" not in operation, name


def test_streams_are_marked_handwritten(contract: dict[str, Any]) -> None:
    """Tools that cannot deal with endless answers leave these operations out by tag or mark."""
    for name, operation in operations(contract):
        streams = "text/event-stream" in resolve(contract, operation["responses"]["200"]).get("content", {})
        assert streams == (operation["tags"] == ["watch"]) == operation.get("x-handwritten", False), name


def test_every_event_has_a_schema(contract: dict[str, Any]) -> None:
    """Events are told apart by name; the list by name is what client and server tests read."""
    listed = contract["components"]["responses"]["EventStream"]["x-events"]
    assert listed == {name: {"$ref": f"#/components/schemas/{schema}"} for name, schema in EVENTS.items()}
    for schema in EVENTS.values():
        assert contract["components"]["schemas"][schema]["examples"], schema


def test_links_lead_to_operations_with_all_that_their_paths_need(contract: dict[str, Any]) -> None:
    """A link whose target or parameter is misspelt is passed over by the tools that follow links."""
    parameters = {name: path_parameters(contract, operation) for name, operation in operations(contract)}
    used: set[str] = set()
    for name, operation in operations(contract):
        for response in operation["responses"].values():
            for title, reference in resolve(contract, response).get("links", {}).items():
                link = resolve(contract, reference)
                assert set(link["parameters"]) == parameters[link["operationId"]], f"{name}, {title}"
                used.add(link["operationId"])
    # These begin something, and need no answer.
    assert used == set(OPERATIONS) - {"prepare_task", "watch_all_tasks", "get_python_types"}


def path_parameters(contract: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    described = (resolve(contract, each) for each in operation.get("parameters", []))
    return {each["name"] for each in described if each["in"] == "path"}


def test_examples_meet_their_schemas(contract: dict[str, Any]) -> None:
    """Readers copy examples; a wrong one teaches a wrong protocol."""
    found = list(examples(contract))
    assert len(found) > 40  # the walk finds them at all
    wrong = {
        example.where: problems
        for example in found
        if (problems := complaints(contract, example.schema, example.value))
    }
    assert wrong == {}


@pytest.mark.parametrize(
    "change",
    [{"timestamp": 5}, {"node": {"id": "1"}}, {"node": {"id": "1", "type": "service", "alias": 3}}],
    ids=["timestamp", "no type", "alias"],
)
def test_event_schemas_bite(contract: dict[str, Any], change: dict[str, Any]) -> None:
    """A base that allOf no longer reaches would accept everything, and no example would tell."""
    schema = contract["components"]["schemas"]["NodeUpdateEvent"]
    assert complaints(contract, schema, {**schema["examples"][0], **change}) != []


def test_no_component_is_unused(contract: dict[str, Any]) -> None:
    """The linter's own rule for this does not look into `x-events`, so it is switched off."""
    used = {node["$ref"] for _, node in nodes(contract) if isinstance(node.get("$ref"), str)}
    components = {
        f"#/components/{kind}/{name}"
        for kind, members in contract["components"].items()
        if kind != "securitySchemes"
        for name in members
    }
    assert components == used


def test_nothing_the_server_may_extend_is_closed(contract: dict[str, Any]) -> None:
    """Generated code fails as a whole on a value outside an enum, and sends every default of a request."""
    for where, node in nodes(contract["components"]["schemas"]):
        for keyword in ("enum", "const", "default", "unevaluatedProperties"):
            assert keyword not in node, f"{where}: {keyword}"
