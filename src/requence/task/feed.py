"""One consumer's own stream: read ahead of the consumer by the I/O thread, as far as its mailbox has room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from requence.task.mailbox import Mailbox

__all__ = ["Feed"]

T = TypeVar("T")


class Feed(Mailbox[T]):
    """A mailbox that is filled from a source of its own, from the first wait on."""

    def __init__(
        self,
        source: Callable[[asyncio.Event], AsyncGenerator[list[T]]],
        *,
        on_full: Callable[[], None] | None = None,
    ) -> None:
        """Prepares to read.

        Args:
            source: Returns what is to be read, some items at a time. It is given an event, and pauses whenever
                that is not set.
            on_full: Called when the consumer has fallen behind by as much as fits.
        """
        super().__init__(on_full=self._pause, on_drained=self._resume)
        self._room = asyncio.Event()
        self._room.set()
        self._source = source
        self._told_full = on_full
        self._pump: asyncio.Task[None] | None = None

    async def ready(self) -> bool:
        """Waits until an item can be taken; see `Mailbox`. The first call begins to read."""
        if self._pump is None and not self._ended:
            self._pump = asyncio.create_task(self._run())
        return await super().ready()

    def close(self) -> None:
        """Stops reading and closes the source; the consumer has gone."""
        self.end()
        if self._pump is not None:
            self._pump.cancel()

    def _pause(self) -> None:
        self._room.clear()
        if self._told_full is not None:
            self._told_full()

    def _resume(self) -> None:
        self._room.set()

    async def _run(self) -> None:
        error: Exception | None = None
        try:
            async with aclosing(self._source(self._room)) as source:
                async for items in source:
                    self.put_all(items)
        except Exception as caught:
            error = caught
        finally:
            self.end(error)
