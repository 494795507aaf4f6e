"""Waiting until all starts of this process are decided."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from requence._brief import error_in_brief
from requence.exceptions import RequenceError
from requence.task.arguments import check_seconds
from requence.task.decode import Decoding
from requence.task.handle import Task

if TYPE_CHECKING:
    from requence._transport.io_loop import Work
    from requence.task.run import Run

__all__ = ["Unstarted", "flushing", "unheard"]


class Unstarted(NamedTuple):
    """A start that has come to nothing, or is not confirmed yet.

    Attributes:
        task: The handle, or another one for the same task where that has gone.
        error: What is in the way; a `TaskWaitTimeout` if the start still goes on.
    """

    task: Task[Any]
    error: RequenceError

    def __repr__(self) -> str:
        return f"<Unstarted {self.task!r}: {error_in_brief(self.error, 50)}>"


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
        return [Unstarted(_handle(run), error) for run, error in [*failed, *_late(undecided, seconds)]]

    return work


def unheard(timeout: float, base_url: str) -> Work[list[Unstarted]]:
    """Returns what waits for all starts at one service, and gives those that nobody has asked for, for test kits.

    Failures that somebody has asked for are given up, too, so that `flush` will not tell of any of them.
    """

    async def work() -> list[Unstarted]:
        from requence.task.run import starts  # on the I/O thread: it imports asyncio

        def belongs(run: Run) -> bool:
            return run.base_url == base_url

        with ExitStack() as overhearing:
            for run in filter(belongs, starts().runs_under_way):
                overhearing.enter_context(run.overheard())
            failed, undecided = await starts().settled_of(belongs, timeout)
            silent = [(run, error) for run, error in failed if run.start.is_unheard]
            for run, _ in silent:
                run.start.is_asked = True
        return [Unstarted(_handle(run), error) for run, error in [*silent, *_late(undecided, timeout)]]

    return work


def _late(undecided: list[Run], seconds: float | None) -> list[tuple[Run, RequenceError]]:
    return [
        (run, run.wait_is_over(f"The start has taken more than {seconds:g} seconds")) for run in undecided
    ]


def _handle(run: Run) -> Task[Any]:
    """Returns the handle of a start, or another one where that has gone."""
    handle: Task[Any] | None = run.handle() if run.handle is not None else None
    if handle is not None:
        return handle
    return Task._with(run, Decoding(run.of.task_template))  # noqa: SLF001 (no part of the public face)
