"""The beginning of a handle that starts nothing: of a task that was started before, here or elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from requence._transport.api import Api
from requence.task.starts import StartOutcome

__all__ = ["Attached"]


class Attached:
    """Stands where `Start` does, with an outcome that is known already. On the I/O thread.

    Attributes:
        api: Sends the requests.
        outcome: The answer to finalize, or why the task was not started.
        stream_lost: Whether it is not known where the task can be followed: then only its end can be learned.
        input: The task's input, None if it is not known.
        seat: None; the stream of all tasks is joined before a start.
    """

    seat = None

    def __init__(self, api: Api, outcome: StartOutcome, input: Any = None) -> None:
        self.api = api
        self.input = input
        self.outcome = outcome
        self.stream_lost = outcome.value is not None and outcome.value.watch_url is None

    async def run(self) -> None:
        """Does nothing: it is over."""

    async def abort(self, reason: str | None) -> None:
        """Aborts the task.

        Raises:
            TaskAbortException: The service refused.
        """
        await self.api.abort(self.outcome.get().task_id, reason)

    async def protect(self) -> None:
        """Protects the task."""
        await self.api.protect(self.outcome.get().task_id)

    def abandon(self) -> None:
        """Does nothing: nothing is under way."""

    def overheard(self) -> AbstractContextManager[None]:
        """Returns a context that changes nothing: nothing is under way."""
        return nullcontext()

    def cut_off(self) -> None:
        """Does nothing: nothing is under way."""
