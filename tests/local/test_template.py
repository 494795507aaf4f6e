"""Templates are checked when they are written, not when a task runs into them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from requence.exceptions import ConfigurationError
from requence.local import NodeContext, TaskTemplate


def nothing(ctx: NodeContext) -> None:
    return None


def test_the_three_ways_to_declare_a_node() -> None:
    template = TaskTemplate("t")

    @template.node
    def bare(ctx: NodeContext) -> int:
        return 1

    @template.node()
    def called(ctx: NodeContext) -> int:
        return 2

    @template.node("named", after=[bare, called])
    def other(ctx: NodeContext) -> int:
        return 3

    assert list(template.graph().nodes) == ["bare", "called", "named"]
    assert [bare.alias, called.alias, other.alias] == ["bare", "called", "named"]


async def test_a_node_is_still_its_function() -> None:
    template = TaskTemplate("t")

    @template.node
    def double(ctx: NodeContext) -> int:
        number: int = ctx.input
        return 2 * number

    @template.node(after=double)
    async def triple(ctx: NodeContext) -> int:
        number: int = ctx.input
        return 3 * number

    assert double(NodeContext(4)) == 8
    assert await triple(NodeContext(4)) == 12


def duplicate(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("a")(nothing)


def plain_function(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("b", after=nothing)(nothing)  # type: ignore[call-overload]


def text_for_a_node(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("b", after="a")(nothing)  # type: ignore[arg-type]


def foreign_node(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("b", after=other.node("far")(nothing))(nothing)


def foreign_failure(template: TaskTemplate, other: TaskTemplate) -> None:
    template.exit(after=[other.node("far")(nothing).on_fail])


def no_predecessors(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("b", after=[])(nothing)


def both_ways_of_one_node(template: TaskTemplate, other: TaskTemplate) -> None:
    node = template.node("b")(nothing)
    template.node("c", after=[node, node.on_fail])(nothing)


def empty_alias(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node(" ")(nothing)


def no_alias(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node(lambda ctx: None)


def partial_without_alias(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node()(functools.partial(nothing))


def second_exit(template: TaskTemplate, other: TaskTemplate) -> None:
    node = template.node("b")(nothing)
    template.exit(after=node)
    template.exit(after=node)


def no_parameter(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("b")(lambda: None)  # type: ignore[arg-type, misc]


def generator(template: TaskTemplate, other: TaskTemplate) -> None:
    def values(ctx: NodeContext) -> Any:
        yield 1

    template.node(values)


def no_function(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("b")(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("declare", "names"),
    [
        (duplicate, ['"t"', '"a"', "already"]),
        (plain_function, ['"b"', '"nothing"', "not a node"]),
        (text_for_a_node, ['"b"', '"a"', "the node itself"]),
        (foreign_node, ['"b"', '"far"', '"other"', '"t"']),
        (foreign_failure, ["the exit", '"far"', '"other"', '"t"']),
        (no_predecessors, ['"b"', "empty"]),
        (both_ways_of_one_node, ['"c"', '"b"', "twice"]),
        (empty_alias, ["alias", "' '"]),
        (no_alias, ["alias"]),
        (partial_without_alias, ["alias"]),
        (second_exit, ['"t"', "exit already"]),
        (no_parameter, ['"b"', "one argument"]),
        (generator, ['"values"', "generator"]),
        (no_function, ['"b"', "int"]),
    ],
)
def test_what_cannot_work_is_refused_and_named(
    declare: Callable[[TaskTemplate, TaskTemplate], None], names: list[str]
) -> None:
    template, other = TaskTemplate("t"), TaskTemplate("other")
    template.node("a")(nothing)
    with pytest.raises(ConfigurationError) as caught:
        declare(template, other)
    for name in names:
        assert name in caught.value.message


@pytest.mark.parametrize("name", ["", "  ", ".", "..", "a\nb", "\ud800", 5])
def test_a_template_needs_a_name_that_fits_into_a_url(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="template"):
        TaskTemplate(name)


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"type": "objekt"}, "'objekt'"),
        ({"properties": {"path": {"type": 5}}}, "path"),
        ({"pattern": "("}, "regex"),
        (["object"], "dict"),
    ],
)
def test_an_invalid_input_schema_is_refused(schema: Any, named: str) -> None:
    with pytest.raises(ConfigurationError, match="input_schema") as caught:
        TaskTemplate("t", schema)
    assert named in caught.value.message
    assert '"t"' in caught.value.message


def test_a_graph_is_frozen() -> None:
    template = TaskTemplate("t")
    with pytest.raises(ConfigurationError, match="no nodes"):
        template.graph()
    first = template.node("a")(nothing)
    graph = template.graph()
    template.node("b", after=first)(nothing)
    assert list(graph.nodes) == ["a"]
    with pytest.raises(TypeError):
        graph.nodes["c"] = graph.nodes["a"]  # type: ignore[index]
