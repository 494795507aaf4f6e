"""Waiting until all starts of this process are decided."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from requence.exceptions import RequenceError
from requence.task.arguments import check_seconds
from requence.task.decode import Decoding
from requence.task.handle import Task

if TYPE_CHECKING:
    from requence._transport.io_loop import Work
    from requence.task.run import Run

__all__ = ["Unstarted", "flushing"]


class Unstarted(NamedTuple):
    """A start that has come to nothing, or is not confirmed yet.

    Attributes:
        task: The handle, or another one for the same task where that has gone.
        error: What is in the way; a `TaskWaitTimeout` if the start still goes on.
    """

    task: Task[Any]
    error: RequenceError


def flushing(timeout: float | None) -> Work[list[Unstarted]]:
    """Returns what waits for all starts of this process; see `flush`."""
    seconds = check_seconds("timeout", timeout)

    async def work() -> list[Unstarted]:
        from requence.task.run import starts  # on the I/O thread: it imports asyncio

        with ExitStack() as overhearing:
            for run in starts().runs_under_way:  # what these fail with is returned, and so not logged
                overhearing.enter_context(run.overheard())
            failed, undecided = await starts().settled(seconds)
            for run, _ in failed:
                run.start.is_asked = True
        late = [
            (run, run.wait_is_over(f"The start has taken more than {seconds:g} seconds")) for run in undecided
        ]
        return [Unstarted(_handle(run), error) for run, error in [*failed, *late]]

    return work


def _handle(run: Run) -> Task[Any]:
    """Returns the handle of a start, or another one where that has gone."""
    handle: Task[Any] | None = run.handle() if run.handle is not None else None
    if handle is not None:
        return handle
    return Task._with(run, Decoding(run.of.task_template))  # noqa: SLF001 (no part of the public face)
