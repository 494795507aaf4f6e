"""Keeps what takes long off the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

__all__ = ["aside"]

T = TypeVar("T")

# What is done with so much takes some milliseconds, which is also what handing it over may take.
_AT_ONCE_BYTES = 64 * 1024


async def aside(size: float, work: Callable[[], T]) -> T:
    """Returns what `work` returns; it is called in another thread if there is much to do.

    Args:
        size: How many bytes are worked on.
        work: What is to be done. It must not use the database, which belongs to the event loop.
    """
    return work() if size <= _AT_ONCE_BYTES else await _in_thread(work)


async def _in_thread(work: Callable[[], T]) -> T:
    """Calls it in a daemon thread: one of the loop's own executor would be waited for when the server stops."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(deliver: Callable[[], None]) -> None:
        if not future.done():
            deliver()

    def call() -> None:
        try:
            deliver = partial(future.set_result, work())
        except BaseException as error:
            deliver = partial(future.set_exception, error)
        with suppress(RuntimeError):  # the server has stopped meanwhile; nobody waits
            loop.call_soon_threadsafe(settle, deliver)

    threading.Thread(target=call, name="requence-local-aside", daemon=True).start()
    return await future
