"""Turns what `after=` was given into the edges of a plan, and refuses what cannot work. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from requence.exceptions import ConfigurationError
from requence.local.events import node_id
from requence.local.graph import Edge, Graph, Inlet, NodePlan
from requence.local.json_values import NotJsonError, encode
from requence.local.names import check_name
from requence.local.steps import AnyOf, NodeOutput, OnFail, Step, described

if TYPE_CHECKING:
    from requence.local.template import TaskTemplate

__all__ = ["alias_of", "check_handler", "check_levels", "check_outputs", "configured", "cycle", "inlet"]


_MOST_LEVELS = 50  # of sub tasks; the end of one is told from level to level, each on the stack


def inlet(template: TaskTemplate, whose: str, after: object, add: Callable[[NodePlan], None]) -> Inlet:
    """Returns what `after` leads to.

    Args:
        template: The template in which it is said.
        whose: Of what it is said, for errors.
        after: What was given.
        add: Puts Or nodes into the plan, as `after` needs them.

    Raises:
        ConfigurationError: It names something that is not a node of this template.
    """
    try:
        return _inlet(template, whose, after, add)
    except RecursionError:
        raise ConfigurationError(f"any_of(…) in after= of {whose} is nested too deeply") from None


def _inlet(template: TaskTemplate, whose: str, after: object, add: Callable[[NodePlan], None]) -> Inlet:
    if not isinstance(after, list | tuple):
        return Inlet((_edge(template, whose, after, add),), "single")
    items = cast("Sequence[object]", after)
    if not items:
        raise ConfigurationError(f"after=[] of {whose} is empty; leave it out for an entry node")
    for item in items:
        if isinstance(item, AnyOf) and item.alias is None:
            raise ConfigurationError(
                f"any_of(…) in after=[…] of {whose} needs an alias=, under which its value arrives"
            )
    edges = tuple(_edge(template, whose, item, add) for item in items)
    aliases = [edge.node for edge in edges]
    for alias in aliases:
        if aliases.count(alias) > 1:
            raise ConfigurationError(f'after=[…] of {whose} names "{alias}" twice')
    return Inlet(edges, "all")


def _edge(template: TaskTemplate, whose: str, item: object, add: Callable[[NodePlan], None]) -> Edge:
    if isinstance(item, AnyOf):
        return _or_node(template, whose, item, add)
    node = item.node if isinstance(item, OnFail | NodeOutput) else item
    if not isinstance(node, Step):
        raise ConfigurationError(f"after= of {whose} {described(node)}")
    if node.template is not template:
        raise ConfigurationError(
            f'after= of {whose} names "{node.alias}" of the template "{node.template.name}", '
            f'but it can only follow nodes of its own template "{template.name}"'
        )
    if isinstance(item, OnFail):
        return Edge(node.alias, "failure")
    return Edge(node.alias, output=item.name if isinstance(item, NodeOutput) else None)


def _or_node(template: TaskTemplate, whose: str, item: AnyOf, add: Callable[[NodePlan], None]) -> Edge:
    edges = tuple(dict.fromkeys(_edge(template, whose, inner, add) for inner in item.items))
    if item.alias is not None:
        check_name("node alias", item.alias)
    # Without an alias it is known by what leads into it, and so the same wherever the same is said.
    name = item.alias if item.alias is not None else f"\0any_of\0{edges!r}"
    identity = node_id(template.name, name)
    key = item.alias if item.alias is not None else identity
    add(NodePlan(key, identity, "or", item.alias, Inlet(edges, "first")))
    return Edge(key)


def check_outputs(graph: Graph, exits: Mapping[str, tuple[str, Sequence[str | None]]]) -> None:
    """Checks that what follows a sub task follows exits that its template has.

    Args:
        graph: The plan.
        exits: For each sub task the name of its template and the names of the exits of that.

    Raises:
        ConfigurationError: Something follows an exit that there is not.
    """
    inlets = [node.inlet for node in graph.nodes.values()] + [way_out.inlet for way_out in graph.exits]
    for edge in (edge for one in inlets if one is not None for edge in one.edges if edge.way == "success"):
        of, names = exits.get(edge.node, ("", (edge.output,)))
        if edge.output in names:
            continue
        known = ", ".join("the one without a name" if name is None else f'"{name}"' for name in names)
        wanted = "an exit without a name" if edge.output is None else f'the exit "{edge.output}"'
        raise ConfigurationError(
            f'Something in the template "{graph.name}" follows {wanted} of the sub task "{edge.node}", '
            f'but the exits of "{of}" are: {known}'
        )


def cycle(inner: TaskTemplate, outer: TaskTemplate) -> list[str] | None:
    """Returns by which templates `inner` contains `outer`, from the one to the other; None if it does not."""
    above: dict[TaskTemplate, TaskTemplate | None] = {inner: None}
    waiting = [inner]
    for template in waiting:
        if template is outer:
            way: list[str] = []
            step: TaskTemplate | None = template
            while step is not None:
                way.insert(0, step.name)
                step = above[step]
            return way
        for deeper in template.subtemplates:  # each template once, by however many ways it is reached
            if deeper not in above:
                above[deeper] = template
                waiting.append(deeper)
    return None


def check_levels(template: TaskTemplate) -> None:
    """Checks how deeply the sub tasks of a template are nested.

    Raises:
        ConfigurationError: Too deeply.
    """
    level = {template}
    for _ in range(_MOST_LEVELS):
        level = {inner for outer in level for inner in outer.subtemplates}
        if not level:
            return
    raise ConfigurationError(
        f'The sub tasks of the template "{template.name}" are nested deeper than {_MOST_LEVELS} levels'
    )


def alias_of(handler: object) -> str:
    """Returns the name of a function.

    Raises:
        ConfigurationError: It has none that could serve as an alias.
    """
    name = getattr(handler, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise ConfigurationError(
            'This handler has no name to use as alias: give it one with node("alias")(…)'
        )
    return name


def configured(alias: str, configuration: object) -> str:
    """Returns the configuration of a node as JSON text.

    Raises:
        ConfigurationError: It is not JSON.
    """
    try:
        return encode(configuration, "configuration")
    except NotJsonError as error:
        raise ConfigurationError(f'The configuration of the node "{alias}" is not JSON: {error}') from None


def check_handler(alias: str, handler: Any) -> None:
    """Checks that a handler can be called with a context.

    Raises:
        ConfigurationError: It cannot.
    """
    if not callable(handler):
        raise ConfigurationError(
            f'The handler of the node "{alias}" is no function but {type(handler).__name__}'
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
