"""The rules by which a task walks through its plan: pure, so each case is a line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from requence.local.graph import Edge, Exit, Graph, Inlet, NodePlan, Outcome, received


def done(value: Any) -> Outcome:
    return Outcome.succeeded(json.dumps(value))


def named(**outputs: Any) -> Outcome:
    return Outcome({name: json.dumps(value) for name, value in outputs.items()})


SKIPPED, FAILED = Outcome(), Outcome.failed("no")
A, B, A_FAILS, A_PDF = Edge("a"), Edge("b"), Edge("a", "failure"), Edge("a", output="pdf")


def plan(inlet: Inlet | None, *exits: Exit) -> Graph:
    """Two entry nodes, a and b, and c behind them."""
    inlets = {"a": None, "b": None, "c": inlet}
    nodes = {key: NodePlan(key, key, "service", key, way) for key, way in inlets.items()}
    return Graph("t", nodes, exits)


@pytest.mark.parametrize(
    ("inlet", "a", "b", "runs"),
    [
        (Inlet((A,), "single"), None, None, False),
        (Inlet((A,), "single"), done(1), None, True),
        (Inlet((A,), "single"), FAILED, None, False),
        (Inlet((A,), "single"), SKIPPED, None, False),
        (Inlet((A,), "single"), named(pdf=1), None, False),
        (Inlet((A_PDF,), "single"), named(pdf=1), None, True),
        (Inlet((A_PDF,), "single"), done(1), None, False),
        (Inlet((A_FAILS,), "single"), FAILED, None, True),
        (Inlet((A_FAILS,), "single"), SKIPPED, None, False),
        (Inlet((A, B), "all"), done(1), None, False),
        (Inlet((A, B), "all"), done(1), FAILED, False),
        (Inlet((A, B), "all"), done(1), done(2), True),
        (Inlet((A, B), "first"), None, None, False),
        (Inlet((A, B), "first"), FAILED, None, False),
        (Inlet((A, B), "first"), FAILED, done(2), True),
        (Inlet((A_FAILS, B), "first"), FAILED, None, True),
    ],
)
def test_when_a_node_can_run(inlet: Inlet, a: Outcome | None, b: Outcome | None, runs: bool) -> None:
    outcomes = {key: outcome for key, outcome in {"a": a, "b": b}.items() if outcome is not None}
    ready = [node.key for node in plan(inlet).ready(outcomes, {"a", "b"})]
    assert ready == (["c"] if runs else [])
    assert plan(inlet).ready(outcomes, {"a", "b", "c"}) == []


@pytest.mark.parametrize(
    ("inlet", "value"),
    [
        (Inlet((A,), "single"), [1]),
        (Inlet((A, B), "all"), {"a": [1], "b": 2}),
        (Inlet((A_PDF, B), "first"), 2),
        (Inlet((B, A), "first"), 2),
        (Inlet((A, B), "first"), [1]),
    ],
)
def test_what_arrives(inlet: Inlet, value: Any) -> None:
    outcomes = {"a": done([1]), "b": done(2)}
    assert received(inlet, outcomes) == value
    assert received(Inlet((A_FAILS,), "single"), {"a": FAILED}) == {"node": "a", "error": "no"}
    first = received(Inlet((A,), "single"), outcomes)
    first.append(9)
    assert received(Inlet((A,), "single"), outcomes) == [1]


def test_an_exit_with_a_name_ends_at_once_and_the_first_declared_counts() -> None:
    exits = [
        Exit(None, Inlet((A,), "single")),
        Exit("y", Inlet((A,), "single")),
        Exit("x", Inlet((B,), "single")),
    ]
    graph = plan(None, *exits)
    assert graph.reached({}) is None
    for outcomes, name in [({"b": done(2)}, "x"), ({"b": done(2), "a": done(1)}, "y")]:
        ending = graph.reached(outcomes)
        assert ending is not None
        assert ending.exit is not None
        assert ending.exit.name == name
    assert plan(None, exits[0]).reached({"a": done(1)}) is None
    assert plan(None, exits[0]).ending({"a": done(1)}).result == 1


@pytest.mark.parametrize(
    ("outcomes", "result", "failure"),
    [
        ({"a": done(1), "b": done(2), "c": done(3)}, {"b": 2, "c": 3}, False),
        ({"a": FAILED, "b": done(2)}, {"b": 2}, False),
        ({"a": done(1), "b": SKIPPED, "c": named(pdf=3)}, {}, False),
        ({"a": FAILED, "b": FAILED}, None, True),
    ],
)
def test_without_exits_the_leaves_make_the_result(
    outcomes: dict[str, Outcome], result: Any, failure: bool
) -> None:
    ending = plan(Inlet((A,), "single")).ending(outcomes)
    assert (ending.result, ending.failure is not None) == (result, failure)
