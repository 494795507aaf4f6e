"""Reading the inputs of a batch, inside of a running loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from requence.exceptions import UsageError

if TYPE_CHECKING:
    import asyncio

__all__ = ["END", "AsyncReader", "PlainReader"]

END: Final = object()
"""What is read where there are no inputs left."""

_LOOP_ENDED = "The event loop that reads the inputs of map_tasks has ended before them"


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
    """Reads an asynchronous iterable, whose next input may take its time: nobody waits for it here.

    All of it is read, and a generator is closed, in one task of asyncio, as an `async for` would do it: what a
    generator has open where it yields (a time limit, a task group, a context variable) works in one task only.
    """

    def __init__(self, inputs: AsyncIterator[Any], tell: Callable[[object], None]) -> None:
        """Reads nothing yet.

        Args:
            inputs: The inputs.
            tell: Called when one comes after `has_come` has said that there is none.
        """
        self._inputs: AsyncIterator[Any] | None = inputs
        self._tell = tell
        self._reading: asyncio.Task[None] | None = None
        self._wanted: asyncio.Event | None = None
        self._come: list[Any] = []  # one input at most, or the end of them
        self._error: BaseException | None = None
        self._is_awaited = False

    async def has_come(self) -> bool:
        """Says whether there is an input, or the end of them, for `take`.

        Raises:
            UsageError: They are being read on another loop.
        """
        import asyncio  # here: the faces of a batch import this module, and asyncio takes its time

        if self._come:
            return True
        if self._reading is None:
            self._wanted = asyncio.Event()
            self._reading = asyncio.create_task(self._read(self._wanted), name="inputs of map_tasks")
        elif self._reading.get_loop() is not asyncio.get_running_loop():
            raise UsageError(
                "The inputs of this map_tasks are being read on another event loop",
                hint="iterate where you have begun to, or make the inputs a plain iterable",
            )
        if not self._is_awaited:
            cast("asyncio.Event", self._wanted).set()
            await asyncio.sleep(0)  # an input that is there already comes now
            self._is_awaited = not self._come
        return bool(self._come)

    def take(self) -> Any:
        """Returns what has come; raises what the iterable has raised."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # which has this reader in its traceback
        return END if self._come[-1] is END else self._come.pop()

    async def close(self) -> None:
        """Stops reading, and waits for that."""
        import asyncio

        reading, self._inputs = self._reading, None
        if reading is not None and reading.get_loop() is asyncio.get_running_loop():
            reading.cancel()
            await asyncio.wait({reading})
        else:
            self.stop()

    def stop(self) -> None:
        """Stops reading, in any thread."""
        reading, self._inputs = self._reading, None
        if reading is not None:
            with suppress(RuntimeError):  # the loop was closed
                reading.get_loop().call_soon_threadsafe(reading.cancel)

    async def _read(self, wanted: asyncio.Event) -> None:
        import asyncio

        inputs, self._inputs = self._inputs, None
        try:
            while True:
                await wanted.wait()
                wanted.clear()
                self._put(await anext(cast("AsyncIterator[Any]", inputs)))
        except StopAsyncIteration:
            pass
        except asyncio.CancelledError as error:
            ended = cast("asyncio.Task[None]", asyncio.current_task()).cancelling()
            self._error = UsageError(_LOOP_ENDED) if ended else error  # the latter is the iterable's own
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):  # Ctrl-C, `sys.exit`: that is for the loop as well
                raise
        finally:
            if isinstance(inputs, AsyncGenerator):
                with suppress(Exception, asyncio.CancelledError):  # who would be told has gone
                    await inputs.aclose()
            self._put(END)

    def _put(self, input: object) -> None:
        self._come.append(input)
        if self._is_awaited:
            self._is_awaited = False
            self._tell(None)
