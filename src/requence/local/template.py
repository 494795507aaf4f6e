"""`TaskTemplate`: declares the nodes of a task, how they follow each other, and what it takes as input."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeVar, overload

from requence._brief import brief, listed
from requence.exceptions import ConfigurationError
from requence.local import plan
from requence.local.context import NodeContext
from requence.local.events import node_id
from requence.local.graph import Exit, Graph, Inlet, NodePlan
from requence.local.names import check_name
from requence.local.steps import After, Node, Subtask

__all__ = ["TaskTemplate"]

R = TypeVar("R")


class TaskTemplate:
    """The plan of a task: nodes with handlers, and edges between them.

    ```python
    digest = TaskTemplate("document-digest")

    @digest.node
    def read(ctx):
        return Path(ctx.input["path"]).read_text()

    @digest.node("words", after=read)
    def count_words(ctx):
        return len(ctx.input.split())
    ```

    A handler takes a `NodeContext` and returns a JSON value (tuples become lists); a plain function runs in a
    thread, an `async def` on the server's event loop. A generator delivers each value that it yields; what
    follows it runs when it has ended, with the last one. An exception makes its node fail. A node that fails ends
    the task, unless something follows its `on_fail`. The task ends when it reaches an exit with a name, or when
    nothing is left that could run.

    Nodes follow nodes that were declared before them, so no plan has a circle.

    Args:
        name: The template's name, by which tasks of it are started.
        input_schema: A JSON Schema (Draft 2020-12) that the input of every task must meet. Default: any input.

    Raises:
        ConfigurationError: The name cannot be used, or the schema is not valid.
    """

    def __init__(self, name: str, input_schema: Mapping[str, object] | None = None) -> None:
        check_name("template name", name)
        if name in (".", ".."):
            raise ConfigurationError(f"A template cannot be named {name!r}: it could not stand in a URL")
        self._name = name
        self._check_schema("input_schema", input_schema)
        self._input_schema = input_schema
        self._nodes: dict[str, NodePlan] = {}
        self._exits: dict[str | None, Exit] = {}
        self._subtasks: dict[str, TaskTemplate] = {}

    @property
    def name(self) -> str:
        """The template's name."""
        return self._name

    @property
    def subtemplates(self) -> list[TaskTemplate]:
        """The templates of its sub tasks, each once, without those that are further down."""
        return list(dict.fromkeys(self._subtasks.values()))

    @overload
    def node(self, handler: Callable[[NodeContext], R], /) -> Node[R]: ...

    @overload
    def node(
        self, alias: str | None = None, /, *, after: After | None = None, configuration: Any = None
    ) -> Callable[[Callable[[NodeContext], R]], Node[R]]: ...

    def node(
        self,
        alias_or_handler: str | Callable[[NodeContext], R] | None = None,
        /,
        *,
        after: After | None = None,
        configuration: Any = None,
    ) -> Node[R] | Callable[[Callable[[NodeContext], R]], Node[R]]:
        """Makes a function a node: `@t.node`, `@t.node()`, `@t.node("alias", after=…)`.

        Args:
            alias_or_handler: The node's alias; default: the function's name.
            after: What the node waits for: a node (its data becomes `ctx.input`), `node.on_fail`,
                `node.output("name")`, `any_of(…)`, or a list of these (all of them; `ctx.input` is a dict by
                alias). Default: nothing, the node is an entry node.
            configuration: Any JSON, which the handler finds in `ctx.configuration`. Default: None.

        Returns:
            The node, or a decorator that returns it.

        Raises:
            ConfigurationError: The alias is taken or empty, `after` names something that is not a node of this
                template, or the configuration is not JSON.
        """
        if alias_or_handler is None or isinstance(alias_or_handler, str):
            alias = alias_or_handler
            return lambda handler: self._add(handler, alias, after, configuration)
        return self._add(alias_or_handler, None, after, configuration)

    def subtask(self, alias: str, template: TaskTemplate, /, *, after: After | None = None) -> Subtask:
        """Adds a node that runs a task of another template and waits for its end.

        What arrives at the node is the input of the sub-task; its result is the node's data, at the output that
        has the name of the exit that the sub-task ended at. A sub-task that fails or is aborted makes the node
        fail, and aborting the task aborts it, too.

        Args:
            alias: The node's alias.
            template: What to run.
            after: What the node waits for, as for `node`.

        Raises:
            ConfigurationError: The alias is taken or empty, `after` names something that is not a node of this
                template, or this template would contain itself.
        """
        if not isinstance(template, TaskTemplate):
            raise ConfigurationError(
                f'The sub task "{alias}" needs a TaskTemplate, not {type(template).__name__}'
            )
        if way := plan.cycle(template, self):
            names = " → ".join(f'"{name}"' for name in [self._name, *way])
            raise ConfigurationError(f'The template "{self._name}" would contain itself: {names}')
        self._check_alias(alias)
        with self._all_or_nothing():
            inlet = self._inlet(f'the sub task "{alias}"', after)
            self._put(
                NodePlan(alias, node_id(self._name, alias), "reference", alias, inlet, subtask=template.name)
            )
        self._subtasks[alias] = template
        return Subtask(self, alias, template)

    def exit(
        self, name: str | None = None, /, *, after: After, output_schema: Mapping[str, object] | None = None
    ) -> None:
        """Says what the task's result is. Without any exit, the nodes that nothing follows make the result.

        An exit without a name is looked at when nothing is left that could run. A task that reaches an exit with a
        name ends there at once, and nodes that still run are stopped; updates tell the name.

        Args:
            name: The name of the exit; default: none.
            after: Whose data the result is, in the same shapes as for `node`.
            output_schema: A JSON Schema (Draft 2020-12) that the result must meet, else the task fails. Default:
                any result.

        Raises:
            ConfigurationError: There is an exit of this name already, `after` names something that is not a node
                of this template, or the schema is not valid.
        """
        which = "an exit"
        if name is not None:
            check_name("name of an exit", name)
            which = f'an exit "{name}"'
        if name in self._exits:
            raise ConfigurationError(f'The template "{self._name}" has {which} already')
        self._check_schema("output_schema", output_schema)
        whose = "the exit" if name is None else f'the exit "{name}"'
        with self._all_or_nothing():
            self._exits[name] = Exit(name, plan.inlet(self, whose, after, self._put), output_schema)

    def graph(self) -> Graph:
        """Returns the plan as it is now; nodes that are added later do not change it.

        Raises:
            ConfigurationError: There are no nodes, something follows an exit that a sub-task does not have, or sub
                tasks are nested too deeply.
        """
        if not self._nodes:
            raise ConfigurationError(f'The template "{self._name}" has no nodes')
        plan.check_levels(self)
        nodes = MappingProxyType(dict(self._nodes))
        graph = Graph(self._name, nodes, tuple(self._exits.values()), self._input_schema)
        exits = {
            alias: (sub.name, list(sub._exits) or [None])  # noqa: SLF001 (one of this class)
            for alias, sub in self._subtasks.items()
        }
        plan.check_outputs(graph, exits)
        return graph

    def __repr__(self) -> str:
        return f"TaskTemplate({brief(self._name, 60)}, nodes={listed(self._nodes)})"

    def _add(
        self,
        handler: Callable[[NodeContext], R],
        alias: str | None,
        after: After | None,
        configuration: object,
    ) -> Node[R]:
        alias = plan.alias_of(handler) if alias is None else alias
        self._check_alias(alias)
        plan.check_handler(alias, handler)
        text = plan.configured(alias, configuration)
        with self._all_or_nothing():
            inlet = self._inlet(f'the node "{alias}"', after)
            self._put(NodePlan(alias, node_id(self._name, alias), "service", alias, inlet, handler, text))
        return Node(self, alias, handler)

    @contextmanager
    def _all_or_nothing(self) -> Generator[None]:
        """Whoever is refused leaves no Or nodes behind."""
        before = dict(self._nodes)
        try:
            yield
        except ConfigurationError:
            self._nodes = before
            raise

    def _inlet(self, whose: str, after: After | None) -> Inlet | None:
        return None if after is None else plan.inlet(self, whose, after, self._put)

    def _check_alias(self, alias: object) -> None:
        check_name("node alias", alias)
        if alias in self._nodes:
            raise ConfigurationError(f'The template "{self._name}" has a node "{alias}" already')

    def _put(self, node: NodePlan) -> None:
        known = self._nodes.get(node.key)
        if known is not None and known != node:
            raise ConfigurationError(f'The template "{self._name}" has a node "{node.key}" already')
        self._nodes[node.key] = node

    def _check_schema(self, which: str, schema: Mapping[str, object] | None) -> None:
        if schema is None:
            return
        # Imported here: most templates have no schema, and this import is the heaviest of all.
        from requence.local.schemas import check_schema

        check_schema(self._name, which, schema)
