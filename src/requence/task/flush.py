"""Waiting until all starts of this process are decided."""

from __future__ import annotations

from typing import NamedTuple

from requence._transport.io_thread import Work
from requence.exceptions import RequenceError
from requence.task.arguments import check_seconds
from requence.task.handle import Task
from requence.task.run import starts

__all__ = ["Unstarted", "flushing"]


class Unstarted(NamedTuple):
    """A start that has come to nothing, or is not confirmed yet.

    Attributes:
        task: The handle, or another one for the same task where that has gone.
        error: What is in the way; a `TaskWaitTimeout` if the start still goes on.
    """

    task: Task
    error: RequenceError


def flushing(timeout: float | None) -> Work[list[Unstarted]]:
    """Returns what waits for all starts of this process; see `flush`."""
    seconds = check_seconds("timeout", timeout)

    async def work() -> list[Unstarted]:
        for run in starts().runs_under_way:
            run.told()  # what it fails with is returned, and so not logged
        failed, undecided = await starts().settled(seconds)
        for run, _ in failed:
            run.told()
        late = [
            (run, run.wait_is_over(f"The start has taken more than {seconds:g} seconds")) for run in undecided
        ]
        # The handle that made a start may have gone: what is left of it serves another one as well.
        return [Unstarted(Task._with(run), error) for run, error in [*failed, *late]]  # noqa: SLF001

    return work
