"""What the awaitable face hands out: things to await, as often as you like, in any running loop."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from requence._transport.io_thread import IOThread, Work
from requence.exceptions import UsageError
from requence.task.blocking import WhatGoesOn, wait_or_tell

__all__ = ["Operation", "Pending"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_log = logging.getLogger("requence.task")


class Pending(Generic[T_co]):
    """A value that has to be awaited. Each `await` waits anew; cancelling one harms nobody else."""

    __slots__ = ("_goes_on", "_io", "_keep", "_spelling", "_wait")

    def __init__(
        self, io: IOThread, wait: Work[T_co], *, spelling: tuple[str, str], goes_on: WhatGoesOn, keep: object
    ) -> None:
        """Makes something to await.

        Args:
            io: Where to wait.
            wait: Makes the coroutine that waits on the I/O thread.
            spelling: How the caller wrote it, and without asyncio writes it.
            goes_on: Describes what goes on when the wait is given up.
            keep: What must stay alive while somebody waits: the handle.
        """
        self._io = io
        self._wait = wait
        self._spelling = spelling
        self._goes_on = goes_on
        self._keep = keep

    def __await__(self) -> Generator[Any, None, T_co]:
        return self._awaited().__await__()

    async def _awaited(self) -> T_co:
        # In a coroutine of our own: its frame keeps `self`, and so the handle, which may have no other reference.
        return await wait_or_tell(self._io, self._wait, self._goes_on)

    def __repr__(self) -> str:
        return f"<{self._forgotten()}>"

    def __str__(self) -> NoReturn:
        raise UsageError(self._forgotten())

    def __format__(self, _: str) -> NoReturn:
        raise UsageError(self._forgotten())

    def __bool__(self) -> NoReturn:
        raise UsageError(self._forgotten())

    def _forgotten(self) -> str:
        asynchronous, blocking = self._spelling
        return f"{asynchronous} has to be awaited: `await {asynchronous}`, or without asyncio `{blocking}`"

    if not TYPE_CHECKING:  # for which these would be there

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):  # asked for by tools, such as `copy`; maybe before anything is there
                raise AttributeError(name)
            raise AttributeError(f"no attribute {name!r}, since {self._forgotten()}", name=name, obj=self)

        def __getitem__(self, key: object) -> NoReturn:
            raise UsageError(self._forgotten())

        def __iter__(self) -> NoReturn:
            raise UsageError(self._forgotten())

        def __eq__(self, other: object) -> bool:
            if isinstance(other, Pending):
                return self is other
            raise UsageError(self._forgotten())

        __hash__ = object.__hash__


class Operation:
    """A request that was sent when it was called, such as an abort. Await it to learn that it was confirmed.

    Raises when awaited what the request has met. A failure that nobody asks for is logged.
    """

    __slots__ = ("__weakref__", "_future", "_io", "_unasked", "_what")

    def __init__(self, io: IOThread, what: str, future: Future[None]) -> None:
        self._io = io
        self._what = what
        self._future = future
        self._unasked = weakref.finalize(self, _report_failure, io, what, future)
        io.last_words[id(future)] = lambda: _report(what, future)

    def __await__(self) -> Generator[Any, None, None]:
        self._take_note()
        return self._confirmed().__await__()

    async def _confirmed(self) -> None:
        try:
            await self._io.wait_async(self._future)
        except asyncio.CancelledError:
            self._future.cancel()
            raise

    def confirm(self) -> None:
        """Blocks until it was confirmed.

        Raises:
            RequenceError: What the request has met.
        """
        self._take_note()
        self._io.wait(self._future)

    def _take_note(self) -> None:
        self._unasked.detach()
        self._io.last_words.pop(id(self._future), None)

    def __repr__(self) -> str:
        if not self._future.done():
            state = "sent, not confirmed yet"
        elif self._future.cancelled():
            state = "cancelled"
        else:
            error = self._future.exception()
            state = "confirmed" if error is None else f"failed: {error}"
        return f"<{self._what}: {state}>"


def _report_failure(io: IOThread, what: str, future: Future[None]) -> None:
    """Logs what nobody will ask for any more, as soon as it is known."""
    if io.is_here and io.last_words.pop(id(future), None) is not None:
        future.add_done_callback(lambda done: _report(what, done))


def _report(what: str, future: Future[None]) -> None:
    if not future.done() or future.cancelled():
        _log.error("%s was not confirmed before the script ended", what)
    elif error := future.exception():
        _log.error("%s failed, and nobody awaited it: %s", what, error)
