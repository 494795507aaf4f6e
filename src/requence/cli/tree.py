"""Draws how far a task is, as a tree of its nodes, anew in its place while the task runs.

Nothing that a task says can change how it is drawn.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from requence.cli.lines import seconds_text
from requence.cli.printable import one_line
from requence.cli.progress import NodeProgress, Progress, State, after, seconds_between
from requence.task import TaskRef, Update

__all__ = ["LiveTree", "console_for", "draw"]

_STYLES = {
    State.RUNNING: "cyan",
    State.DEFERRED: "yellow",
    State.DONE: "green",
    State.FAILED: "red",
    State.STOPPED: "bright_black",
}
_SIGNS = {State.DEFERRED: "◷", State.DONE: "✔", State.FAILED: "✘", State.STOPPED: "■"}
_ASCII_SIGNS = {State.DEFERRED: "~", State.DONE: "+", State.FAILED: "x", State.STOPPED: "-"}
_TURNING, _ASCII_TURNING = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
_TURNS_PER_SECOND = 8
_LONGEST_LABEL = 40
_DRAWINGS_PER_SECOND = 8
_LEFT = 2  # lines that are kept free below the tree
_ENDED = (State.DONE, State.STOPPED)


def console_for(stream: TextIO | None) -> Console | None:
    """Returns what draws on a stream; None if it is no terminal on which something could be drawn and changed."""
    try:
        drawable = stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return None
    if not drawable or os.environ.get("TERM", "").lower() in ("dumb", "unknown"):
        return None
    return Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False)


class LiveTree:
    """The tree of one task on a terminal.

    ```python
    with LiveTree(console, task.sync.ref()) as tree:
        for update in task.sync.updates:
            tree.show(update)
    ```

    What is written to standard error meanwhile appears above it.
    """

    def __init__(self, console: Console, ref: TaskRef) -> None:
        """Prepares to draw.

        Args:
            console: The terminal.
            ref: The task.
        """
        self._console = console
        self._title = f"{ref.task_template or 'task'}  {ref.task_id}"
        self._progress = Progress(ref.task_id)
        self._came = time.monotonic()
        self._is_over = False
        self._live = Live(
            console=console,
            get_renderable=self._drawn,
            refresh_per_second=_DRAWINGS_PER_SECOND,
            redirect_stdout=False,
            vertical_overflow="crop",
        )

    def show(self, update: Update) -> None:
        """Takes an update; it is seen with the next drawing."""
        # Replaced as a whole, so that the thread that draws sees one moment of the task.
        self._progress, self._came = after(self._progress, update), time.monotonic()

    def __enter__(self) -> Self:
        self._live.start(refresh=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True  # so that the last drawing has all nodes
        with suppress(OSError):  # the terminal has gone, which says nothing of the task
            self._live.stop()

    def _drawn(self) -> Tree:
        progress, since = self._progress, time.monotonic() - self._came
        if self._is_over and progress.state is not State.RUNNING:
            since = 0.0
        height = None if self._is_over else self._console.size.height - _LEFT
        return draw(
            progress, self._title, since=since, height=height, encoding=self._console.encoding or "ascii"
        )


@dataclass(frozen=True, slots=True)
class _Look:
    encoding: str
    turn: int
    since: float

    @property
    def ascii_only(self) -> bool:
        return not self.encoding.lower().startswith("utf")

    def text(self, text: str, room: int = 200) -> str:
        return one_line(text, room, self.encoding)

    def label(self, node: NodeProgress) -> str:
        return self.text(node.label, _LONGEST_LABEL)

    def sign(self, state: State) -> Text:
        turning, signs = (_ASCII_TURNING, _ASCII_SIGNS) if self.ascii_only else (_TURNING, _SIGNS)
        sign = turning[self.turn % len(turning)] if state is State.RUNNING else signs[state]
        return Text(sign, style=_STYLES[state])

    def line(self, *parts: tuple[str, str]) -> Text:
        # Where only ASCII can be written, Rich's own sign for what was cut off cannot.
        text = Text(no_wrap=True, overflow="crop" if self.ascii_only else "ellipsis")
        for part, style in parts:
            text.append(part, style=style)
        return text


def draw(
    progress: Progress,
    title: str,
    *,
    since: float = 0.0,
    height: int | None = None,
    encoding: str = "utf-8",
) -> Tree:
    """Returns the tree: the task, and below it a line for each node.

    Args:
        progress: How far the task is.
        title: What the task is called.
        since: How many seconds ago its last update came, for the durations of what goes on.
        height: How many lines there are; if there are more nodes, those that are done are left out, the oldest
            first. Default: all are shown.
        encoding: What the terminal can show.
    """
    passed = (seconds_between(progress.started, progress.latest) or 0.0) + since
    look = _Look(encoding, int(passed * _TURNS_PER_SECOND), since)
    nodes = list(progress.nodes.values())
    shown = nodes if height is None else _most_telling(nodes, max(height - 2, 1))
    tree = Tree(_head(progress, title, nodes, look), guide_style="bright_black")
    if len(shown) < len(nodes):
        tree.add(look.line((f"{len(nodes) - len(shown)} more", "bright_black")))
    width = max((cell_len(look.label(node)) for node in shown), default=0)
    branches = {progress.task_id: tree}
    for node in shown:
        branch = branches.get(node.task_id)
        if branch is None:
            name = f"sub-task {look.text(node.task_id)}"
            branch = branches[node.task_id] = tree.add(look.line((name, "bright_black")))
        branch.add(_node_line(node, progress, width, look))
    return tree


def _head(progress: Progress, title: str, nodes: Sequence[NodeProgress], look: _Look) -> Text:
    counts = [
        f"{count} {state.value}" for state in State if (count := sum(node.state is state for node in nodes))
    ]
    took = seconds_between(progress.started, progress.latest)
    if took is not None and progress.state is State.RUNNING:
        took += look.since
    line = look.line(("", ""))
    line.append_text(look.sign(progress.state))
    line.append(f" {look.text(title)}", style="bold")
    for part in (seconds_text(took), ", ".join(counts)):
        line.append(f"  {part}" if part else "")
    if progress.says:
        line.append(f"  {look.text(progress.says)}", style=_STYLES[progress.state])
    return line


def _node_line(node: NodeProgress, progress: Progress, width: int, look: _Look) -> Text:
    took = seconds_between(node.started, node.ended or progress.latest)
    if took is not None and node.ended is None:
        took += look.since
    label = look.label(node)
    line = look.line(("", ""))
    line.append_text(look.sign(node.state))
    line.append(f" {label}{' ' * (width - cell_len(label))}")
    line.append(f" {seconds_text(took):>9}", style="bright_black")
    for remark in _remarks(node):
        line.append(f"  {remark}", style="bright_black")
    if node.says:
        style = _STYLES[node.state] if node.state in (State.FAILED, State.DEFERRED) else "bright_black"
        line.append(f"  {look.text(node.says)}", style=style)
    return line


def _remarks(node: NodeProgress) -> Iterator[str]:
    if node.state in (State.DEFERRED, State.STOPPED):
        yield node.state.value
    if node.attempts > 1:
        yield f"attempt {node.attempts}"
    if node.outputs > 1:
        yield f"{node.outputs} outputs"


def _most_telling(nodes: Sequence[NodeProgress], room: int) -> list[NodeProgress]:
    """Returns the nodes that there is room for, in their order: rather those that are not done, and the newest."""
    if len(nodes) <= room:
        return list(nodes)
    by_interest = sorted(range(len(nodes)), key=lambda index: (nodes[index].state in _ENDED, -index))
    return [nodes[index] for index in sorted(by_interest[:room])]
