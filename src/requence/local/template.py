"""`TaskTemplate`: declares the nodes of a task, how they follow each other, and what it takes as input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar, cast, overload

from requence.exceptions import ConfigurationError
from requence.local.context import NodeContext
from requence.local.graph import Edge, Graph, Inlet, NodePlan, Way

__all__ = ["After", "Node", "OnFail", "TaskTemplate"]

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Node(Generic[R_co]):
    """One node of a template, made by `TaskTemplate.node`; calling it calls its handler.

    Attributes:
        template: The template it belongs to.
        alias: Its name in updates and in the task's node data.
        handler: The function behind it.
    """

    template: TaskTemplate = field(repr=False)
    alias: str
    handler: Callable[[NodeContext], R_co] = field(repr=False)

    def __call__(self, ctx: NodeContext) -> R_co:
        """Calls the handler as it is, for unit tests: no server, no checks."""
        return self.handler(ctx)

    @property
    def on_fail(self) -> OnFail:
        """The way out that is taken if the node fails, for `after=`."""
        return OnFail(self)


@dataclass(frozen=True)
class OnFail:
    """The way out of a node that is taken if it fails. What follows it gets `{"node": alias, "error": text}`."""

    node: Node[object]


After: TypeAlias = "Node[object] | OnFail | Sequence[Node[object] | OnFail]"


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
    thread, an `async def` on the server's event loop. An exception makes its node fail. A node that fails ends
    the task, unless something follows its `on_fail`. The task ends when nothing is left that could run.

    Args:
        name: The template's name, by which tasks of it are started.
        input_schema: A JSON Schema (Draft 2020-12) that the input of every task must meet. Default: any input.

    Raises:
        ConfigurationError: The name cannot be used, or the schema is not valid.
    """

    def __init__(self, name: str, input_schema: Mapping[str, object] | None = None) -> None:
        _check_name("template name", name)
        if name in (".", ".."):
            raise ConfigurationError(f"A template cannot be named {name!r}: it could not stand in a URL")
        if input_schema is not None:
            # Imported here: most templates have no schema, and this import is the heaviest of all.
            from requence.local.contract import check_schema

            check_schema(name, input_schema)
        self._name = name
        self._input_schema = input_schema
        self._nodes: dict[str, NodePlan] = {}
        self._exit: Inlet | None = None

    @property
    def name(self) -> str:
        """The template's name."""
        return self._name

    @overload
    def node(self, handler: Callable[[NodeContext], R], /) -> Node[R]: ...

    @overload
    def node(
        self, alias: str | None = None, /, *, after: After | None = None
    ) -> Callable[[Callable[[NodeContext], R]], Node[R]]: ...

    def node(
        self,
        alias_or_handler: str | Callable[[NodeContext], R] | None = None,
        /,
        *,
        after: After | None = None,
    ) -> Node[R] | Callable[[Callable[[NodeContext], R]], Node[R]]:
        """Makes a function a node: `@t.node`, `@t.node()`, `@t.node("alias", after=…)`.

        Args:
            alias_or_handler: The node's alias; default: the function's name.
            after: What the node waits for: a node (its data becomes `ctx.input`), `node.on_fail`, or a list of
                these (all of them; `ctx.input` is a dict by alias). Default: nothing, the node is an entry node.

        Returns:
            The node, or a decorator that returns it.

        Raises:
            ConfigurationError: The alias is taken or empty, or `after` names something that is not a node of
                this template.
        """
        if alias_or_handler is None or isinstance(alias_or_handler, str):
            alias = alias_or_handler
            return lambda handler: self._add(handler, alias, after)
        return self._add(alias_or_handler, None, after)

    def exit(self, *, after: After) -> None:
        """Says what the task's result is. Without it, the nodes that nothing follows make the result.

        Args:
            after: Whose data the result is, in the same shapes as for `node`.

        Raises:
            ConfigurationError: There is an exit already, or `after` names something that is not a node of this
                template.
        """
        if self._exit is not None:
            raise ConfigurationError(f'The template "{self._name}" has an exit already')
        self._exit = self._inlet("the exit", after)

    def graph(self) -> Graph:
        """Returns the plan as it is now; nodes that are added later do not change it.

        Raises:
            ConfigurationError: There are no nodes.
        """
        if not self._nodes:
            raise ConfigurationError(f'The template "{self._name}" has no nodes')
        return Graph(self._name, MappingProxyType(dict(self._nodes)), self._exit, self._input_schema)

    def __repr__(self) -> str:
        return f"TaskTemplate({self._name!r}, nodes={list(self._nodes)})"

    def _add(self, handler: Callable[[NodeContext], R], alias: str | None, after: After | None) -> Node[R]:
        alias = _alias_of(handler) if alias is None else alias
        _check_name("node alias", alias)
        if alias in self._nodes:
            raise ConfigurationError(f'The template "{self._name}" has a node "{alias}" already')
        _check_handler(alias, handler)
        # Only nodes that exist can be waited for, so the plan cannot have a cycle.
        inlet = None if after is None else self._inlet(f'the node "{alias}"', after)
        self._nodes[alias] = NodePlan(alias, handler, inlet)
        return Node(self, alias, handler)

    def _inlet(self, whose: str, after: object) -> Inlet:
        if not isinstance(after, list | tuple):
            return Inlet((self._edge(whose, after),), by_alias=False)
        items = cast("Sequence[object]", after)
        edges = tuple(self._edge(whose, item) for item in items)
        if not edges:
            raise ConfigurationError(f"after=[] of {whose} is empty; leave it out for an entry node")
        aliases = [edge.alias for edge in edges]
        for alias in aliases:
            if aliases.count(alias) > 1:
                raise ConfigurationError(f'after=[…] of {whose} names "{alias}" twice')
        return Inlet(edges, by_alias=True)

    def _edge(self, whose: str, item: object) -> Edge:
        way: Way = "failure" if isinstance(item, OnFail) else "success"
        node = item.node if isinstance(item, OnFail) else item
        if not isinstance(node, Node):
            raise ConfigurationError(_not_a_node(whose, node))
        node = cast("Node[object]", node)
        if node.template is not self:
            raise ConfigurationError(
                f'after= of {whose} names "{node.alias}" of the template "{node.template.name}", '
                f'but it can only follow nodes of its own template "{self._name}"'
            )
        return Edge(node.alias, way)


