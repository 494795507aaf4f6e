"""A sign of life from waits that take long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["LongWait"]

_log = logging.getLogger("requence.task")

_LONG = 30.0  # seconds


class LongWait:
    """Says once, in one INFO line after 30 seconds of waiting, on what somebody waits and where to look."""

    def __init__(self, describe: Callable[[], str]) -> None:
        """Says nothing yet.

        Args:
            describe: Returns what is waited for, to be read after "waiting for", when it comes to that.
        """
        self._describe = describe
        self._said = False

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Counts the time of the context. On the I/O thread."""
        if self._said:
            yield
            return
        alarm = asyncio.get_running_loop().call_later(_LONG, self._say)
        try:
            yield
        finally:
            alarm.cancel()

    def _say(self) -> None:
        self._said = True
        _log.info("Waiting for %g seconds now for %s", _LONG, self._describe())
