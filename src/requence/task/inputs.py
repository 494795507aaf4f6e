"""Reading the inputs of a batch, inside of a running loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

__all__ = ["END", "AsyncReader", "PlainReader"]

END: Final = object()
"""What is read where there are no inputs left."""


class PlainReader:
    """Reads a plain iterable, which has its inputs at once."""

    def __init__(self, inputs: Iterator[Any]) -> None:
        self._inputs = inputs

    async def has_come(self) -> bool:
        """Returns True: there is nothing to wait for."""
        return True

    def take(self) -> Any:
        """Returns the next input, or `END`."""
        return next(self._inputs, END)

    async def close(self) -> None:
        """Does nothing: nothing is under way."""


class AsyncReader:
    """Reads an asynchronous iterable, whose next input may take its time: nobody waits for it here."""

    def __init__(self, inputs: AsyncIterator[Any], tell: Callable[[object], None]) -> None:
        """Reads nothing yet.

        Args:
            inputs: The inputs.
            tell: Called when one comes after `has_come` has said that there is none.
        """
        self._inputs = inputs
        self._tell = tell
        self._reading: asyncio.Task[Any] | None = None
        self._is_awaited = False

    async def has_come(self) -> bool:
        """Says whether there is an input, or the end of them, for `take`."""
        import asyncio  # here: the faces of a batch import this module, and asyncio takes its time

        if self._reading is None:
            self._reading = asyncio.create_task(_next(self._inputs), name="next input of map_tasks")
            self._is_awaited = False
        if not self._reading.done():
            await asyncio.wait({self._reading}, timeout=0)  # an input that is there already comes now
        if not self._reading.done() and not self._is_awaited:
            self._is_awaited = True
            self._reading.add_done_callback(self._tell)
        return self._reading.done()

    def take(self) -> Any:
        """Returns what has come; raises what the iterable has raised."""
        reading, self._reading = self._reading, None
        return END if reading is None else reading.result()

    async def close(self) -> None:
        """Stops reading, and waits for that."""
        import asyncio

        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})
            if not reading.cancelled():
                reading.exception()  # else asyncio complains that nobody has asked for it

    def stop(self) -> None:
        """Stops reading, in any thread."""
        reading, self._reading = self._reading, None
        if reading is not None:
            with suppress(RuntimeError):  # the loop was closed
                reading.get_loop().call_soon_threadsafe(reading.cancel)


async def _next(inputs: AsyncIterator[Any]) -> Any:
    try:
        return await anext(inputs)
    except StopAsyncIteration:
        return END
