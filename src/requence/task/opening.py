"""What both faces of a task open for an iteration over its updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from requence.task.iterate import Opening
from requence.task.updates import Update

if TYPE_CHECKING:
    from requence.task.run import Run

__all__ = ["opening_of_updates"]


def opening_of_updates(run: Run, keep: object, after: int | None = None) -> Opening[Update]:
    """Returns what it takes to iterate over a task's updates; `keep` is the handle."""
    name = "updates" if after is None else f"updates_after({after})"
    return Opening(
        io=run.io,
        source=lambda: run.feed(after),
        spelling=(f"task.{name}", f"task.sync.{name}"),
        wait=lambda: run.describe("the next update"),
        goes_on=run.goes_on,
        keep=keep,
        check_may_block=run.check_may_block,
    )
