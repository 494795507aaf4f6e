"""From the I/O thread to the consumer: a bounded buffer that hands over all that has gathered, at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, TypeVar

from requence.task.shared import fresh

__all__ = ["Feed"]

T = TypeVar("T")

_CAPACITY = 1024


class Feed(Generic[T]):
    """Reads a source ahead of its one consumer, by at most 1,024 items; then the source waits.

    Lives on the I/O thread; only the constructor may be called elsewhere.
    """

    def __init__(self, source: AsyncGenerator[T]) -> None:
        self._source = source
        self._buffer: list[T] = []
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._error: Exception | None = None

    async def take(self) -> list[T]:
        """Returns all items that wait, at least one; an empty list at the end.

        A cancelled call takes nothing.

        Raises:
            Exception: The source's own error, once everything before it was taken.
        """
        if self._pump is None:
            self._pump = asyncio.create_task(self._run())
        await self._filled.wait()
        if not self._buffer and self._error is not None:
            raise fresh(self._error) from self._error.__cause__
        batch, self._buffer = self._buffer, []
        if not self._pump.done():
            self._filled.clear()
        self._drained.set()
        return batch

    def close(self) -> None:
        """Stops reading and closes the source; the consumer has gone."""
        if self._pump is not None:
            self._pump.cancel()

    async def _run(self) -> None:
        try:
            async with aclosing(self._source) as source:
                async for item in source:
                    self._buffer.append(item)
                    self._filled.set()
                    if len(self._buffer) >= _CAPACITY:
                        self._drained.clear()
                        await self._drained.wait()
        except Exception as error:
            self._error = error
        finally:
            self._filled.set()
