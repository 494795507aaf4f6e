"""The plans that a server can run, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from requence.exceptions import ConfigurationError
from requence.local.graph import Graph
from requence.local.refusals import UnknownTemplateError
from requence.local.template import TaskTemplate

__all__ = ["Catalogue", "plans"]


class Catalogue:
    """What was served from the beginning, and what has come since: more templates, and stubs in their place.

    A task that runs keeps the plan that it began with.
    """

    def __init__(self, graphs: Mapping[str, Graph]) -> None:
        self._from_the_beginning = dict(graphs)
        self._served = dict(graphs)
        self._stubs: dict[str, Graph] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._stubs or name in self._served

    def __getitem__(self, name: str) -> Graph:
        """Returns the plan of this name.

        Raises:
            UnknownTemplateError: There is none.
        """
        graph = self._stubs.get(name) or self._served.get(name)
        if graph is None:
            known = ", ".join(f'"{name}"' for name in self.names()) or "none"
            raise UnknownTemplateError(f'There is no task template named "{name}". This server has: {known}')
        return graph

    def names(self) -> list[str]:
        """Returns the names of all that can be started."""
        return list(dict.fromkeys([*self._served, *self._stubs]))

    def declared(self) -> list[Graph]:
        """Returns the plans as their templates say; a stub counts where there is no template of its name."""
        stubs = [graph for name, graph in self._stubs.items() if name not in self._served]
        return [*self._served.values(), *stubs]

    def serve(self, graph: Graph) -> None:
        """Serves one more plan from now on; a stub of its name stays in its place."""
        self._served[graph.name] = graph
        if (stub := self._stubs.get(graph.name)) is not None:
            self.stub(stub)

    def stub(self, graph: Graph) -> None:
        """Serves this plan from now on in the place of what had its name, whose input schema counts still."""
        real = self._served.get(graph.name)
        self._stubs[graph.name] = graph if real is None else replace(graph, input_schema=real.input_schema)

    def reset(self) -> None:
        """Serves again what was served from the beginning."""
        self._served = dict(self._from_the_beginning)
        self._stubs.clear()


def plans(templates: Sequence[object], who: str) -> dict[str, Graph]:
    """Returns the plans of templates by name, and those of their sub tasks, which are served without being named.

    Args:
        templates: The templates.
        who: Who takes them, for errors.

    Raises:
        ConfigurationError: One is no `TaskTemplate`, or has no nodes, or two have the same name.
    """
    graphs: dict[str, Graph] = {}
    served: dict[str, TaskTemplate] = {}
    for template in templates:
        if not isinstance(template, TaskTemplate):
            raise ConfigurationError(f"{who} takes TaskTemplates, not {type(template).__name__}")
        if template.name in served:
            raise ConfigurationError(f'Two templates have the name "{template.name}"')
        served[template.name] = template
    waiting = list(served.values())
    for template in waiting:
        graphs[template.name] = template.graph()
        for inner in template.subtemplates:
            known = served.setdefault(inner.name, inner)
            if known is not inner:
                raise ConfigurationError(f'Two templates have the name "{inner.name}"')
            if inner not in waiting:
                waiting.append(inner)
    return graphs
