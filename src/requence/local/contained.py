"""Keeps a coroutine that wants to leave the program from taking the server along.

asyncio lets `SystemExit` and `KeyboardInterrupt` out of its event loop when a task ends by them. What a handler
itself raises is caught before; but a handler may make tasks, with `asyncio.gather` for instance, and their
exceptions would end the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["LeftProgramError", "contain", "in_handler"]

T = TypeVar("T")

# Set where handlers are called; the tasks that they make inherit it.
in_handler: ContextVar[bool] = ContextVar("in_handler", default=False)


class LeftProgramError(Exception):
    """A task of a handler wanted to leave the program; the text says by what."""


def contain(loop: asyncio.AbstractEventLoop) -> None:
    """From now on the tasks that handlers make on this event loop fail where they would end it."""

    def task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(_Contained(coroutine) if in_handler.get() else coroutine, loop=loop, **options)

    loop.set_task_factory(task)


class _Contained(Coroutine[Any, Any, T]):
    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self.__qualname__ = getattr(
            coroutine, "__qualname__", type(coroutine).__qualname__
        )  # for asyncio's repr

    def send(self, value: Any, /) -> Any:
        try:
            return self._coroutine.send(value)
        except (SystemExit, KeyboardInterrupt) as error:
            raise _turned(error) from error

    def throw(self, *raised: Any) -> Any:
        try:
            return self._coroutine.throw(*raised)
        except (SystemExit, KeyboardInterrupt) as error:
            raise _turned(error) from error

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._coroutine.__await__()


def _turned(error: BaseException) -> LeftProgramError:
    text = str(error)
    return LeftProgramError(f"{type(error).__name__}: {text}" if text else type(error).__name__)
