"""From the I/O thread to the consumer: a bounded buffer, with one wake-up for all that has gathered in it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, TypeVar

from requence.task.shared import fresh

__all__ = ["Feed"]

T = TypeVar("T")

_CAPACITY = 1024


class Feed(Generic[T]):
    """Reads a source ahead of its consumers, by at most 1,024 items; then the source waits until all were taken.

    `pop` may be called in any thread, the rest only on the I/O thread. Each item is given once, whoever asks.
    """

    def __init__(self, source: AsyncGenerator[T]) -> None:
        self._source = source
        self._items: deque[T] = deque()
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._ended = False
        self._error: Exception | None = None

    def pop(self) -> T:
        """Returns the next item.

        Raises:
            IndexError: None waits; `ready` tells when there is one.
        """
        return self._items.popleft()

    async def ready(self) -> bool:
        """Waits until an item can be taken. Takes nothing itself, so it can be cancelled without loss.

        Returns:
            False at the end.

        Raises:
            Exception: The source's own error, once everything before it was taken.
        """
        if self._pump is None and not self._ended:
            self._pump = asyncio.create_task(self._run())
        while not self._items:
            if self._ended:
                if self._error is not None:
                    raise fresh(self._error) from self._error.__cause__
                return False
            self._drained.set()
            self._changed.clear()
            await self._changed.wait()
        return True

    def close(self) -> None:
        """Stops reading and closes the source; the consumer has gone."""
        self._ended = True
        self._changed.set()
        if self._pump is not None:
            self._pump.cancel()

    async def _run(self) -> None:
        try:
            async with aclosing(self._source) as source:
                async for item in source:
                    self._items.append(item)
                    self._changed.set()
                    if len(self._items) >= _CAPACITY:
                        self._drained.clear()
                        await self._drained.wait()
        except Exception as error:
            self._error = error
        finally:
            self._ended = True
            self._changed.set()
