"""What `after=` takes: the nodes of a template, and the ways that lead out of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from requence._brief import brief, shortened
from requence.exceptions import ConfigurationError
from requence.local.context import NodeContext
from requence.local.names import check_name

if TYPE_CHECKING:
    from requence.local.template import TaskTemplate

__all__ = ["After", "AnyOf", "Node", "NodeOutput", "OnFail", "Step", "Subtask", "any_of"]

R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, eq=False, repr=False)
class Step:
    """A node that others can follow: a `Node` or a `Subtask`.

    Attributes:
        template: The template it belongs to.
        alias: Its name in updates and in the task's node data.
    """

    template: TaskTemplate
    alias: str

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {brief(self.alias, 40)} of {brief(self.template.name, 40)}>"

    @property
    def on_fail(self) -> OnFail:
        """The way out that is taken if the node fails, for `after=`."""
        return OnFail(self)

    def output(self, name: str) -> NodeOutput:
        """Returns the way out that is taken if the node uses this output, for `after=`.

        Args:
            name: What the handler calls it in `ctx.to_output(name, value)`; for a sub task the name of one of the
                exits of its template.

        Raises:
            ConfigurationError: The name is not readable text.
        """
        check_name(f'name of an output of "{self.alias}"', name)
        return NodeOutput(self, name)


@dataclass(frozen=True, eq=False, repr=False)
class Node(Step, Generic[R_co]):
    """A node with a handler, made by `TaskTemplate.node`; calling it calls its handler.

    Attributes:
        handler: The function behind it.
    """

    handler: Callable[[NodeContext], R_co]

    def __call__(self, ctx: NodeContext) -> R_co:
        """Calls the handler as it is, for unit tests: no server, no checks."""
        return self.handler(ctx)


@dataclass(frozen=True, eq=False, repr=False)
class Subtask(Step):
    """A node that runs a task of another template, made by `TaskTemplate.subtask`.

    Attributes:
        of: The template of the sub task.
    """

    of: TaskTemplate

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}: a task of {brief(self.of.name, 40)}>"


@dataclass(frozen=True, repr=False)
class OnFail:
    """The way out of a node that is taken if it fails. What follows it gets `{"node": alias, "error": text}`."""

    node: Step

    def __repr__(self) -> str:
        return f"<OnFail of {self.node!r}>"


@dataclass(frozen=True, repr=False)
class NodeOutput:
    """The way out of a node that is taken if it uses the output of this name. What follows it gets the value."""

    node: Step
    name: str

    def __repr__(self) -> str:
        return f"<NodeOutput {brief(self.name, 40)} of {self.node!r}>"


@dataclass(frozen=True, repr=False)
class AnyOf:
    """The first of several, made by `any_of`."""

    items: tuple[Step | OnFail | NodeOutput | AnyOf, ...]
    alias: str | None = None

    def __repr__(self) -> str:
        called = "" if self.alias is None else f" {brief(self.alias, 40)}"
        # Of what is inside of others only that it is there: there may be many of them, one in the other.
        ways = ("any_of(…)" if isinstance(item, AnyOf) else repr(item) for item in self.items[:6])
        more = ", …" if len(self.items) > 6 else ""
        return f"<AnyOf{called}: {shortened(', '.join(ways), 120)}{more}>"


Item: TypeAlias = "Step | OnFail | NodeOutput | AnyOf"
After: TypeAlias = "Item | Sequence[Item]"


def any_of(*items: Item, alias: str | None = None) -> AnyOf:
    """Returns an Or node, for `after=`: what follows it runs once, when the first of these ways is taken.

    Args:
        *items: Nodes, `node.on_fail`, `node.output(…)` or further `any_of(…)`.
        alias: The name under which the value shows in the task's node data, and in `ctx.input` where it stands in
            a list. Default: it has none and is not shown.

    Raises:
        ConfigurationError: Nothing to choose from was given.
    """
    if not items:
        raise ConfigurationError("any_of() needs at least one node to wait for")
    return AnyOf(items, alias)


def described(value: Any) -> str:
    """Returns what an error says about something that `after=` does not take."""
    if isinstance(value, str):
        return f'is the text "{value}"; pass the node itself'
    if isinstance(value, list | tuple):
        return "has a list in it; use a node, or any_of(…)"
    if callable(value):
        name = getattr(value, "__name__", type(value).__name__)
        return f'is the function "{name}", which is not a node; decorate it with @….node first'
    return (
        "takes a node, node.on_fail, node.output(…), any_of(…) or a list of these, "
        f"not {type(value).__name__}"
    )
