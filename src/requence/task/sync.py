"""The blocking face of a task: the same as the awaitable one, for code without asyncio."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from requence._transport.blocking import block_or_tell, block_until_known
from requence.task.arguments import check_optional_text, check_position, check_seconds
from requence.task.decode import Decoding
from requence.task.iterate import Items
from requence.task.opening import opening_of_updates
from requence.task.reference import TaskRef
from requence.task.result import T_co, TaskResult
from requence.task.updates import Update

if TYPE_CHECKING:
    from requence._transport.io_loop import Work
    from requence._transport.started import Started
    from requence.task.run import Run

__all__ = ["SyncTask"]

F = TypeVar("F", bound=Callable[..., object])


def _completed_as(kind: type) -> Callable[[F], F]:
    """Says for completion in interactive shells what class the value of a property has.

    Where a completer (jedi) finds no class in the annotation, it reads the property to see what comes out: that
    would block at the press of a key until the task has ended.
    """

    def mark(read: F) -> F:
        function = cast("Any", read)
        # What `inspect` and `help` show stays as it is written.
        function.__signature__ = inspect.signature(read)
        function.__annotations__ = {**function.__annotations__, "return": kind}
        return read

    return mark


class SyncTask(Generic[T_co]):
    """What `task.sync` returns. Everything here blocks the calling thread, and nothing else."""

    __slots__ = ("_decoding", "_run", "_task")

    def __init__(self, run: Run, decoding: Decoding[T_co], task: object) -> None:
        self._run = run
        self._decoding = decoding
        self._task = task  # a handle lives as long as somebody waits through it

    @property
    @_completed_as(str)
    def id(self) -> str:
        """The task's id; blocks until the task was accepted and started.

        Raises:
            TaskRefusedError: The input or the template was refused.
            UnauthorizedError: The token was refused.
            RequenceUnreachableException: The service could not be reached.
            StartUncertainError: Whether the task was started is not known.
        """
        return self._started("await task.task_id").task_id

    @property
    @_completed_as(str)
    def url(self) -> str | None:
        """The page of the task, None if the service names none; blocks and raises like `id`."""
        return self._started("await task.task_url").url

    @property
    @_completed_as(TaskResult)
    def result(self) -> TaskResult[T_co]:
        """The result; blocks until the task has ended. Raises like `await task.result`."""
        return self._decoding.blocking(self._ended("await task.result"))

    @property
    def updates(self) -> Items[Update]:
        """The updates, for `for`: all of them in order, in each iteration, ending with the last one.

        A failed or aborted task does not raise here, its last update says so. What `id` raises is raised.
        """
        return Items(opening_of_updates(self._run, self._task))

    def updates_after(self, position: int) -> Items[Update]:
        """The updates after the one at `position`, for `for`; see `Task.updates_after`."""
        return Items(opening_of_updates(self._run, self._task, after=check_position(position)))

    def finalized(self) -> str:
        """Blocks until the task was accepted and started, and returns its id. Opens no stream."""
        return self._started("await task.finalized()").task_id

    def ref(self) -> TaskRef:
        """Blocks until the task was started, and returns a reference to it. Raises like `id`; see `Task.ref`."""
        return self._run.reference(self._started("await task.ref()"))

    def wait(self, timeout: float | None = None) -> TaskResult[T_co]:
        """Blocks until the task has ended, for at most `timeout` seconds (None: without limit).

        Raises:
            TaskWaitTimeout: The time is over. The task goes on; nothing is aborted, and waiting again is possible.
        """
        seconds = check_seconds("timeout", timeout)
        run, instead = self._run, "await task.wait(…)"
        if seconds is None:
            return self._decoding.blocking(self._ended(instead))
        run.check_may_block(instead)
        work = partial(run.result_within, seconds)
        return self._decoding.blocking(block_or_tell(run.io, work, run.goes_on, instead=instead))

    def abort(self, reason: str | None = None) -> None:
        """Aborts the task and blocks until that was confirmed. Raises `TaskAbortException` if refused."""
        reason = check_optional_text("reason", reason)
        self._ask("abort", lambda: self._run.abort(reason), "await task.abort(…)")

    def protect(self) -> None:
        """Protects the task and blocks until that was confirmed. Raises `TaskProtectException` if refused."""
        self._ask("protect", self._run.protect, "await task.protect()")

    def _ask(self, verb: str, work: Work[None], instead: str) -> None:
        run = self._run
        block_or_tell(run.io, work, lambda: run.not_confirmed(verb), instead=instead)

    def _started(self, instead: str) -> Started:
        run = self._run
        run.check_may_block(instead)
        return block_until_known(run.io, run.starting, run.goes_on, instead=instead)

    def _ended(self, instead: str) -> TaskResult:
        run = self._run
        run.check_may_block(instead)
        return block_until_known(run.io, run.ending, run.goes_on, instead=instead)

    def __repr__(self) -> str:
        return f"<the blocking face of {self._task!r}>"