def _not_a_node(whose: str, value: object) -> str:
    if isinstance(value, str):
        return f'after= of {whose} is the text "{value}"; pass the node itself'
    if callable(value):
        name = getattr(value, "__name__", type(value).__name__)
        return (
            f'after= of {whose} is the function "{name}", which is not a node; decorate it with @….node first'
        )
    return f"after= of {whose} takes a node, node.on_fail or a list of these, not {type(value).__name__}"


def _alias_of(handler: object) -> str:
    name = getattr(handler, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise ConfigurationError(
            'This handler has no name to use as alias: give it one with node("alias")(…)'
        )
    return name


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str):
        raise ConfigurationError(f"A {what} must be text, not {type(name).__name__}")
    if not name.strip() or not name.isprintable():
        raise ConfigurationError(f"A {what} must be readable text, not {name!r}")


def _check_handler(alias: str, handler: object) -> None:
    if not callable(handler):
        raise ConfigurationError(
            f'The handler of the node "{alias}" is no function but {type(handler).__name__}'
        )
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ConfigurationError(
            f'The handler of the node "{alias}" is a generator; it must return one value'
        )
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # some built-in functions do not tell their parameters
        return
    try:
        signature.bind(object())
    except TypeError as error:
        raise ConfigurationError(
            f'The handler of the node "{alias}" must take one argument, the context: {error}'
        ) from None
