"""A template's plan as a frozen value, and the rules by which a task walks through it. Pure.

A node's edges say after which outcomes of which nodes it runs. All edges of a node must come true (AND); an
edge whose node took the other way (failed instead of succeeded, or never ran) can never come true, so the node
behind it never runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from requence.local.context import NodeContext

__all__ = ["Edge", "Ending", "Graph", "Handler", "Inlet", "NodePlan", "Outcome", "Way", "received"]

# What a handler returns is the user's own data; it is checked to be JSON when it arrives.
Handler: TypeAlias = "Callable[[NodeContext], Any]"
Way: TypeAlias = Literal["success", "failure"]


@dataclass(frozen=True, slots=True)
class Edge:
    """One way out of a node."""

    alias: str
    way: Way


@dataclass(frozen=True, slots=True)
class Inlet:
    """What leads into a node or into the exit.

    Attributes:
        edges: At least one; all of them must come true.
        by_alias: Whether what arrives is a dict by alias (`after=[a, b]`) or a single value (`after=a`).
    """

    edges: tuple[Edge, ...]
    by_alias: bool


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node of the plan; `inlet` is None for an entry node."""

    alias: str
    handler: Handler
    inlet: Inlet | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a node ended.

    Attributes:
        way: Whether it succeeded.
        content: On success the JSON text of its data, on failure the error's text for people.
    """

    way: Way
    content: str

    @property
    def value(self) -> Any:
        """The data, a fresh copy at each call; for a failure the error's text."""
        return json.loads(self.content) if self.way == "success" else self.content


@dataclass(frozen=True, slots=True)
class Ending:
    """How a task ends that has nothing left to run: with a result, or with the reason why there is none."""

    result: Any = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """The plan of a template. `nodes` is ordered as declared, so every node comes after its predecessors."""

    name: str
    nodes: Mapping[str, NodePlan]
    exit: Inlet | None
    input_schema: Mapping[str, object] | None = field(default=None, repr=False)

    def ready(self, outcomes: Mapping[str, Outcome], begun: Collection[str]) -> list[NodePlan]:
        """Returns the nodes that can run now: not begun yet, with every edge come true."""
        return [
            node
            for alias, node in self.nodes.items()
            if alias not in begun and alias not in outcomes and _open(node.inlet, outcomes)
        ]

    def goes_on_after_failure(self, alias: str) -> bool:
        """Returns whether something is connected to the failure of this node."""
        return Edge(alias, "failure") in self._connected()

    def ending(self, outcomes: Mapping[str, Outcome]) -> Ending:
        """Returns how a task ends whose nodes have these outcomes and that has nothing left to run."""
        if self.exit is not None:
            if _open(self.exit, outcomes):
                return Ending(result=received(self.exit, outcomes))
            missing = ", ".join(_described(edge) for edge in self.exit.edges if not _holds(edge, outcomes))
            return Ending(failure=f"The task ran out of nodes before its exit, which waits for {missing}.")
        leaves = self.leaves()
        reached = {leaf: outcomes[leaf] for leaf in leaves if _holds(Edge(leaf, "success"), outcomes)}
        if not reached:
            names = ", ".join(f'"{leaf}"' for leaf in leaves)
            return Ending(
                failure=f"The task ran out of nodes before it reached an end: {names} never succeeded."
            )
        if len(leaves) == 1:
            return Ending(result=reached[leaves[0]].value)
        return Ending(result={alias: outcome.value for alias, outcome in reached.items()})

    def leaves(self) -> list[str]:
        """Returns the nodes whose success leads nowhere."""
        connected = self._connected()
        return [alias for alias in self.nodes if Edge(alias, "success") not in connected]

    def _connected(self) -> set[Edge]:
        inlets = [node.inlet for node in self.nodes.values()] + [self.exit]
        return {edge for inlet in inlets if inlet is not None for edge in inlet.edges}


def received(inlet: Inlet, outcomes: Mapping[str, Outcome]) -> Any:
    """Returns what arrives at an inlet whose edges have all come true: fresh copies, nobody shares them."""
    if not inlet.by_alias:
        return _carried(inlet.edges[0], outcomes)
    return {edge.alias: _carried(edge, outcomes) for edge in inlet.edges}


def _carried(edge: Edge, outcomes: Mapping[str, Outcome]) -> Any:
    value = outcomes[edge.alias].value
    return {"node": edge.alias, "error": value} if edge.way == "failure" else value


def _open(inlet: Inlet | None, outcomes: Mapping[str, Outcome]) -> bool:
    return inlet is None or all(_holds(edge, outcomes) for edge in inlet.edges)


def _holds(edge: Edge, outcomes: Mapping[str, Outcome]) -> bool:
    outcome = outcomes.get(edge.alias)
    return outcome is not None and outcome.way == edge.way


def _described(edge: Edge) -> str:
    return f'"{edge.alias}"' if edge.way == "success" else f'the failure of "{edge.alias}"'
