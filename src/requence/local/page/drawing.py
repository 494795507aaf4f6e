"""A plan as the page draws it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from requence.local.graph import Edge, Graph, Inlet
from requence.local.page.layout import Place, laid_out

__all__ = ["drawing"]


def drawing(graph: Graph) -> dict[str, Any]:
    """Returns the plan with the places of its boxes, as JSON.

    `columns` and `rows` tell its size. `nodes` and `exits` have their place (`column`, `row`) and the lines into
    them (`after`), each with its `node`, `way` and `output`, and the places in between (`via`).
    """
    numbers = {key: number for number, key in enumerate(graph.nodes)}
    inlets = [node.inlet for node in graph.nodes.values()] + [way_out.inlet for way_out in graph.exits]
    layout = laid_out([[numbers[edge.node] for edge in _edges(inlet)] for inlet in inlets])
    boxes = [
        {
            "column": place.column,
            "row": place.row,
            "join": None if inlet is None else inlet.join,
            "after": [_line(edge, way) for edge, way in zip(_edges(inlet), ways, strict=True)],
        }
        for inlet, place, ways in zip(inlets, layout.places, layout.ways, strict=True)
    ]
    nodes = [
        {"key": node.key, "kind": node.kind, "alias": node.alias, "subtask": node.subtask, **box}
        for node, box in zip(graph.nodes.values(), boxes, strict=False)
    ]
    exits = [
        {"name": way_out.name, **box} for way_out, box in zip(graph.exits, boxes[len(nodes) :], strict=True)
    ]
    return {"columns": layout.columns, "rows": layout.rows, "nodes": nodes, "exits": exits}


def _edges(inlet: Inlet | None) -> Sequence[Edge]:
    return () if inlet is None else inlet.edges


def _line(edge: Edge, way: Sequence[Place]) -> dict[str, Any]:
    via = [[place.column, place.row] for place in way]
    return {"node": edge.node, "way": edge.way, "output": edge.output, "via": via}
