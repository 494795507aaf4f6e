"""Updates as plain lines, one for each, where nothing can be drawn. Pure. ASCII but for what tasks say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from requence.cli.printable import brief, one_line
from requence.cli.progress import node_label
from requence.task.updates import NodeUpdate, TaskEnd, TaskStart, Update

__all__ = ["node_errors", "seconds_text", "update_line"]

_ROOM = 120  # characters of what a task says


def update_line(update: Update, *, whose: bool = False) -> str:
    """Returns an update as one line: when it was, what it is, which node, and what it says.

    Args:
        update: The update.
        whose: Whether the line begins with the id of the task.
    """
    parts = [
        _plain(update.timestamp) or "-",
        (_plain(update.task_id) or "-") if whose else "",
        f"{_plain(update.type):<11}",
        _plain(node_label(update.get("node"))),
        _said(update),
    ]
    return " ".join(part for part in parts if part).rstrip()


def node_errors(errors: Mapping[str, Any]) -> list[str]:
    """Returns a line for each node that has failed."""
    return [f"  {one_line(alias, _ROOM)}: {one_line(str(error))}" for alias, error in errors.items()]


def seconds_text(seconds: float | None) -> str:
    """Returns a duration for people: `0.04 s`, `12.3 s`, `3 min 05 s`, `2 h 07 min`; nothing for None."""
    if seconds is None:
        return ""
    if round(seconds, 1) < 60:
        return f"{seconds:.2f} s" if round(seconds, 2) < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def _said(update: Update) -> str:
    match update:
        case NodeUpdate():
            output = _plain(update.output)
            return f"{output + ': ' if output else ''}{brief(update.data, _ROOM)}"
        case TaskStart():
            return brief(update.input, _ROOM)
        case TaskEnd():
            return brief(update.result, _ROOM)
        case _:
            text = update.get("error") or update.get("reason")
            return "" if text is None else one_line(str(text), _ROOM)


def _plain(value: object) -> str:
    return one_line(value, _ROOM) if isinstance(value, str) else ""
