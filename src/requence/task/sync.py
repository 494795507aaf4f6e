"""The blocking face of a task: the same as the awaitable one, for code without asyncio."""

from __future__ import annotations

from typing import Generic, TypeVar

from requence._transport.io_thread import Work
from requence.task.arguments import check_optional_text, check_position, check_seconds
from requence.task.blocking import block_or_tell
from requence.task.decode import Decoding
from requence.task.iterate import Items
from requence.task.reference import TaskRef
from requence.task.result import T_co, TaskResult
from requence.task.run import Run, opening_of_updates
from requence.task.updates import Update

__all__ = ["SyncTask"]

T = TypeVar("T")


class SyncTask(Generic[T_co]):
    """What `task.sync` returns. Everything here blocks the calling thread, and nothing else."""

    __slots__ = ("_decoding", "_run", "_task")

    def __init__(self, run: Run, decoding: Decoding[T_co], task: object) -> None:
        self._run = run
        self._decoding = decoding
        self._task = task  # a handle lives as long as somebody waits through it

    @property
    def id(self) -> str:
        """The task's id; blocks until the task was accepted and started.

        Raises:
            TaskRefusedError: The input or the template was refused.
            UnauthorizedError: The token was refused.
            RequenceUnreachableException: The service could not be reached.
            StartUncertainError: Whether the task was started is not known.
        """
        return self._block(self._run.id, "await task.task_id")

    @property
    def url(self) -> str | None:
        """The page of the task, None if the service names none; blocks and raises like `id`."""
        return self._block(self._run.url, "await task.task_url")

    @property
    def result(self) -> TaskResult[T_co]:
        """The result; blocks until the task has ended. Raises like `await task.result`."""
        return self._decoding.blocking(self._block(self._run.result, "await task.result"))

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
        return self._block(self._run.id, "await task.finalized()")

    def ref(self) -> TaskRef:
        """Blocks until the task was started, and returns a reference to it. Raises like `id`; see `Task.ref`."""
        return self._block(self._run.ref, "await task.ref()")

    def wait(self, timeout: float | None = None) -> TaskResult[T_co]:
        """Blocks until the task has ended, for at most `timeout` seconds (None: without limit).

        Raises:
            TaskWaitTimeout: The time is over. The task goes on; nothing is aborted, and waiting again is possible.
        """
        seconds = check_seconds("timeout", timeout)
        plain = self._block(lambda: self._run.result(seconds), "await task.wait(…)")
        return self._decoding.blocking(plain)

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

    def _block(self, work: Work[T], instead: str) -> T:
        return block_or_tell(self._run.io, work, self._run.goes_on, instead=instead)

    def __repr__(self) -> str:
        return f"<the blocking face of {self._task!r}>"
