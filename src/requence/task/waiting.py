"""A sign of life from waits that take long."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["LongWait"]

_log = logging.getLogger("requence.task")

_LONG = 30.0  # seconds


class LongWait:
    """Says once, in one INFO line after 30 seconds of waiting, on what somebody waits and where to look.

    To be used on the I/O thread.
    """

    def __init__(self, describe: Callable[[], str | None]) -> None:
        """Says nothing yet.

        Args:
            describe: Returns what is waited for, to be read after "waiting for", when it comes to that; None if
                nobody waits, who is then asked for again later.
        """
        self._describe = describe
        self._said = False
        self._alarm: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Begins to count."""
        import asyncio  # here: the faces of a task import this module, and asyncio takes its time

        if not self._said and self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(_LONG, self._say)

    def end(self) -> None:
        """Ends that: the wait is over."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Counts the time of the context."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def _say(self) -> None:
        self._alarm, what = None, self._describe()
        if what is None:
            self.begin()
        else:
            self._said = True
            _log.info("Waiting for %g seconds now for %s", _LONG, what)
