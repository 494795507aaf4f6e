"""A template's plan as a frozen value, and the rules by which a task walks through it. Pure.

A node's edges say after which outcomes of which nodes it runs. All edges of a node must come true (AND), but for
an Or node, which runs by the first one. An edge whose node took another way (failed instead of succeeded, never
took that output, or never ran) can never come true, so the node behind it never runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from requence.local.context import NodeContext

__all__ = [
    "Edge",
    "Ending",
    "Exit",
    "Graph",
    "Handler",
    "Inlet",
    "Join",
    "NodeKind",
    "NodePlan",
    "Outcome",
    "Way",
    "received",
]

# What a handler returns is the user's own data; it is checked to be JSON when it arrives.
Handler: TypeAlias = "Callable[[NodeContext], Any]"
NodeKind: TypeAlias = Literal["service", "or", "reference"]
Way: TypeAlias = Literal["success", "failure"]
Join: TypeAlias = Literal["single", "all", "first"]


@dataclass(frozen=True, slots=True)
class Edge:
    """One way out of a node.

    Attributes:
        node: The node's key.
        way: Whether it is taken when the node succeeds or when it fails.
        output: On success, the node's output; None is the one that takes what a handler returns.
    """

    node: str
    way: Way = "success"
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Inlet:
    """What leads into a node or into an exit.

    Attributes:
        edges: At least one.
        join: How they come together, and what arrives: "single" (there is one edge, and what it carries arrives),
            "all" (all must come true, a dict by key arrives), "first" (the first one, and what that carries).
    """

    edges: tuple[Edge, ...]
    join: Join


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node of the plan.

    Attributes:
        key: What tells it from the other nodes of its template: its alias, or its id if it has none.
        id: Its id on the wire, the same in every task of its template.
        kind: Its type on the wire.
        alias: The name under which its data is shown, or None.
        inlet: What leads into it; None for an entry node.
        handler: What a service node calls.
        configuration: What its handler is given as `ctx.configuration`, as JSON text.
        subtask: The name of the template that a reference node starts.
        delay: How many seconds pass before the handler is called, once it has its place.
    """

    key: str
    id: str
    kind: NodeKind
    alias: str | None
    inlet: Inlet | None
    handler: Handler | None = None
    configuration: str = "null"
    subtask: str | None = None
    delay: float = 0

    @property
    def told(self) -> dict[str, str]:
        """The node as events tell it."""
        told = {"id": self.id, "type": self.kind}
        return told if self.alias is None else {**told, "alias": self.alias}


