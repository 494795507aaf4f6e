"""The starts of this process that are under way or have failed, for `flush`. On the I/O thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

from requence.exceptions import RequenceError

__all__ = ["Starts"]

R = TypeVar("R")

_KEPT = 1000  # failures, for programs that never flush


class Starts(Generic[R]):
    """What was begun, and what has come to nothing.

    A failure is kept until it is collected by `settled`; only the latest 1,000, since many programs never ask.
    """

    def __init__(self) -> None:
        self._under_way: dict[asyncio.Event, R] = {}
        self._failed: deque[tuple[R, RequenceError]] = deque(maxlen=_KEPT)

    @contextmanager
    def under_way(self, run: R) -> Generator[None]:
        """Counts a start as under way for the time of the context."""
        over = asyncio.Event()
        self._under_way[over] = run
        try:
            yield
        finally:
            del self._under_way[over]
            over.set()

    @property
    def runs_under_way(self) -> list[R]:
        """What is not decided yet."""
        return list(self._under_way.values())

    @property
    def unsettled(self) -> list[R]:
        """What is not decided yet, and what has failed."""
        return [*self._under_way.values(), *(run for run, _ in self._failed)]

    def has_failed(self, run: R, failure: RequenceError) -> None:
        """Keeps a failure."""
        self._failed.append((run, failure))

    async def settled(self, timeout: float | None) -> tuple[list[tuple[R, RequenceError]], list[R]]:
        """Waits until all that is under way now is decided, for at most `timeout` seconds.

        Returns:
            What has failed since the last call, and what is not decided yet.
        """
        waited_for = dict(self._under_way)
        try:
            async with asyncio.timeout(timeout):
                for over in waited_for:
                    await over.wait()
        except TimeoutError:
            pass
        failed = list(self._failed)
        self._failed.clear()
        return failed, [run for over, run in waited_for.items() if not over.is_set()]
