"""Reading a stream of the user's own ahead of its upload, as far as a buffer takes it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable
from contextlib import suppress

from requence._transport.io_loop import IOThread
from requence.exceptions import UsageError
from requence.files.stream import Chunks, RequenceStream, checked_chunk

__all__ = ["Pump", "pumped", "pumps_for"]

_ROOM = 2**20
_LOOK_AGAIN = 1.0  # seconds after which to see whether a loop was closed with a stream still to be read


def pumped(io: IOThread, data: Chunks) -> Pump:
    """Begins to read: on a thread of its own, or, what is asynchronous, on the running loop.

    Raises:
        UsageError: It is asynchronous and no loop runs; or no thread can be started any more.
    """
    if not isinstance(data, AsyncIterable):
        return _ThreadPump(io, data)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "A RequenceStream is made of an asynchronous iterable, but no event loop runs that could read it",
            hint="give a plain iterable, or make the task inside of a running loop",
        ) from None
    return _LoopPump(io, data, loop)


def pumps_for(io: IOThread, contents: Iterable[object]) -> dict[int, Pump]:
    """Begins to read the streams among some contents, each once; returns what reads them, by their identity.

    Raises:
        UsageError: One was used already, or cannot be read here; then none is read.
    """
    pumps: dict[int, Pump] = {}
    try:
        for content in contents:
            if isinstance(content, RequenceStream) and id(content) not in pumps:
                pumps[id(content)] = pumped(io, content.take())
    except BaseException:
        for pump in pumps.values():
            pump.stop()
        raise
    return pumps


class Pump:
    """What was read and not sent yet: 1 MiB, and the chunk that goes beyond it.

    Filled by a reader that runs elsewhere; emptied on the I/O thread.
    """

    def __init__(self, io: IOThread) -> None:
        self._io = io
        self._lock = threading.Lock()
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._error: Exception | None = None
        self._stopped = False
        self._changed = asyncio.Event()

    async def first(self) -> None:
        """Waits until there is something to send, or nothing will come.

        Raises:
            Exception: What the reader has met before that.
        """
        await self._until(lambda: bool(self._chunks) or self._ended)
        if self._error is not None and not self._chunks:
            raise self._error

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yields what is read, to the end.

        Raises:
            Exception: What the reader has met.
        """
        while True:
            await self._until(lambda: bool(self._chunks) or self._ended)
            with self._lock:
                taken, self._bytes = list(self._chunks), 0
                self._chunks.clear()
            self._has_room()
            if taken:
                yield b"".join(taken)
            elif self._error is not None:
                raise self._error
            else:
                return

    @property
    def needs_this_thread(self) -> bool:
        """Whether it is the event loop running in the calling thread that still has to read it."""
        return False

    def stop(self) -> None:
        """Ends the reading: nobody wants the rest. In any thread."""
        self._stopped = True
        self._end_reading()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            if condition():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN):
                    await self._changed.wait()
            self._check_reader()

    def _put(self, chunk: object) -> bool:
        """Keeps a chunk; returns whether there is room for more. By the reader."""
        data = checked_chunk(chunk)
        if data:
            with self._lock:
                self._chunks.append(data)
                self._bytes += len(data)
                room = self._bytes < _ROOM
            self._io.call_soon(self._changed.set)
            return room
        return True

    def _finish(self, error: Exception | None = None) -> None:
        self._error, self._ended = error, True
        self._io.call_soon(self._changed.set)

    def _has_room(self) -> None:
        """Lets the reader go on."""

    def _end_reading(self) -> None:
        """Lets the reader see that it is stopped."""
        self._has_room()

    def _check_reader(self) -> None:
        """Ends it if the reader has gone without a word."""


class _ThreadPump(Pump):
    def __init__(self, io: IOThread, data: Iterable[bytes]) -> None:
        super().__init__(io)
        self._room = threading.Event()
        context = contextvars.copy_context()
        try:
            threading.Thread(
                target=context.run, args=(self._run, data), name="requence-stream", daemon=True
            ).start()
        except RuntimeError as error:
            raise UsageError(f"No stream can be read here: {error}") from error

    def _run(self, data: Iterable[bytes]) -> None:
        try:
            for chunk in data:
                if not self._put(chunk):
                    while self._bytes >= _ROOM and not self._stopped:
                        self._room.wait()
                        self._room.clear()
                if self._stopped:
                    break
        except BaseException as error:  # also `sys.exit`: this is a thread of ours, and not the script
            self._finish(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        else:
            self._finish()
        finally:
            if isinstance(data, Generator):
                with suppress(Exception):
                    data.close()

    def _has_room(self) -> None:
        self._room.set()


class _LoopPump(Pump):
    def __init__(self, io: IOThread, data: AsyncIterable[bytes], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(io)
        self._loop = loop
        self._room = asyncio.Event()
        self._task = loop.create_task(self._run(data), name="requence-stream")

    async def _run(self, data: AsyncIterable[bytes]) -> None:
        try:
            async for chunk in data:
                if not self._put(chunk):
                    while self._bytes >= _ROOM and not self._stopped:
                        await self._room.wait()
                        self._room.clear()
                if self._stopped:
                    break
        except asyncio.CancelledError:
            if self._stopped:
                return
            self._finish(UsageError("The event loop that reads a RequenceStream has ended before the stream"))
            raise
        except Exception as error:
            self._finish(error)
        else:
            self._finish()
        finally:
            if isinstance(data, AsyncGenerator):
                with suppress(Exception):
                    await data.aclose()

    @property
    def needs_this_thread(self) -> bool:
        try:
            return not self._ended and asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _has_room(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._room.set)

    def _end_reading(self) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        self._room.set()
        if not self._ended:  # it may wait for a chunk that never comes; else it only closes what it has read
            self._task.cancel()

    def _check_reader(self) -> None:
        if self._loop.is_closed() and not self._ended:
            self._finish(UsageError("The event loop that reads a RequenceStream was closed before its end"))
