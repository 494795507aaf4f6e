"""What the awaitable face hands out: things to await, as often as you like, in any running loop."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from requence._brief import said_by
from requence.exceptions import UsageError

if TYPE_CHECKING:
    from requence._transport.crossing import Submitted
    from requence._transport.io_loop import IOThread, Work

__all__ = ["Operation", "Pending"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

_log = logging.getLogger("requence.task")


class Pending(Generic[T_co]):
    """A value that has to be awaited. Each `await` waits anew; cancelling one harms nobody else."""

    __slots__ = ("_io", "_spelling", "_wait")

    def __init__(self, io: IOThread, wait: Work[T_co], *, spelling: tuple[str, str]) -> None:
        """Makes something to await.

        Args:
            io: Where the outcome comes from; in a forked child it does not.
            wait: Makes the coroutine that waits in the running loop. While it does, it has to keep the handle,
                which may have no other reference.
            spelling: How the caller wrote it, and without asyncio writes it.
        """
        self._io = io
        self._wait = wait
        self._spelling = spelling

    def __await__(self) -> Generator[Any, None, T_co]:
        self._io.check_usable()
        return self._wait().__await__()

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

    __slots__ = ("__weakref__", "_io", "_sent", "_unasked", "_what")

    def __init__(self, io: IOThread, what: str, sent: Submitted[None]) -> None:
        self._io = io
        self._what = what
        self._sent = sent
        self._unasked = weakref.finalize(self, _report_failure, io, what, sent)
        io.last_words[id(sent)] = lambda: _report(what, sent)

    def __await__(self) -> Generator[Any, None, None]:
        self._take_note()
        return self._confirmed().__await__()

    async def _confirmed(self) -> None:
        import asyncio  # here, as in `blocking`: whoever only imports this package does not wait for it

        try:
            await self._io.wait_async(self._sent)
        except asyncio.CancelledError:
            self._sent.cancel()
            raise

    def confirm(self) -> None:
        """Blocks until it was confirmed.

        Raises:
            RequenceError: What the request has met.
        """
        self._take_note()
        self._io.wait(self._sent)

    def _take_note(self) -> None:
        self._unasked.detach()
        self._io.last_words.pop(id(self._sent), None)

    def __repr__(self) -> str:
        if self._sent.is_cancelled:
            state = "cancelled"
        elif not self._sent.is_done:
            state = "sent, not confirmed yet"
        else:
            state = "confirmed" if self._sent.error is None else f"failed: {said_by(self._sent.error, 60)}"
        return f"<{self._what}: {state}>"


def _report_failure(io: IOThread, what: str, sent: Submitted[None]) -> None:
    """Logs what nobody will ask for any more, as soon as it is known."""
    if io.is_here and io.last_words.pop(id(sent), None) is not None:
        sent.on_done(lambda: _report(what, sent))


def _report(what: str, sent: Submitted[None]) -> None:
    if not sent.is_done or sent.is_cancelled:
        _log.error("%s was not confirmed before the script ended", what)
    elif sent.error is not None:
        _log.error("%s failed, and nobody awaited it: %s", what, sent.error)
