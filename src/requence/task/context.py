"""What is known of a task at one moment, and how an update changes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from requence._json import as_object
from requence.task.persistent import PersistentMap
from requence.task.record import Record

__all__ = ["Context", "Contexts", "fold"]

_set = object.__setattr__  # a record is read-only
_NODE_FIELDS = {"nodeUpdate": ("node_data", "data"), "nodeError": ("node_error", "error")}


class Context(Record):
    """A snapshot of a task: it never changes, later updates come with later snapshots.

    Attributes:
        task_id: The task's id.
        input: The input that the task was started with.
        result: The final output, None before the task has ended with one.
        node_data: The last output of each node that has an alias, by alias; read-only.
        node_error: The last error of each node that has an alias, by alias; read-only.
    """

    __slots__ = ()

    task_id: str
    input: Any
    result: Any
    node_data: Mapping[str, Any]
    node_error: Mapping[str, str]

    def __init__(self, values: Mapping[str, Any]) -> None:
        nodes = {name: _persistent(values.get(name)) for name in ("node_data", "node_error")}
        super().__init__({**values, **nodes})

    @classmethod
    def at_start(cls, task_id: str, input: Any) -> Context:
        """Returns the context of a task of which no update was seen."""
        return Context({"task_id": task_id, "input": input, "result": None})

    def get_node_data(self, alias: str, default: Any = None) -> Any:
        """Returns the last output of the node with this alias, or `default`."""
        return self.node_data.get(alias, default)

    def get_node_error(self, alias: str, default: Any = None) -> Any:
        """Returns the last error of the node with this alias, or `default`."""
        return self.node_error.get(alias, default)

    def replaced(self, **changes: Any) -> Context:
        """Returns a context with some fields replaced; the others are shared."""
        changed = Context.__new__(Context)
        _set(changed, "_values", {**self._values, **changes})
        return changed

    def with_node(self, field: str, alias: str, value: Any) -> Context:
        """Returns a context in which `node_data` or `node_error` has a value for one node."""
        # Not by the search for a field's spellings: this is done for each update.
        changed = Context.__new__(Context)
        nodes = self._values[field].with_item(alias, value)
        _set(changed, "_values", {**self._values, field: nodes})
        return changed

    def __repr__(self) -> str:
        data, errors = len(self.node_data), len(self.node_error)
        return f"<Context of task {self.task_id}: data of {data}, errors of {errors} nodes>"


def fold(context: Context, type: str, payload: Mapping[str, Any]) -> Context:
    """Returns the context after an update, or the same one where the update changes nothing."""
    if type == "taskStart":
        return context.replaced(input=payload["input"]) if "input" in payload else context
    if type == "taskEnd":
        return context.replaced(result=payload.get("result"))
    if type in _NODE_FIELDS:
        alias = _alias(payload)
        if alias is not None:
            field, value = _NODE_FIELDS[type]
            return context.with_node(field, alias, payload.get(value))
    return context


class Contexts:
    """The contexts before, between and after some updates that came together, made when they are asked for.

    Making one for each update takes as long as reading it, and few programs look at them all. May be used in any
    thread: two who ask at the same time make the same twice.
    """

    __slots__ = ("_known", "_updates")

    def __init__(self, before: Context, updates: Sequence[tuple[str, Mapping[str, Any]]] = ()) -> None:
        """Makes those before and after.

        Args:
            before: The context before them.
            updates: The type and the payload of each; an empty type for one that changes nothing.
        """
        self._updates = updates
        self._known: list[Context | None] = [before, *[None] * len(updates)]
        self._known[-1] = _after_all(before, updates)

    @property
    def last(self) -> Context:
        """The context after all updates."""
        return self.after(len(self._updates))

    def after(self, count: int) -> Context:
        """Returns the context after the first so many updates."""
        known = count
        while (context := self._known[known]) is None:
            known -= 1
        for number in range(known, count):
            context = self._known[number + 1] = fold(context, *self._updates[number])
        return context


def _after_all(context: Context, updates: Iterable[tuple[str, Mapping[str, Any]]]) -> Context:
    """Folds all at once, without the contexts between them."""
    nodes: dict[tuple[str, str], Any] = {}
    for type, payload in updates:
        if type in _NODE_FIELDS:
            alias = _alias(payload)
            if alias is not None:
                field, value = _NODE_FIELDS[type]
                nodes[field, alias] = payload.get(value)
        else:
            context = fold(context, type, payload)
    for (field, alias), value in nodes.items():
        context = context.with_node(field, alias, value)
    return context


def _alias(payload: Mapping[str, Any]) -> str | None:
    node = as_object(payload.get("node"))
    alias = None if node is None else node.get("alias")
    return alias if isinstance(alias, str) else None


def _persistent(values: Mapping[str, Any] | None) -> PersistentMap[Any]:
    return values if isinstance(values, PersistentMap) else PersistentMap(values)
