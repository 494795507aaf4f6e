"""One outcome for many waiters: each gets an error of its own, and a waiter that leaves disturbs nobody."""

from __future__ import annotations

import asyncio
import copy
from typing import TypeVar

__all__ = ["fresh", "wait_shared"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


def fresh(error: E) -> E:
    """Returns a copy of an error that is raised more than once, so that tracebacks do not pile up in it."""
    try:
        own = copy.copy(error)
    except Exception:  # an exception of another package, that cannot be copied
        return error
    own.__cause__ = error.__cause__
    return own


async def wait_shared(future: asyncio.Future[T]) -> T:
    """Waits for a future that others wait for too; cancelling this wait leaves it alone."""
    if not future.done():
        await asyncio.wait({future})
    error = future.exception()
    if error is not None:
        raise fresh(error) from error.__cause__
    return future.result()
