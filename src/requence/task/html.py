"""What notebooks show of results, contexts, updates and snapshots: small HTML that needs nothing else. Pure.

It has no scripts, no links, no colours and nothing from elsewhere. A notebook keeps what it shows, and may be
published with it: so the URLs of pages and files, which let in whoever has them, are not in it. It looks like the
text around it, in dark themes as in light ones. Everything that comes from a task is escaped, and stands between
tags, never inside of one. Large data is folded, and of what is very large only the beginning is there, with a line
that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any

from requence._brief import brief, error_in_brief, is_brief, printable, shortened, word
from requence._json import as_object
from requence.exceptions import TaskAbortedError, TaskFailedError
from requence.task.outline import KEPT, in_words, outline

if TYPE_CHECKING:
    from requence.task.context import Context
    from requence.task.item import TaskItem
    from requence.task.result import TaskResult
    from requence.task.snapshot import TaskSnapshot
    from requence.task.updates import BaseUpdate

__all__ = ["html_of_context", "html_of_item", "html_of_result", "html_of_snapshot", "html_of_update"]

_INLINE = 80  # characters that are shown without being folded
_MAIN = 8_000  # characters of what a value is about, such as a result
_NODE = 2_000  # characters of the data of one node
_NODES = 25
_ERROR = 1_000
_FIELDS = 10  # of an update

_BOX = "overflow-wrap:anywhere"  # else a long word, such as a path, makes the page wider
_QUIET = "opacity:.7"
_PRE = "margin:.2em 0 .2em 1em;max-height:24em;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere"

# Fields of updates: those in the head and those that tell nothing, those for people, those that may be absent.
_USUAL = frozenset(
    {"context", "name", "node", "requireAck", "rootTaskId", "taskId", "timestamp", "type", "updateId"}
)
_SAID = frozenset({"error", "reason"})
_OPTIONAL = frozenset({"exit", "output"})


def html_of_result(result: TaskResult[Any]) -> str:
    """Returns what is shown of the result of a task."""
    head = _head("TaskResult", "succeeded", task=result.task_id)
    return _box(head, _data("result", result.result), _data("input", result.input), *_nodes(result))


def html_of_context(context: Context) -> str:
    """Returns what is shown of a context."""
    return _box(_head("Context", task=context.task_id), *_known(context))


def html_of_snapshot(snapshot: TaskSnapshot) -> str:
    """Returns what is shown of a task that was read by its id."""
    facts = [snapshot.task_template, snapshot.name, snapshot.branch and f"branch {snapshot.branch}"]
    head = _head("TaskSnapshot", snapshot.status, *facts, task=snapshot.task_id)
    why = [_said("status", snapshot.status_text)] if snapshot.status_text else []
    return _box(head, *why, *_known(snapshot.context))


def html_of_item(item: TaskItem[Any]) -> str:
    """Returns what is shown of an item of `map_tasks`."""
    name, known_id = f"TaskItem {item.index}", item.task.known_id if item.task is not None else None
    error = item.error
    if error is None:
        head, result = _head(name, "succeeded", task=known_id), item.result
        return _box(head, _data("result", result.result), _data("input", item.input), *_nodes(result))
    context = error.context if isinstance(error, TaskFailedError | TaskAbortedError) else None
    seen = () if context is None else _nodes(context)
    told = _said("error", error_in_brief(error, _ERROR))
    return _box(_head(name, "no result", task=known_id), told, _data("input", item.input), *seen)


def html_of_update(update: BaseUpdate) -> str:
    """Returns what is shown of an update: what it brings, and not the context."""
    node, kind = as_object(update.get("node")), type(update).__name__
    facts = [
        update.get("type") if kind == "UnknownUpdate" else None,
        (node.get("alias") or node.get("id")) if node else None,
        None if update.position is None else f"at {update.position}",
        update.timestamp,
    ]
    parts = list[str]()
    for name in islice((name for name in update if name not in _USUAL), _FIELDS):
        value = update.get(name)
        if name in _SAID or name in _OPTIONAL:
            parts += [] if value is None else [_said(name, value)]
        else:
            parts.append(_data(name, value))
    return _box(_head(kind, None, *facts, task=update.task_id), *parts)


def _known(context: Context) -> Iterable[str]:
    """Yields what is known of a task that may still run."""
    if context.result is not None:
        yield _data("result", context.result)
    yield _data("input", context.input)
    yield from _nodes(context)


def _nodes(context: Context) -> Iterable[str]:
    """Yields the errors and the data of nodes, of the first ones where there are many."""
    for alias, error in islice(context.node_error.items(), _NODES):
        yield _said(f"node {word(alias)} failed", error)
    yield from _others(context.node_error, "errors")
    for alias, data in islice(context.node_data.items(), _NODES):
        yield _data(f"node {word(alias)}", data, _NODE)
    yield from _others(context.node_data, "data")


def _others(nodes: Mapping[str, object], what: str) -> Iterable[str]:
    if len(nodes) > _NODES:
        yield _quiet(f"… {what} of {len(nodes) - _NODES:,} more nodes")


def _head(kind: str, state: object = None, *facts: object, task: object) -> str:
    """Returns the line that says what it is."""
    words = [f"<strong>{_text(kind)}</strong>"]
    words += [_text(word(fact, 80)) for fact in (state, *facts) if fact is not None]
    if task is not None:
        words.append(f"task <code>{_text(word(task))}</code>")
    return f"<div>{' · '.join(words)}</div>"


def _data(name: str, value: object, most: int = _MAIN) -> str:
    """Returns a value with its name, folded if it takes more than a line."""
    title = _text(word(name, 60))
    if is_brief(value, _INLINE):
        return f"<div>{title}: <code>{_text(brief(value, _INLINE))}</code></div>"
    shown = outline(value, most)
    more = _quiet(f"left out: {shown.left_out}") if shown.left_out else ""
    said = f'<span style="{_QUIET}">{_text(in_words(value))}</span>'
    pre = f'<pre style="{_PRE}">{_text(shown.text)}</pre>'
    return f"<details><summary>{title}: {said}</summary>{pre}{more}</details>"


def _said(name: str, value: object) -> str:
    """Returns what is said to people, such as an error, which is never folded and keeps its lines."""
    text = shortened(value if isinstance(value, str) else brief(value, _ERROR), _ERROR)
    title, said = _text(word(name, 60)), f"<strong>{_text(text)}</strong>"
    if "\n" in text:
        return f'<div>{title}:<pre style="{_PRE}">{said}</pre></div>'
    return f"<div>{title}: {said}</div>"


def _quiet(text: str) -> str:
    return f'<div style="{_QUIET}">{_text(text)}</div>'


def _box(*parts: str) -> str:
    return f'<div style="{_BOX}">{"".join(parts)}</div>'


def _text(text: str) -> str:
    """Returns a text that can stand between tags, and be sent: without controls and halves of surrogate pairs."""
    return escape(printable(text, keep=KEPT))
