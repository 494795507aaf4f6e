"""Calls handlers: plain functions in threads, coroutine functions on the event loop.

A thread cannot be stopped from outside. So every call of a plain function has a daemon thread of its own, and
the limit counts only calls that somebody waits for: a handler that ignores `ctx.terminated` runs on to its end
unheard, but takes nobody's place and keeps no program from ending.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

from requence.exceptions import RequenceError
from requence.local.context import NodeAborted, NodeContext
from requence.local.graph import Handler, Outcome
from requence.local.json_values import NotJsonError, encode

__all__ = ["Handlers"]

# The type of these says nothing that the message does not say.
_SELF_EXPLAINING = (NodeAborted, NotJsonError, RequenceError)
_GENERIC = (Exception, RuntimeError, ValueError)


class Handlers:
    """Calls handlers, at most `limit` in threads at once.

    Args:
        limit: How many at once.
        open_file: Opens for them what a reference to a file stands for.
    """

    def __init__(self, limit: int, open_file: Callable[[object], BinaryIO]) -> None:
        self.open_file = open_file
        self._places = asyncio.Semaphore(limit)
        self._threads: set[threading.Thread] = set()

    @asynccontextmanager
    async def place(self, handler: Handler) -> AsyncGenerator[None]:
        """Waits until the handler may run, and keeps the place meanwhile."""
        if _is_async(handler):
            yield
        else:
            async with self._places:
                yield

    async def call(self, alias: str, handler: Handler, ctx: NodeContext) -> Outcome:
        """Calls a handler and returns how it ended; its exceptions are an outcome, too."""
        try:
            if _is_async(handler):
                return await _awaited(handler(ctx))
            outcome = await self._in_thread(alias, handler, ctx)
            return await _awaited(outcome) if inspect.isawaitable(outcome) else outcome
        except asyncio.CancelledError:
            if ctx.terminated.is_set():
                raise
            return Outcome("failure", "CancelledError: the handler cancelled itself")
        except BaseException as error:  # whatever a handler raises, the server lives on
            return Outcome("failure", _explained(error))

    def join(self, timeout: float) -> list[str]:
        """Waits for the threads, from another thread; returns the names of those that still run.

        Args:
            timeout: The longest wait in seconds, for all of them together.
        """
        deadline = time.monotonic() + timeout
        for thread in (threads := list(self._threads)):
            thread.join(max(0.0, deadline - time.monotonic()))
        return sorted(thread.name for thread in threads if thread.is_alive())

    def _in_thread(self, alias: str, handler: Handler, ctx: NodeContext) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def settle(deliver: Callable[[Any], None], content: Any) -> None:
            if not future.done():
                deliver(content)

        def work() -> None:
            try:
                try:
                    result = handler(ctx)
                    done = result if inspect.isawaitable(result) else _succeeded(result)
                except BaseException as error:
                    done = Outcome("failure", _explained(error))
                try:
                    loop.call_soon_threadsafe(settle, future.set_result, done)
                except RuntimeError:  # the server has stopped meanwhile; nobody waits
                    if inspect.iscoroutine(done):
                        done.close()
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=work, name=f"requence-local-node-{alias}", daemon=True)
        self._threads.add(thread)
        thread.start()
        return future


async def _awaited(result: Awaitable[object]) -> Outcome:
    return _succeeded(await result)


def _succeeded(value: object) -> Outcome:
    return Outcome("success", encode(value, "result"))


def _is_async(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def _explained(error: BaseException) -> str:
    try:
        message = str(error)
    except Exception:  # somebody else's exception may have a broken __str__
        message = ""
    kind = type(error).__name__
    if not message:
        return kind
    plain = isinstance(error, _SELF_EXPLAINING) or type(error) in _GENERIC
    return message if plain else f"{kind}: {message}"
