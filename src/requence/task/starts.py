"""The starts of this process that are under way or have failed, for `flush`. On the I/O thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
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
        is_logged: Whether a failure was told in the log instead, since the handle has gone.
    """

    __slots__ = ("is_asked", "is_logged", "is_waited_for")

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = self.is_logged = self.is_waited_for = False

    @property
    def is_unheard(self) -> bool:
        """Whether nobody has asked for it: at the most, the log has told of it."""
        return not self.is_asked or self.is_logged

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
        undecided = await _decided(waited_for, timeout)
        failed = list(self._failed)
        self._failed.clear()
        return failed, undecided

    async def settled_of(
        self, belongs: Callable[[R], bool], timeout: float | None
    ) -> tuple[list[tuple[R, RequenceError]], list[R]]:
        """Does the same for some of them, as `belongs` says, and leaves the others alone."""
        undecided = await _decided([run for run in self._under_way if belongs(run)], timeout)
        kept, failed = list(self._failed), list[tuple[R, RequenceError]]()
        self._failed.clear()
        for entry in kept:
            (failed if belongs(entry[0]) else self._failed).append(entry)
        return failed, undecided


async def _decided(runs: Sequence[R], timeout: float | None) -> list[R]:
    """Waits until these starts are decided, for at most `timeout` seconds; returns those that are not."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            for run in runs:
                await run.start.wait()
    return [run for run in runs if not run.start.is_done]
