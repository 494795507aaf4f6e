"""The starts of this process that are under way or have failed, for `flush`. On the I/O thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from requence._transport.outcome import SharedOutcome
from requence._transport.started import Started
from requence.exceptions import RequenceError

__all__ = ["StartOutcome", "Starts"]


class StartOutcome(SharedOutcome[Started]):
    """What becomes of one start: set on the I/O thread, known and waited for everywhere.

    Attributes:
        is_asked: Whether somebody has asked for it, who is told of a failure. In any thread.
        is_waited_for: Whether somebody has waited for it alone. In any thread.
    """

    __slots__ = ("is_asked", "is_waited_for")

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = self.is_waited_for = False

    @classmethod
    def known(cls, started: Started) -> StartOutcome:
        """Returns that of a task that was started before."""
        outcome = cls()
        outcome.set(started)
        return outcome


class _Run(Protocol):
    @property
    def start(self) -> StartOutcome: ...


R = TypeVar("R", bound=_Run)

_KEPT = 1000  # failures, for programs that never flush


class Starts(Generic[R]):
    """What was begun, and what has come to nothing.

    A failure is kept until it is collected by `settled`; only the latest 1,000, since many programs never ask.
    """

    def __init__(self) -> None:
        self._under_way: set[R] = set()
        self._failed: deque[tuple[R, RequenceError]] = deque(maxlen=_KEPT)

    @contextmanager
    def under_way(self, run: R) -> Generator[None]:
        """Counts a start as under way for the time of the context."""
        self._under_way.add(run)
        try:
            yield
        finally:
            self._under_way.discard(run)

    @property
    def runs_under_way(self) -> list[R]:
        """What is not decided yet."""
        return list(self._under_way)

    @property
    def unsettled(self) -> list[R]:
        """What is not decided yet, and what has failed."""
        return [*self._under_way, *(run for run, _ in self._failed)]

    def has_failed(self, run: R, failure: RequenceError) -> None:
        """Keeps a failure."""
        self._failed.append((run, failure))

    async def settled(self, timeout: float | None) -> tuple[list[tuple[R, RequenceError]], list[R]]:
        """Waits until all that is under way now is decided, for at most `timeout` seconds.

        Returns:
            What has failed since the last call, and what is not decided yet.
        """
        waited_for = list(self._under_way)
        try:
            async with asyncio.timeout(timeout):
                for run in waited_for:
                    await run.start.wait()
        except TimeoutError:
            pass
        failed = list(self._failed)
        self._failed.clear()
        return failed, [run for run in waited_for if not run.start.is_done]
