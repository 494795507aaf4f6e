"""The plans that a server can run, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from requence.local.graph import Graph
from requence.local.refusals import UnknownTemplateError

__all__ = ["Catalogue"]


class Catalogue:
    """What was served from the beginning, and what was put in its place since.

    A task that runs keeps the plan that it began with.
    """

    def __init__(self, graphs: Mapping[str, Graph]) -> None:
        self._served = dict(graphs)
        self._instead: dict[str, Graph] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._instead or name in self._served

    def __getitem__(self, name: str) -> Graph:
        """Returns the plan of this name.

        Raises:
            UnknownTemplateError: There is none.
        """
        graph = self._instead.get(name) or self._served.get(name)
        if graph is None:
            names = dict.fromkeys([*self._served, *self._instead])
            known = ", ".join(f'"{name}"' for name in names) or "none"
            raise UnknownTemplateError(f'There is no task template named "{name}". This server has: {known}')
        return graph

    def declared(self) -> list[Graph]:
        """Returns the plans as their templates say; what was put counts where there is no template of its name."""
        put = [graph for name, graph in self._instead.items() if name not in self._served]
        return [*self._served.values(), *put]

    def put(self, graph: Graph) -> None:
        """Serves this plan from now on in the place of what had its name, whose input schema stays."""
        before = self._served.get(graph.name)
        schema = graph.input_schema if before is None else before.input_schema
        self._instead[graph.name] = replace(graph, input_schema=schema)

    def reset(self) -> None:
        """Serves again what was served from the beginning."""
        self._instead.clear()
