"""Shows a task on a terminal while it runs: the tree of its nodes, drawn anew in its place."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.tree import Tree

from requence.cli.progress import Progress, State, after
from requence.cli.tree import draw
from requence.task import TaskRef, Update

__all__ = ["LiveTree"]

_TIMES_PER_SECOND = 8
_LEFT = 2  # lines that are kept free below the tree


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
            refresh_per_second=_TIMES_PER_SECOND,
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
        self._live.stop()

    def _drawn(self) -> Tree:
        progress, since = self._progress, time.monotonic() - self._came
        if self._is_over and progress.state is not State.RUNNING:
            since = 0.0
        height = None if self._is_over else self._console.size.height - _LEFT
        return draw(
            progress, self._title, since=since, height=height, encoding=self._console.encoding or "ascii"
        )
