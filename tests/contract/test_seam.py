"""What the contract describes is wrapped: `api.py` and `file_api.py` of `_transport` call and read all of it.

Whoever adds to the contract is led here.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from tests.local.api import Api

import requence_api.models
from requence._transport import api, file_api
from requence.local import LocalServer, NodeContext, TaskTemplate

SEAM = "\n".join(inspect.getsource(module) for module in (api, file_api))
TREE = ast.parse(SEAM)

# Schemas of JSON answers that the local server is asked for below.
ANSWERS = ("PreparedTask", "StartedTask", "TaskState", "UploadedFile", "RegisteredStream")


def calls(tree: ast.AST) -> set[str]:
    """The operations that are called: where `operation._get_kwargs(…)` stands."""
    return {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "_get_kwargs" and isinstance(node.value, ast.Name)
    }


def functions(tree: ast.AST) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def fields_of(model: str) -> dict[str, str | None]:
    """The fields of a model, each with the model that it holds, one or many of them; None if it holds none."""
    fields = {field.name: str(field.type) for field in attrs.fields(getattr(requence_api.models, model))}
    del fields["additional_properties"]
    return {
        name: next((each for each in re.findall(r"\w+", kind) if each in requence_api.models.__all__), None)
        for name, kind in fields.items()
    }


def parsed_model(node: ast.AST) -> str | None:
    """The model that an expression makes of an answer: `parsed(…, Model.from_dict)`."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and each.attr == "from_dict" and isinstance(each.value, ast.Name):
            return each.value.id
    return None


def model_of(node: ast.AST, models: dict[str, str]) -> str | None:
    """The model that an expression stands for, or those in a list of it; `models` has those of variables."""
    match node:
        case ast.Name(id=name):
            return models.get(name)
        case ast.Attribute(value=value, attr=name):
            model = model_of(value, models)
            return fields_of(model).get(name) if model else None
        case ast.BoolOp(values=[first, *_]):
            return model_of(first, models)
        case ast.Call():
            return parsed_model(node)
        case _:
            return None


def reads(node: ast.AST, models: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The fields of models that are looked at: of what is parsed, and of what that holds."""
    generators = getattr(node, "generators", [])
    models = dict(models) if generators else models  # a comprehension's variables are its own
    for each in (*generators, node):
        match each:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.For(target=ast.Name(id=name), iter=value)
                | ast.comprehension(target=ast.Name(id=name), iter=value)
            ):
                if model := model_of(value, models):
                    models[name] = model
            case ast.Attribute(value=value, attr=name):
                if model := model_of(value, models):
                    yield model, name
            case _:
                pass
    for child in ast.iter_child_nodes(node):
        yield from reads(child, models)


def unread(tree: ast.AST) -> set[tuple[str, str]]:
    """The fields that are not read where their model is parsed, nor those of models that it holds."""
    found: set[tuple[str, str]] = set()
    for function in functions(tree):
        read = set(reads(function, {}))
        wanted = [model] if (model := parsed_model(function)) else []
        for model in wanted:
            for name, inner in fields_of(model).items():
                if (model, name) not in read:
                    found.add((model, name))
                elif inner is not None and inner not in wanted:
                    wanted.append(inner)
    return found


def unsent(tree: ast.AST) -> set[tuple[str, str]]:
    """What a request could say and does not: fields of models, parameters of operations."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in requence_api.models.__all__:
                possible = list(fields_of(name))
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="_get_kwargs")):
                operation = getattr(api, name, None) or getattr(file_api, name)
                possible = list(inspect.signature(operation._get_kwargs).parameters)
            case _:
                continue
        given = {*possible[: len(node.args)], *(keyword.arg for keyword in node.keywords)}
        found |= {(name, each) for each in possible if each not in given}
    return found


def test_each_operation_is_called(contract: dict[str, Any]) -> None:
    described = {each["operationId"] for methods in contract["paths"].values() for each in methods.values()}
    assert calls(TREE) == described


