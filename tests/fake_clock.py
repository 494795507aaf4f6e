"""The clock of the I/O thread, which a test can move on: hours of waiting take no time.

```python
clock = FakeClock.of_io_thread()
clock.skip_to_timer(290, 310)      # once the loop waits for something in about 300 seconds, it is that time
```

A timer that is armed is the sign that the client has come so far, so a test never moves the clock past something
that the client has not begun to wait for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from requence._transport.io_thread import io_thread

__all__ = ["FakeClock"]

_PATIENCE = 10.0  # real seconds in which a timer must be armed


class FakeClock:
    """Runs like the real one, and is moved on by tests. It never goes back, so it stays for the whole process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ahead = 0.0
        self._timers: list[asyncio.TimerHandle] = []
        self._call_at = loop.call_at
        setattr(loop, "time", self.now)  # noqa: B010 (a plain assignment is refused by type checkers)
        setattr(loop, "call_at", self._noting_call_at)  # noqa: B010

    @staticmethod
    @cache
    def of_io_thread() -> FakeClock:
        """Returns the clock of this process's I/O thread."""

        async def put_in() -> FakeClock:
            return FakeClock(asyncio.get_running_loop())

        return io_thread().run(put_in())

    def now(self) -> float:
        """The time, in seconds."""
        return time.monotonic() + self._ahead

    def skip_to_timer(self, at_least: float, at_most: float) -> None:
        """Waits until something is due between so and so many seconds from now, and makes it that time.

        Raises:
            AssertionError: Nothing came to wait for that.
        """
        deadline = time.monotonic() + _PATIENCE
        while not io_thread().run(self._skip(at_least, at_most)):
            if time.monotonic() > deadline:
                raise AssertionError(f"nothing is due in {at_least:g} to {at_most:g} seconds")
            time.sleep(0.001)  # the other side is a thread that has no way to tell us

    def move_on(self, seconds: float) -> None:
        """Lets some seconds pass."""

        async def move() -> None:
            self._ahead += seconds

        io_thread().run(move())

    async def _skip(self, at_least: float, at_most: float) -> bool:
        now = self.now()
        self._timers = [timer for timer in self._timers if timer.when() > now and not timer.cancelled()]
        due = [timer.when() for timer in self._timers if at_least <= timer.when() - now <= at_most]
        if due:
            self._ahead += min(due) - now
        return bool(due)

    def _noting_call_at(
        self, when: float, callback: Callable[..., object], *args: Any, **kwargs: Any
    ) -> asyncio.TimerHandle:
        timer = self._call_at(when, callback, *args, **kwargs)
        self._timers.append(timer)
        return timer
