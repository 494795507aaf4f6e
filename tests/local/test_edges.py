"""The ways out of nodes and into others: the first of several, named outputs, named exits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.local.api import data_of, outline
from tests.local.conftest import Serve
from tests.local.contract import fits

from requence.local import NodeContext, TaskTemplate, any_of


@pytest.fixture
def template() -> TaskTemplate:
    return TaskTemplate("t")


def give(value: Any) -> Callable[[NodeContext], Any]:
    return lambda ctx: value


def echo(ctx: NodeContext) -> Any:
    return ctx.input


def fail(ctx: NodeContext) -> None:
    raise ValueError("no")


def test_an_or_node_fires_once_with_what_came_first(template: TaskTemplate, serve: Serve) -> None:
    go = threading.Event()
    quick = template.node("quick")(give("quick"))
    slow = template.node("slow")(lambda ctx: go.wait(10) and "slow")

    @template.node(after=any_of(slow, quick))
    def first(ctx: NodeContext) -> Any:
        go.set()
        return [ctx.input]

    both = template.node("both", after=[first, slow])(echo)
    template.exit(after=both)
    events = serve(template).run("t")
    assert events[-1].payload["result"] == {"first": ["quick"], "slow": "slow"}
    assert outline(events).count("nodeStart first") == 1
    ors = [event for event in events if event.payload.get("node", {}).get("type") == "or"]
    # Without an alias it shows no data in the task, and says no alias rather than null.
    assert [(event.name, "alias" in event.payload["node"]) for event in ors] == [
        ("nodeStart", False),
        ("nodeUpdate", False),
        ("nodeEnd", False),
    ]
    assert len({event.payload["node"]["id"] for event in ors}) == 1
    assert fits("NodeUpdateEvent", ors[1].payload)


def test_an_or_node_with_an_alias_shows_its_data_and_can_stand_in_a_list(
    template: TaskTemplate, serve: Serve
) -> None:
    bad = template.node("bad")(fail)
    good = template.node("good", after=bad.on_fail)(give(1))
    template.node("last", after=[good, any_of(bad, any_of(bad.on_fail), alias="either")])(echo)
    api = serve(template)
    events = api.run("t")
    failure = {"node": "bad", "error": "no"}
    assert data_of(events, "last") == {"good": 1, "either": failure}
    data = {entry["alias"]: entry["data"] for entry in api.get(events[0].payload["taskId"])["nodesData"]}
    assert data == {"good": 1, "either": failure, "last": {"good": 1, "either": failure}}


def test_an_or_node_that_nothing_reaches_never_runs(template: TaskTemplate, serve: Serve) -> None:
    bad = template.node("bad")(fail)
    template.node("rescue", after=bad.on_fail)(echo)
    template.exit(after=any_of(bad, template.node("other", after=bad)(echo)))
    last = serve(template).run("t")[-1]
    assert last.payload["reason"] == (
        'The task ran out of nodes before its exit, which waits for any of "bad", "other".'
    )


def test_what_follows_an_output_gets_what_went_there(template: TaskTemplate, serve: Serve) -> None:
    @template.node
    def sort(ctx: NodeContext) -> Any:
        for name, value in ctx.input:
            ctx.to_output(name, value)

    for name in ("small", "big"):
        template.node(name, after=sort.output(name))(echo)
    template.node("plain", after=sort)(echo)
    api = serve(template)

    events = api.run("t", [["small", 1], ["small", 2]])
    assert outline(events) == [
        "taskStart",
        "nodeStart sort",
        "nodeUpdate sort",
        "nodeUpdate sort",
        "nodeEnd sort",
        "nodeStart small",
        "nodeUpdate small",
        "nodeEnd small",
        "taskEnd",
    ]
    updates = [(e.payload["output"], e.payload["data"]) for e in events if e.name == "nodeUpdate"]
    assert updates == [("small", 1), ("small", 2), (None, 2)]
    assert events[-1].payload["result"] == {"small": 2}
    assert api.run("t", [["small", 3], ["big", 4]])[-1].payload["result"] == {"small": 3, "big": 4}
    # A handler that uses no output has delivered to the one without a name, be it None.
    assert api.run("t", [])[-1].payload["result"] == {"plain": None}


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("pdf", {1}, 'output "pdf" is of type set, which JSON cannot express'),
        ("", 1, "The name of an output must be text, not ''"),
        (None, 1, "The name of an output must be text, not None"),
    ],
)
def test_an_output_that_cannot_be_is_told_to_the_handler(
    template: TaskTemplate, serve: Serve, name: Any, value: Any, error: str
) -> None:
    template.node("n")(lambda ctx: ctx.to_output(name, value))
    assert serve(template).run("t")[-1].payload["reason"] == error


def test_the_first_named_exit_that_is_reached_ends_the_task(template: TaskTemplate, serve: Serve) -> None:
    left = threading.Event()

    @template.node
    def slow(ctx: NodeContext) -> None:
        ctx.terminated.wait(20)
        left.set()

    @template.node
    def quick(ctx: NodeContext) -> Any:
        ctx.to_output(ctx.input, "went there")

    template.exit("small", after=quick.output("small"))
    template.exit("big", after=[quick.output("big")])
    template.exit(after=slow)
    api = serve(template)
    events = api.run("t", "big")
    assert events[-1].name == "taskEnd"
    assert events[-1].payload["exit"] == "big"
    assert events[-1].payload["result"] == {"quick": "went there"}
    assert left.wait(10)
    assert api.run("t", "small")[-1].payload["exit"] == "small"


def test_the_exit_without_a_name_counts_when_no_other_was_reached(
    template: TaskTemplate, serve: Serve
) -> None:
    node = template.node("n")(lambda ctx: ctx.abort("no") if ctx.input else "fine")
    template.exit("trouble", after=node.on_fail)
    template.exit(after=node)
    api = serve(template)
    ends = [api.run("t", value)[-1].payload for value in (False, True)]
    assert [(end["exit"], end["result"]) for end in ends] == [
        (None, "fine"),
        ("trouble", {"node": "n", "error": "no"}),
    ]


def test_named_exits_that_are_missed_are_named(template: TaskTemplate, serve: Serve) -> None:
    node = template.node("n")(give(1))
    template.exit("pdf", after=node.output("pdf"))
    template.exit("trouble", after=node.on_fail)
    assert serve(template).run("t")[-1].payload["reason"] == (
        'The task ran out of nodes before the exit "pdf", which waits for the output "pdf" of "n"; '
        'the exit "trouble", which waits for the failure of "n".'
    )


@pytest.mark.parametrize("name", ["done", None])
def test_a_result_that_does_not_meet_the_schema_of_its_exit_fails_the_task(
    template: TaskTemplate, serve: Serve, name: str | None
) -> None:
    node = template.node("n")(echo)
    schema = {"type": "object", "properties": {"count": {"type": "integer"}}}
    template.exit(name, after=node, output_schema=schema)
    api = serve(template)
    assert api.run("t", {"count": 1})[-1].payload["exit"] == name
    last = api.run("t", {"count": "one"})[-1]
    which = 'the exit "done"' if name else "the exit"
    assert last.name == "taskError"
    assert last.payload["reason"] == (
        f"The result does not fit the output_schema of {which}: result.count: 'one' is not of type 'integer'"
    )
