"""The beginning of a handle that starts nothing: of a task that was started before, here or elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from requence._transport.api import Api, Started
from requence.exceptions import RequenceError
from requence.task.shared import fresh

__all__ = ["Attached"]


class Attached:
    """Stands where `Start` does, with an outcome that is known already. On the I/O thread.

    Attributes:
        api: Sends the requests.
        started: The answer to finalize, or None.
        failure: Why the task was not started, or None.
        stream_lost: Whether it is not known where the task can be followed: then only its end can be learned.
        seat: None; the stream of all tasks is joined before a start.
    """

    seat = None

    def __init__(self, api: Api, outcome: Started | RequenceError) -> None:
        self.api = api
        self.started = outcome if isinstance(outcome, Started) else None
        self.failure = outcome if isinstance(outcome, RequenceError) else None
        self.stream_lost = self.started is not None and self.started.watch_url is None
        self._outcome = outcome

    async def run(self) -> None:
        """Does nothing: it is over."""

    async def wait(self) -> Started:
        """Returns the answer to finalize.

        Raises:
            RequenceError: The task was not started.
        """
        if isinstance(self._outcome, RequenceError):
            raise fresh(self._outcome) from self._outcome.__cause__
        return self._outcome

    async def abort(self, reason: str | None) -> None:
        """Aborts the task.

        Raises:
            TaskAbortException: The service refused.
        """
        await self.api.abort((await self.wait()).task_id, reason)

    async def protect(self) -> None:
        """Protects the task."""
        await self.api.protect((await self.wait()).task_id)

    def abandon(self) -> None:
        """Does nothing: nothing is under way."""

    def overheard(self) -> AbstractContextManager[None]:
        """Returns a context that changes nothing: nothing is under way."""
        return nullcontext()

    def told(self) -> None:
        """Does nothing: whoever has started the task knows."""

    def cut_off(self) -> None:
        """Does nothing: nothing is under way."""
