"""From one thread to the loop of another: what is done there, and waited for here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from requence._transport.outcome import Outcome
from requence.exceptions import UsageError

__all__ = ["BATCH", "Submitted", "Work"]

T = TypeVar("T")

Work: TypeAlias = Callable[[], Coroutine[Any, Any, T]]
"""Makes what is to be done; called where it is done."""

BATCH = 128
"""How many events are handed on at once, at most: each hand-over costs about as much as reading an event."""


class Submitted(Outcome[T]):
    """The outcome of a coroutine that runs on another loop.

    Attributes:
        is_cancelled: Whether it was cancelled.
    """

    __slots__ = ("_loop", "_task", "_work", "is_cancelled")

    def __init__(self, work: Work[T], loop: asyncio.AbstractEventLoop) -> None:
        """Prepares it; `begin` is to be called on the loop."""
        super().__init__()
        self.is_cancelled = False
        self._work: Work[T] | None = work
        self._loop = loop
        self._task: asyncio.Task[T] | None = None

    def begin(self) -> None:
        """Begins the coroutine, if it was not cancelled before."""
        work, self._work = self._work, None
        if work is not None and not self.is_cancelled:
            self._task = self._loop.create_task(work())
            self._task.add_done_callback(self._take)

    def cancel(self) -> None:
        """Cancels the coroutine, if it has not ended. In any thread; does not wait for its end."""
        if not self.is_done:
            self.is_cancelled = True
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the coroutine with it
                self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._work = None
        if self._task is None:
            self.fail(_cancelled())
        else:
            self._task.cancel()

    def _take(self, task: asyncio.Task[T]) -> None:
        self._task = None
        if task.cancelled():
            self.is_cancelled = True
            self.fail(_cancelled())
        elif error := task.exception():
            self.fail(error)
        else:
            self.set(task.result())


def _cancelled() -> UsageError:
    return UsageError("The request was cancelled, or the interpreter is shutting down")
