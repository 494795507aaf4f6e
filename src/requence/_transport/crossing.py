"""From one thread to the loop of another, and back: beginning a coroutine there, waiting for it here."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

from requence.exceptions import UsageError

__all__ = ["BATCH", "Work", "begin", "outcome_of", "until_done"]

T = TypeVar("T")

Work: TypeAlias = Callable[[], Coroutine[Any, Any, T]]
"""Makes what is to be done; called where it is done."""

BATCH = 64
"""How many events are handed on at once, at most: each hand-over costs about as much as reading an event."""

# Seconds. On Windows Ctrl-C does not end a wait that is under way. Elsewhere it does, but not if it hits just
# before the wait begins: the interpreter has looked for signals, and is asleep before it looks again.
_SLICE = 0.1 if os.name == "nt" else 1.0


def begin(work: Work[T], future: Future[T]) -> None:
    """Begins a coroutine on the running loop, for a future of another thread."""
    if future.cancelled():
        return
    loop = asyncio.get_running_loop()
    task = loop.create_task(work())

    def tell(done: asyncio.Task[T]) -> None:
        if done.cancelled():
            future.cancel()
        error = None if done.cancelled() else done.exception()
        if not future.set_running_or_notify_cancel():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(done.result())

    def cancel(given_up: Future[T]) -> None:
        if given_up.cancelled() and not task.done():
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the task with it
                loop.call_soon_threadsafe(task.cancel)

    task.add_done_callback(tell)
    future.add_done_callback(cancel)


def outcome_of(future: Future[T]) -> T:
    """Blocks until a future is done, and returns its result.

    Raises:
        UsageError: It was cancelled.
    """
    try:
        while not future.done():
            with contextlib.suppress(TimeoutError):  # of this wait; one that the future ends with is returned
                future.exception(_SLICE)
        return future.result()
    except concurrent.futures.CancelledError:
        raise UsageError("The request was cancelled, or the interpreter is shutting down") from None


async def until_done(future: Future[Any]) -> None:
    """Waits in the running loop until a future of another thread is done; never cancels that future."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def set_woken() -> None:
        if not woken.done():
            woken.set_result(None)

    def wake(_: Future[Any]) -> None:
        # The loop may be closed by now (its `asyncio.run` ended): then nobody waits here any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(set_woken)

    future.add_done_callback(wake)
    await woken
