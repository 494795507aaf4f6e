"""Asking now and then how a task is whose stream is kept open by signs of life, and shows nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from requence._transport.slots import Lease
from requence.exceptions import RequenceError

__all__ = ["Probe"]

_logger = logging.getLogger("requence.transport")

# Seconds without an event. A stream without comments is closed after 300, which leads to the same question.
_FIRST = 310.0
_LONGEST = 3600.0


class Probe:
    """Asks while a connection is open: after five minutes without an event, then ever more rarely, up to hourly.

    The connection goes on meanwhile. Once the task is known to have ended it is given up, so that the next one
    reads the log in a hurry. To be used on the I/O thread.
    """

    def __init__(self, ask: Callable[[], Awaitable[bool]]) -> None:
        """Prepares to ask.

        Args:
            ask: Asks the service whether the task has ended.
        """
        self._ask = ask
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None

    def start(self, lease: Lease) -> None:
        """Begins with a connection that was just opened, and holds this lease."""
        self._set_timer(lease, _FIRST, pause=_FIRST)

    def stop(self) -> None:
        """Ends with the connection."""
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _set_timer(self, lease: Lease, seconds: float, *, pause: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._is_due, lease, pause)

    def _is_due(self, lease: Lease, pause: float) -> None:
        quiet = asyncio.get_running_loop().time() - lease.last_event
        if quiet < _FIRST:
            self._set_timer(lease, _FIRST - quiet, pause=_FIRST)
        else:
            self._asking = asyncio.create_task(self._ask_now(lease, pause))

    async def _ask_now(self, lease: Lease, pause: float) -> None:
        try:
            if await self._ask():
                lease.ask_back()
        except (
            RequenceError
        ) as error:  # a stream that is open is not ended by what another request is refused
            _logger.debug("a task with a quiet stream could not be asked for: %s", error)
        pause = min(2 * pause, _LONGEST)
        self._set_timer(lease, pause, pause=pause)
