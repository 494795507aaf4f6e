"""Calls handlers: plain functions in threads, coroutine functions on the event loop, generators to their end.

A thread cannot be stopped from outside. So every call of a plain function has a daemon thread of its own, and
nobody but the program's end waits for one that ignores `ctx.terminated`: it runs on unheard, but takes nobody's
place and keeps no program from ending.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from requence.exceptions import RequenceError
from requence.local.context import Desk, NodeAborted, NodeContext, NodeRetried, NodeSkipped
from requence.local.graph import Handler
from requence.local.json_values import NotJsonError, encode

__all__ = ["Delivered", "Failed", "Handlers", "Returned", "Skipped", "TryAgain"]

# The type of these says nothing that the message does not say.
_SELF_EXPLAINING = (NodeAborted, NotJsonError, RequenceError)
_GENERIC = (Exception, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The handler has come to its end; `text` is what it returned, None for a generator that did not."""

    text: str | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler has failed."""

    error: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The handler wants its node to end without data."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The handler wants to be called again after some seconds."""

    seconds: float


Returned: TypeAlias = "Delivered | Failed | Skipped | TryAgain"


class Handlers:
    """Calls handlers and knows their threads."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()

    async def call(self, alias: str, handler: Handler, ctx: NodeContext, desk: Desk) -> Returned:
        """Calls a handler and returns how it ended; its exceptions are an end, too.

        Args:
            alias: What its thread is called.
            handler: The handler.
            ctx: What it is given.
            desk: Takes what a generator yields.
        """
        try:
            begun = handler(ctx) if _is_async(handler) else await self._in_thread(alias, handler, ctx, desk)
            if inspect.isawaitable(begun):
                begun = await begun
            if inspect.isasyncgen(begun):
                return await _exhausted(begun, ctx, desk)
            return begun if isinstance(begun, Delivered | Failed | Skipped | TryAgain) else _delivered(begun)
        except asyncio.CancelledError:
            if ctx.terminated.is_set():
                raise
            return Failed("CancelledError: the handler cancelled itself")
        except BaseException as error:  # whatever a handler raises, the server lives on
            return _left(error)

    def runs_in(self, thread: threading.Thread) -> bool:
        """Returns whether a handler runs in this thread."""
        return thread in self._threads

    def join(self, timeout: float) -> list[str]:
        """Waits for the threads, from another thread; returns the names of those that still run.

        Args:
            timeout: The longest wait in seconds, for all of them together.
        """
        deadline = time.monotonic() + timeout
        for thread in (threads := list(self._threads)):
            thread.join(max(0.0, deadline - time.monotonic()))
        return sorted(thread.name for thread in threads if thread.is_alive())

    def _in_thread(self, alias: str, handler: Handler, ctx: NodeContext, desk: Desk) -> asyncio.Future[Any]:
        """Calls a plain function; what comes of it is how it ended, or what is to be run on the event loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def settle(deliver: Callable[[Any], None], content: Any) -> None:
            if not future.done():
                deliver(content)

        def work() -> None:
            try:
                try:
                    done = handler(ctx)
                    if inspect.isgenerator(done):
                        done = _drained(done, ctx, desk)
                    elif not (inspect.isawaitable(done) or inspect.isasyncgen(done)):
                        done = _delivered(done)
                except BaseException as error:
                    done = _left(error)
                try:
                    loop.call_soon_threadsafe(settle, future.set_result, done)
                except RuntimeError:  # the server has stopped meanwhile; nobody waits
                    if inspect.iscoroutine(done):
                        done.close()
            finally:
                self._threads.discard(thread)

        thread = threading.Thread(target=work, name=f"requence-local-node-{alias}", daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads; nobody can wait for this one
            self._threads.discard(thread)
            raise
        return future


def _drained(values: Generator[Any, Any, Any], ctx: NodeContext, desk: Desk) -> Delivered:
    try:
        while not ctx.terminated.is_set():
            try:
                value = next(values)
            except StopIteration as end:
                return Delivered(None) if end.value is None else _delivered(end.value)
            desk.deliver(None, encode(value, "yield"))
        return Delivered(None)
    finally:
        values.close()


async def _exhausted(values: AsyncGenerator[Any, Any], ctx: NodeContext, desk: Desk) -> Delivered:
    try:
        async for value in values:
            desk.deliver(None, encode(value, "yield"))
            if ctx.terminated.is_set():
                break
            # One that never waits for anything must not keep the event loop to itself.
            await asyncio.sleep(0)
        return Delivered(None)
    finally:
        await values.aclose()


def _delivered(value: object) -> Delivered:
    return Delivered(encode(value, "result"))


def _left(error: BaseException) -> Returned:
    if isinstance(error, NodeSkipped):
        return Skipped()
    if isinstance(error, NodeRetried):
        return TryAgain(error.seconds)
    return Failed(_explained(error))


def _is_async(handler: Handler) -> bool:
    call = cast("Any", type(handler)).__call__
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in (handler, call))


def _explained(error: BaseException) -> str:
    try:
        message = str(error)
    except BaseException:  # somebody else's exception may have a broken __str__
        message = ""
    kind = type(error).__name__
    if not message:
        return kind
    plain = isinstance(error, _SELF_EXPLAINING) or type(error) in _GENERIC
    return message if plain else f"{kind}: {message}"
