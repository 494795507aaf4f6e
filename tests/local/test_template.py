"""Templates are checked when they are written, not when a task runs into them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from requence.exceptions import ConfigurationError
from requence.local import LocalServer, NodeContext, TaskTemplate, any_of
from requence.task import Task


def nothing(ctx: NodeContext) -> None:
    return None


def handler(ctx: NodeContext) -> Any:
    return ctx.input


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


def any_of_nothing(template: TaskTemplate, other: TaskTemplate) -> None:
    any_of()


def any_of_functions(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("b", after=any_of(nothing))(nothing)  # type: ignore[arg-type]


def any_of_foreigners(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("b", after=any_of(other.node("far")(nothing)))(nothing)


def any_of_without_name_in_a_list(template: TaskTemplate, other: TaskTemplate) -> None:
    node = template.node("c")(nothing)
    template.node("b", after=[node, any_of(node, node.on_fail)])(nothing)


def any_of_with_an_alias_that_is_taken(template: TaskTemplate, other: TaskTemplate) -> None:
    node = template.node("c")(nothing)
    template.node("b", after=any_of(node, node.on_fail, alias="a"))(nothing)


def list_in_a_list(template: TaskTemplate, other: TaskTemplate) -> None:
    node = template.node("c")(nothing)
    template.node("b", after=[[node]])(nothing)  # type: ignore[list-item]


def foreign_output(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("b", after=other.node("far")(nothing).output("pdf"))(nothing)


def output_without_name(template: TaskTemplate, other: TaskTemplate) -> None:
    TaskTemplate("u").node("a")(nothing).output("")


def exit_named_twice(template: TaskTemplate, other: TaskTemplate) -> None:
    node = template.node("b")(nothing)
    template.exit("done", after=node)
    template.exit("done", after=node.on_fail)


def exit_without_a_readable_name(template: TaskTemplate, other: TaskTemplate) -> None:
    template.exit(" ", after=template.node("b")(nothing))


def exit_with_a_bad_schema(template: TaskTemplate, other: TaskTemplate) -> None:
    template.exit("done", after=template.node("b")(nothing), output_schema={"type": "objekt"})


def configuration_that_is_not_json(template: TaskTemplate, other: TaskTemplate) -> None:
    template.node("b", configuration={"x": {1}})(nothing)


def subtask_of_itself(template: TaskTemplate, other: TaskTemplate) -> None:
    template.subtask("b", template)


def subtask_of_what_contains_it(template: TaskTemplate, other: TaskTemplate) -> None:
    middle = TaskTemplate("middle")
    other.subtask("up", template)
    middle.subtask("over", other)
    template.subtask("b", middle)


def subtask_of_no_template(template: TaskTemplate, other: TaskTemplate) -> None:
    template.subtask("b", "other")  # type: ignore[arg-type]


def subtask_alias_that_is_taken(template: TaskTemplate, other: TaskTemplate) -> None:
    template.subtask("a", other)


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
        (any_of_nothing, ["any_of()", "at least one"]),
        (any_of_functions, ['"b"', '"nothing"', "not a node"]),
        (any_of_foreigners, ['"b"', '"far"', '"other"', '"t"']),
        (any_of_without_name_in_a_list, ['"b"', "any_of", "alias="]),
        (any_of_with_an_alias_that_is_taken, ['"t"', '"a"', "already"]),
        (list_in_a_list, ['"b"', "a list in it", "any_of"]),
        (foreign_output, ['"b"', '"far"', '"other"', '"t"']),
        (output_without_name, ["output", '"a"', "''"]),
        (exit_named_twice, ['"t"', 'exit "done" already']),
        (exit_without_a_readable_name, ["name of an exit", "' '"]),
        (exit_with_a_bad_schema, ['"t"', "output_schema", "'objekt'"]),
        (configuration_that_is_not_json, ['"b"', 'configuration["x"]', "set"]),
        (subtask_of_itself, ['"t" → "t"', "contain itself"]),
        (subtask_of_what_contains_it, ['"t" → "middle" → "other" → "t"']),
        (subtask_of_no_template, ['"b"', "TaskTemplate", "str"]),
        (subtask_alias_that_is_taken, ['"t"', '"a"', "already"]),
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


def test_what_follows_a_sub_task_follows_exits_that_there_are() -> None:
    inner = TaskTemplate("inner")
    node = inner.node("n")(nothing)
    inner.exit("good", after=node)
    inner.exit("bad", after=node.on_fail)
    outer = TaskTemplate("outer")
    sub = outer.subtask("sub", inner)
    outer.node("a", after=sub.output("good"))(nothing)
    assert list(outer.graph().nodes) == ["sub", "a"]
    outer.node("b", after=sub.output("god"))(nothing)
    with pytest.raises(ConfigurationError) as caught:
        outer.graph()
    assert caught.value.message == (
        'Something in the template "outer" follows the exit "god" of the sub task "sub", '
        'but the exits of "inner" are: "good", "bad"'
    )
    plain = TaskTemplate("plain")
    plain.node("a", after=plain.subtask("sub", inner))(nothing)
    with pytest.raises(ConfigurationError, match='an exit without a name of the sub task "sub"'):
        LocalServer(plain)


def test_two_templates_of_one_name_are_refused_also_as_sub_tasks() -> None:
    outer, inner, other = (TaskTemplate(name) for name in ("outer", "t", "t"))
    for template in (inner, other):
        template.node("n")(nothing)
    outer.subtask("sub", inner)
    with pytest.raises(ConfigurationError, match='Two templates have the name "t"'):
        LocalServer(other, outer)


def test_one_or_node_serves_all_who_wait_for_the_same() -> None:
    template = TaskTemplate("t")
    a, b = template.node("a")(nothing), template.node("b")(nothing)
    template.node("c", after=any_of(a, b))(nothing)
    template.node("d", after=any_of(a, b))(nothing)
    template.node("e", after=any_of(a, b, alias="first"))(nothing)
    kinds = [(node.kind, node.alias) for node in template.graph().nodes.values()]
    assert kinds == [
        ("service", "a"),
        ("service", "b"),
        ("or", None),
        ("service", "c"),
        ("service", "d"),
        ("or", "first"),
        ("service", "e"),
    ]


def test_what_is_refused_leaves_no_or_node_behind() -> None:
    t = TaskTemplate("t")
    first, second = t.node("first")(handler), t.node("second")(handler)
    either = any_of(first, second, alias="either")
    with pytest.raises(ConfigurationError, match="has a node"):
        t.node("either", after=either)(handler)
    with pytest.raises(ConfigurationError, match="twice"):
        t.exit(after=[either, either])
    assert list(t.graph().nodes) == ["first", "second"]


def test_templates_that_use_others_twice_at_each_level_are_built_at_once() -> None:
    inner = TaskTemplate("0")
    inner.node("n")(handler)
    other = inner
    for level in range(1, 40):  # each plan once, not 2^40 of them
        outer = TaskTemplate(str(level)), TaskTemplate(f"{level} too")
        for template in outer:
            template.subtask("a", inner)
            template.subtask("b", other)
        inner, other = outer
    assert list(inner.graph().nodes) == ["a", "b"]
    with LocalServer(inner) as server:
        assert "39" in repr(server)


def nested(levels: int) -> TaskTemplate:
    """A template with so many levels of sub tasks below it; its name says how many."""
    template = TaskTemplate("0")
    template.node("n")(handler)
    for level in range(1, levels + 1):
        outer = TaskTemplate(str(level))
        outer.subtask("sub", template)
        template = outer
    return template


def test_what_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='sub tasks of the template "50" are nested deeper than 50'):
        LocalServer(nested(50))
    t = TaskTemplate("t")
    either = any_of(t.node("n")(handler))
    for _ in range(2000):
        either = any_of(either)
    with pytest.raises(ConfigurationError, match=r'any_of.* of the node "after" is nested too deeply'):
        t.node("after", after=either)(handler)
    assert list(t.graph().nodes) == ["n"]


def test_the_deepest_sub_tasks_work() -> None:
    with LocalServer(nested(49), workers=1) as server:
        task = Task("49", {"a": 1}, client=server.client)
        assert task.sync.result.result == {"a": 1}