def test_each_field_of_an_answer_is_read() -> None:
    assert {model for function in functions(TREE) if (model := parsed_model(function))} == {
        *ANSWERS,
        "TypeFiles",
    }
    assert unread(TREE) == set()


@pytest.mark.parametrize(
    ("read", "instead", "expected"),
    [
        ("optional_text(state.status_text)", "None", ("TaskState", "status_text")),
        # Another object's attribute of this name is read there all the same.
        ("state.status)", "None)", ("TaskState", "status")),
        ("entry.data for", "None for", ("NodeData", "data")),
        ("optional_text(made.urls.show)", "None", ("TaskUrls", "show")),
        ("optional_text(made.mime) or", "None or", ("UploadedFile", "mime")),
        ("made.limits.max_file_size", "None", ("TaskLimits", "max_file_size")),
    ],
)
def test_what_is_not_read_would_be_found(read: str, instead: str, expected: tuple[str, str]) -> None:
    assert read in SEAM
    assert unread(ast.parse(SEAM.replace(read, instead))) - unread(TREE) == {expected}


def test_each_field_and_parameter_of_a_request_is_sent() -> None:
    assert unsent(TREE) == set()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (", require_ack=require_ack)", ("FinalizeRequest", "require_ack")),
        (", body=UNSET if reason is None else reason)", ("abort_task", "body")),
        (", x_requence_stream_protocol=FRAMED)", ("download_stream", "x_requence_stream_protocol")),
    ],
)
def test_what_is_not_sent_would_be_found(sent: str, expected: tuple[str, str]) -> None:
    assert sent in SEAM
    assert unsent(ast.parse(SEAM.replace(sent, ")"))) - unsent(TREE) == {expected}


@pytest.fixture
def service() -> Iterator[Api]:
    template = TaskTemplate("t")

    @template.node
    def breaks(ctx: NodeContext) -> None:
        raise ValueError("so")

    template.node("n", after=breaks.on_fail)(lambda ctx: 1)
    with LocalServer(template) as server, Api(server.access_token) as service:
        yield service


def differences(contract: dict[str, Any], schema: dict[str, Any], value: Any) -> Iterator[tuple[str, str]]:
    """The fields that only a schema or only a value has, with the schema's name, also within it."""
    match schema:
        case {"$ref": str(reference)}:
            name = reference.rpartition("/")[2]
            described = contract["components"]["schemas"][name].get("properties", {})
            yield from ((name, field) for field in set(described) ^ set(value))
            for field in set(described) & set(value):
                yield from differences(contract, described[field], value[field])
        case {"items": inner}:
            assert value, "says nothing of what it holds"
            for each in value:
                yield from differences(contract, inner, each)
        case _:
            pass


def test_the_local_server_answers_with_each_field(contract: dict[str, Any], service: Api) -> None:
    prepared = service.http.post("/task/prepare/t").json()
    uploaded = service.http.post(prepared["fileUrls"]["uploadUrl"], content=b"x").json()
    registered = service.http.post(prepared["fileUrls"]["streamUrl"]).json()
    body = {"name": None, "input": None, "priority": 5, "requireAck": False}
    started = service.http.post(prepared["finalizeUrl"], json=body).json()
    list(service.watch(prepared["taskId"]))
    answered = (prepared, started, service.get(prepared["taskId"]), uploaded, registered)
    given = dict(zip(ANSWERS, answered, strict=True))
    answers = {
        media["schema"].get("$ref", "").rpartition("/")[2]
        for methods in contract["paths"].values()
        for operation in methods.values()
        for answer in operation["responses"].values()
        for kind, media in answer.get("content", {}).items()
        if kind == "application/json"
    }
    assert answers - {"TypeFiles"} == set(given)  # the names of files are no fields
    for name, answer in given.items():
        reference = {"$ref": f"#/components/schemas/{name}"}
        assert set(differences(contract, reference, answer)) == set()
