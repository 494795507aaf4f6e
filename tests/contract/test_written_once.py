"""What the contract says is not said again by hand: its paths, and the models that are compiled from it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import attrs
import pytest
from tests.conftest import ROOT

import requence.local
import requence_api.models

TREES = {
    source: ast.parse(source.read_text("utf-8"))
    for source in sorted((ROOT / "src" / "requence").rglob("*.py"))
}
ROUTES = ROOT / "src" / "requence" / "local" / "app.py"

# Names that users of the local server know. They name other things than the models do: a node that is being
# described, and what a test asks about a task that was started.
PUBLIC = {"Node", "StartedTask"}


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The texts in a source but those of its route table, with their lines.

    What a formatted one fills in is left out of it.
    """
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    inner |= {id(part) for node in routed(tree) for part in node.args}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.lineno, node.value


def repeated(contract: dict[str, Any], text: str) -> bool:
    """Whether a text holds a path of the contract, or the beginning of one."""
    roots = "|".join(sorted({re.escape(path.split("/")[1]) for path in contract["paths"]}))
    return re.search(rf"(?<![\w-])(?:{roots})/|/(?:{roots})\Z", text) is not None


class Route(NamedTuple):
    """A line of the local server's route table."""

    method: str
    path: str
    token: bool


def routed(tree: ast.AST) -> Iterator[ast.Call]:
    return (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "route"
    )


def route_table(tree: ast.AST) -> list[Route]:
    return [
        Route(
            ast.literal_eval(node.args[1]),
            ast.literal_eval(node.args[2]),
            all(ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg == "token"),
        )
        for node in routed(tree)
    ]


def classes(tree: ast.AST) -> Iterator[tuple[str, frozenset[str]]]:
    """The classes in a source, with the names of their fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            fields = (each.target for each in node.body if isinstance(each, ast.AnnAssign))
            yield (
                node.name,
                frozenset(each.id.removesuffix("_") for each in fields if isinstance(each, ast.Name)),
            )


def copies(tree: ast.AST) -> list[str]:
    """The classes in a source whose fields are exactly those of a model. One field alone says too little."""
    models = [
        frozenset(field.name.removesuffix("_") for field in attrs.fields(getattr(requence_api.models, name)))
        - {"additional_properties"}
        for name in requence_api.models.__all__
    ]
    return [name for name, fields in classes(tree) if len(fields) > 1 and fields in models]


def test_no_source_repeats_a_path(contract: dict[str, Any]) -> None:
    """Paths come from the generated code, in the local server from the contract itself; only routes are named."""
    assert [source for source, tree in TREES.items() if any(routed(tree))] == [ROUTES]
    found = [
        f"{source.relative_to(ROOT)}:{line}: {text!r}"
        for source, tree in TREES.items()
        for line, text in texts(tree)
        if repeated(contract, text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"/task/prepare/{task_template}"', True),
        ('f"{base}/files/upload/{key}"', True),
        ('base + "/task" + rest', True),
        ('url.startswith("streams/")', True),
        ('f"{base}/task/"', True),
        ('"/tasks/{task_id}"', False),
        ('"a multitask/pair"', False),
        ('"no task"', False),
        ('route("prepare", "POST", "/task/prepare/{template}", f)', False),
        ('(route("prepare", "POST", "/task/{id}", f), "/task/{id}")', True),
    ],
)
def test_a_repeated_path_would_be_found(contract: dict[str, Any], source: str, expected: bool) -> None:
    assert any(repeated(contract, text) for _, text in texts(ast.parse(source))) is expected


def test_the_routes_are_the_contract(contract: dict[str, Any]) -> None:
    """Each operation has one route, with its method and path, and wants the token where the contract says so."""
    described = {
        Route(method.upper(), nameless(path), operation.get("security") != [])
        for path, operations in contract["paths"].items()
        for method, operation in operations.items()
    }
    routes = [route._replace(path=nameless(route.path)) for route in route_table(TREES[ROUTES])]
    assert len(routes) == len(set(routes))
    assert set(routes) == described


def nameless(path: str) -> str:
    """A path without the names of its parameters, which are everybody's own."""
    return re.sub(r"\{\w+\}", "{}", path)


def test_no_class_has_the_name_of_a_model() -> None:
    """Two classes of one name would be taken for each other, by readers and by those who import them."""
    ours = {name for tree in TREES.values() for name, _ in classes(tree)}
    assert ours & set(requence_api.models.__all__) == PUBLIC
    assert set(requence.local.__all__) >= PUBLIC


def test_no_class_has_the_fields_of_a_model() -> None:
    """A class that only copies a model would have to be changed with it, and would be forgotten.

    A class that says less, or more, or the same in other words is not taken for a copy: the seam to the generated
    code translates.
    """
    assert {source.name: found for source, tree in TREES.items() if (found := copies(tree))} == {}


def test_a_copy_of_a_model_would_be_found() -> None:
    source = """
class Mine:
    name: str | None
    input: object
    priority: int
    require_ack: bool = False
    def done(self) -> None: ...
"""
    assert copies(ast.parse(source)) == ["Mine"]
    assert copies(ast.parse(source.replace("priority: int", "urgency: int"))) == []
