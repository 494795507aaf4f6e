"""What is known of a task at one moment, and how an update changes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from requence._brief import word
from requence._json import as_object
from requence.task.persistent import PersistentMap
from requence.task.record import Record

__all__ = ["Context", "Contexts", "after_all", "fold"]

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
        data, error = _persistent(values.get("node_data")), _persistent(values.get("node_error"))
        super().__init__({**values, "node_data": data, "node_error": error})

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

    def with_fields(self, **more: Any) -> dict[str, Any]:
        """Returns its fields and some more, for a value of another class."""
        return {**self._values, **more}

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

    def _repr_html_(self) -> str:
        from requence.task.html import html_of_context  # here, since only notebooks need it

        return html_of_context(self)

    def __repr__(self) -> str:
        data, errors = len(self.node_data), len(self.node_error)
        return f"<Context of task {word(self.task_id)}: data of {data}, errors of {errors} nodes>"


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

    Making one for each update takes as long as reading it, and few programs look at them all. Once `last` was
    called, `after` may be in any thread: two who ask at the same time make the same twice.

    Attributes:
        updates: The type and the payload of each update; an empty type for one that changes nothing. All of them
            are to be here before the first question.
    """

    __slots__ = ("_known", "updates")

    def __init__(self, before: Context) -> None:
        """Makes the one before the first update."""
        self.updates: list[tuple[str, Mapping[str, Any]]] = []
        self._known = {0: before}  # by the number of updates before it

    def after(self, count: int) -> Context:
        """Returns the context after the first so many updates."""
        found = self._known.get(count)
        if found is None:
            known = count
            while (found := self._known.get(known)) is None:
                known -= 1
            for number in range(known, count):
                found = self._known[number + 1] = fold(found, *self.updates[number])
        return found

    def last(self) -> Context:
        """Returns the context after all updates."""
        count = len(self.updates)
        if count not in self._known:
            self._known[count] = after_all(self._known[0], self.updates)
        return self._known[count]


def after_all(context: Context, updates: Iterable[tuple[str, Mapping[str, Any]]]) -> Context:
    """Returns the context after some updates, without those between them: like `fold` for each."""
    nodes: dict[tuple[str, str], Any] = {}
    for kind, payload in updates:
        if kind in _NODE_FIELDS:
            alias = _alias(payload)
            if alias is not None:
                field, value = _NODE_FIELDS[kind]
                nodes[field, alias] = payload.get(value)
        else:
            context = fold(context, kind, payload)
    for (field, alias), value in nodes.items():
        context = context.with_node(field, alias, value)
    return context


def _alias(payload: Mapping[str, Any]) -> str | None:
    node = as_object(payload.get("node"))
    alias = None if node is None else node.get("alias")
    return alias if isinstance(alias, str) else None


def _persistent(values: Mapping[str, Any] | None) -> PersistentMap[Any]:
    return values if isinstance(values, PersistentMap) else PersistentMap(values)