@dataclass(frozen=True, slots=True)
class Exit:
    """A way out of the task. The task ends at once when it reaches an exit with a name."""

    name: str | None
    inlet: Inlet
    output_schema: Mapping[str, object] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a node ended.

    Attributes:
        outputs: On success the JSON text of the last value of each output that was taken. None is the output that
            takes what a handler returns. There may be none: the node was skipped.
        error: On failure its text for people.
    """

    outputs: Mapping[str | None, str] = field(default_factory=dict[str | None, str])
    error: str | None = None

    @staticmethod
    def succeeded(text: str) -> Outcome:
        """Returns the outcome of a node that has delivered this JSON text and nothing else."""
        return Outcome({None: text})

    @staticmethod
    def failed(error: str) -> Outcome:
        """Returns the outcome of a node that failed."""
        return Outcome(error=error)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a task ends: with a result, at an exit perhaps, or with the reason why there is none."""

    result: Any = None
    exit: Exit | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """The plan of a template. `nodes` is ordered as declared, so every node comes after its predecessors."""

    name: str
    nodes: Mapping[str, NodePlan]
    exits: Sequence[Exit] = ()
    input_schema: Mapping[str, object] | None = field(default=None, repr=False)

    def ready(self, outcomes: Mapping[str, Outcome], begun: Collection[str]) -> list[NodePlan]:
        """Returns the nodes that can run now: not begun yet, with their edges come true."""
        return [
            node
            for key, node in self.nodes.items()
            if key not in begun and key not in outcomes and _open(node.inlet, outcomes)
        ]

    def goes_on_after_failure(self, key: str) -> bool:
        """Returns whether something is connected to the failure of this node."""
        return any(edge.node == key and edge.way == "failure" for edge in self._connected())

    def reached(self, outcomes: Mapping[str, Outcome]) -> Ending | None:
        """Returns how a task ends at once because it has reached an exit with a name; None if it goes on."""
        for way_out in self.exits:
            if way_out.name is not None and _open(way_out.inlet, outcomes):
                return Ending(received(way_out.inlet, outcomes), way_out)
        return None

    def ending(self, outcomes: Mapping[str, Outcome]) -> Ending:
        """Returns how a task ends that has nothing left to run and has reached no exit with a name."""
        if not self.exits:
            return self._ending_at_leaves(outcomes)
        for way_out in self.exits:
            if _open(way_out.inlet, outcomes):
                return Ending(received(way_out.inlet, outcomes), way_out)
        waiting = "; ".join(self._waits(way_out, outcomes) for way_out in self.exits)
        return Ending(failure=f"The task ran out of nodes before {waiting}.")

    def data_of(self, key: str, outcome: Outcome) -> str | None:
        """Returns the data of a node that has ended, as JSON text; None if it has none.

        That of a sub task is its result, at whichever exit it ended.
        """
        if key in self.nodes and self.nodes[key].kind == "reference":
            return next(iter(outcome.outputs.values()), None)
        return outcome.outputs.get(None)

    def leaves(self) -> list[str]:
        """Returns the keys of the nodes whose success leads nowhere."""
        connected = {edge.node for edge in self._connected() if edge.way == "success"}
        return [key for key in self.nodes if key not in connected]

    def _ending_at_leaves(self, outcomes: Mapping[str, Outcome]) -> Ending:
        leaves = self.leaves()
        ended = [leaf for leaf in leaves if leaf in outcomes and outcomes[leaf].error is None]
        if not ended:
            names = ", ".join(f'"{leaf}"' for leaf in leaves)
            return Ending(
                failure=f"The task ran out of nodes before it reached an end: {names} never succeeded."
            )
        # One that was skipped, or took other outputs only, has come to its end, but has nothing to show.
        texts = {leaf: self.data_of(leaf, outcomes[leaf]) for leaf in ended}
        values = {leaf: json.loads(text) for leaf, text in texts.items() if text is not None}
        return Ending(values.get(leaves[0]) if len(leaves) == 1 else values)

    def _waits(self, way_out: Exit, outcomes: Mapping[str, Outcome]) -> str:
        which = "its exit" if way_out.name is None else f'the exit "{way_out.name}"'
        missing = [self._described(edge) for edge in way_out.inlet.edges if not _holds(edge, outcomes)]
        return f"{which}, which waits for {', '.join(missing)}"

    def _described(self, edge: Edge) -> str:
        node = self.nodes[edge.node]
        if node.alias is None and node.inlet is not None:  # an Or node
            return f"any of {', '.join(self._described(inner) for inner in node.inlet.edges)}"
        if edge.way == "failure":
            return f'the failure of "{edge.node}"'
        return f'"{edge.node}"' if edge.output is None else f'the output "{edge.output}" of "{edge.node}"'

    def _connected(self) -> set[Edge]:
        inlets = [node.inlet for node in self.nodes.values()] + [way_out.inlet for way_out in self.exits]
        return {edge for inlet in inlets if inlet is not None for edge in inlet.edges}


def received(inlet: Inlet, outcomes: Mapping[str, Outcome]) -> Any:
    """Returns what arrives at an inlet that is open: fresh copies, nobody shares them."""
    if inlet.join == "all":
        return {edge.node: _carried(edge, outcomes) for edge in inlet.edges}
    return _carried(next(edge for edge in inlet.edges if _holds(edge, outcomes)), outcomes)


def _carried(edge: Edge, outcomes: Mapping[str, Outcome]) -> Any:
    outcome = outcomes[edge.node]
    if edge.way == "failure":
        return {"node": edge.node, "error": outcome.error}
    return json.loads(outcome.outputs[edge.output])


def _open(inlet: Inlet | None, outcomes: Mapping[str, Outcome]) -> bool:
    if inlet is None:
        return True
    hold = any if inlet.join == "first" else all
    return hold(_holds(edge, outcomes) for edge in inlet.edges)


def _holds(edge: Edge, outcomes: Mapping[str, Outcome]) -> bool:
    outcome = outcomes.get(edge.node)
    if outcome is None:
        return False
    return outcome.error is not None if edge.way == "failure" else edge.output in outcome.outputs
