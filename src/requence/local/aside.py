"""Keeps what takes long off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
    return work() if size <= _AT_ONCE_BYTES else await asyncio.to_thread(work)
