"""What the contract describes is wrapped: `_transport/api.py` calls each operation and reads each answer's fields.

Whoever adds to the contract is led here. What is left out on purpose stands in the lists below.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.local.api import Api

import requence_api.models
from requence.local import LocalServer, TaskTemplate

SEAM = Path(__file__).parents[2] / "src" / "requence" / "_transport" / "api.py"
TREE = ast.parse(SEAM.read_text("utf-8"))

# Not wrapped yet: files, streams and types.
NOT_CALLED = {
    "download_file",
    "download_stream",
    "get_python_types",
    "register_stream",
    "send_stream",
    "upload_file",
}
NOT_READ = {("PreparedTask", "file_urls"), ("PreparedTask", "limits")}
# Schemas of JSON answers that the local server is asked for below.
ANSWERS = ("PreparedTask", "StartedTask", "TaskState")


def calls(tree: ast.AST) -> set[str]:
    """The operations that are called: where `operation._get_kwargs(…)` stands."""
    return {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "_get_kwargs" and isinstance(node.value, ast.Name)
    }


def readers(tree: ast.AST) -> Iterator[tuple[str, set[str]]]:
    """The models that functions read, each with the attributes that its function looks at."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            attributes = [node for node in ast.walk(function) if isinstance(node, ast.Attribute)]
            for node in attributes:
                if node.attr == "from_dict" and isinstance(node.value, ast.Name):
                    yield node.value.id, {each.attr for each in attributes}


def unread(tree: ast.AST) -> set[tuple[str, str]]:
    """The fields of models that are not read where the model is."""
    return {
        (model, field.name)
        for model, read in readers(tree)
        for field in attrs.fields(getattr(requence_api.models, model))
        if field.name not in read | {"additional_properties"}
    }


def test_each_operation_is_called(contract: dict[str, Any]) -> None:
    described = {each["operationId"] for methods in contract["paths"].values() for each in methods.values()}
    assert calls(TREE) == described - NOT_CALLED
    assert described >= NOT_CALLED


def test_each_field_of_an_answer_is_read() -> None:
    assert {model for model, _ in readers(TREE)} == set(ANSWERS)
    assert unread(TREE) == NOT_READ


def test_what_is_not_read_would_be_found() -> None:
    text = SEAM.read_text("utf-8").replace("optional_text(state.status_text)", "None")
    assert unread(ast.parse(text)) - unread(TREE) == {("TaskState", "status_text")}


@pytest.fixture
def api() -> Iterator[Api]:
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: 1)
    with LocalServer(template) as server, Api(server.access_token) as api:
        yield api


def test_the_local_server_answers_with_each_field(contract: dict[str, Any], api: Api) -> None:
    prepared = api.http.post("/task/prepare/t").json()
    body = {"name": None, "input": None, "priority": 5, "requireAck": False}
    started = api.http.post(prepared["finalizeUrl"], json=body).json()
    list(api.watch(prepared["taskId"]))
    given = dict(zip(ANSWERS, (prepared, started, api.get(prepared["taskId"])), strict=True))
    schemas = contract["components"]["schemas"]
    missing = {name: set(schemas[name]["properties"]) - set(answer) for name, answer in given.items()}
    assert missing == {name: set() for name in ANSWERS}
