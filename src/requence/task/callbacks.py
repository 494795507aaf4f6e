"""Calling what users gave us: in order, never on the I/O thread, and without harm to anything if it fails."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, cast

from requence._transport.io_loop import IOThread
from requence.exceptions import ConfigurationError, UsageError
from requence.task.arguments import is_coroutine_function

__all__ = ["Callbacks"]

_log = logging.getLogger("requence.task")

_LOOK_AGAIN = 1.0  # seconds after which to see whether a loop was closed with a callback still to be run


class Callbacks:
    """The callbacks of one handle or watcher, called one after the other.

    A plain function is called on a worker thread, a coroutine function on the loop that was running when this was
    made; both in the `contextvars` context of that moment.

    Attributes:
        stopped: To be set when none is to be called any more, but for the call that is under way.
    """

    def __init__(self, io: IOThread, **functions: Callable[..., object] | None) -> None:
        """Checks the callbacks.

        Args:
            io: The I/O thread.
            functions: The callbacks by their names; None for one that was not given.

        Raises:
            ConfigurationError: One cannot be called.
            UsageError: One is a coroutine function, and no loop is running.
        """
        self._io = io
        self._functions = {name: function for name, function in functions.items() if function is not None}
        self._context = contextvars.copy_context()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        self._posted: set[asyncio.Task[None]] = set()
        self.stopped = threading.Event()
        for name, function in self._functions.items():
            if not callable(function):
                raise ConfigurationError(f"{name} must be a function or None, not {type(function).__name__}")
            if is_coroutine_function(function):
                self._loop = _running_loop(name)

    def __contains__(self, name: str) -> bool:
        return name in self._functions

    def post(self, name: str, *args: Any) -> asyncio.Task[None] | None:
        """Has a callback called soon, if it was given; returns that. On the I/O thread."""
        if name not in self._functions:
            return None
        task = asyncio.create_task(self._call(name, args), name=name)
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)
        return task

    async def call_each(self, name: str, calls: Sequence[tuple[Any, ...]]) -> None:
        """Calls a callback once for each tuple of arguments, and waits for that. On the I/O thread.

        Raises:
            RuntimeError: Its loop was closed, or the interpreter is shutting down: it can be called no more.
        """
        function = self._functions[name]
        async with self._turn:
            if self.stopped.is_set():
                return
            if is_coroutine_function(function):
                await self._on_loop(lambda: self._await_each(name, function, calls))
            else:
                job = self._io.callbacks.submit(
                    lambda: self._context.run(self._call_each, name, function, calls)
                )
                await asyncio.wrap_future(job)

    async def _call(self, name: str, args: tuple[Any, ...]) -> None:
        try:
            await self.call_each(name, [args])
        except RuntimeError as error:
            _log.warning("%s could not be called: %s", name, error)

    async def _on_loop(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs a coroutine on the loop of the callbacks, and waits for it."""
        here, there = asyncio.get_running_loop(), cast("asyncio.AbstractEventLoop", self._loop)
        done = here.create_future()

        def finish(_: asyncio.Task[None]) -> None:
            with suppress(RuntimeError):  # the I/O thread has ended meanwhile
                here.call_soon_threadsafe(set_done)

        def set_done() -> None:
            if not done.done():
                done.set_result(None)

        def begin() -> None:
            there.create_task(work(), context=self._context).add_done_callback(finish)

        there.call_soon_threadsafe(begin)
        while not done.done():
            await asyncio.wait({done}, timeout=_LOOK_AGAIN)
            if there.is_closed():
                raise RuntimeError("the event loop of the callback was closed")

    async def _await_each(
        self, name: str, function: Callable[..., object], calls: Sequence[tuple[Any, ...]]
    ) -> None:
        for args in calls:
            if self.stopped.is_set():
                return
            try:
                await cast("Awaitable[object]", function(*args))
            except Exception:
                _log.exception("%s has failed", name)
            except asyncio.CancelledError:
                if cast("asyncio.Task[None]", asyncio.current_task()).cancelling():
                    raise  # its loop ends
                _log.exception("%s has failed", name)

    def _call_each(
        self, name: str, function: Callable[..., object], calls: Sequence[tuple[Any, ...]]
    ) -> None:
        for args in calls:
            if self.stopped.is_set():
                return
            try:
                outcome = function(*args)
                if inspect.iscoroutine(outcome):
                    outcome.close()
                    raise TypeError("it has returned a coroutine: give the coroutine function itself")
            except BaseException:  # also `sys.exit`: this is a thread of ours, and not the script
                _log.exception("%s has failed", name)


def _running_loop(name: str) -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            f"{name} is a coroutine function, but no event loop is running that could call it",
            hint="give a plain function, or make this inside of a running loop",
        ) from None
