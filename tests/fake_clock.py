"""The clock of the I/O thread, which stands still for a test that moves it on: hours of waiting take no time.

```python
with FakeClock.of_io_thread().standing() as clock:
    clock.skip_to_timer(290, 310)      # once the loop waits for something in about 300 seconds, it is that time
```

A timer that is armed is the sign that the client has come so far, so a test never moves the clock past something
that the client has not begun to wait for.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, Self

from requence._transport.io_thread import io_thread

__all__ = ["FakeClock"]

_PATIENCE = 10.0  # real seconds in which a timer must be armed


class FakeClock:
    """Stands or runs like the real one. It never goes back, so it stays for the whole process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ahead = 0.0
        self._stands_at: float | None = None
        self._timers: list[weakref.ref[asyncio.TimerHandle]] = []  # which hold whatever they call
        self._call_at = loop.call_at
        setattr(loop, "time", self.now)  # noqa: B010 (a plain assignment is refused by type checkers)
        setattr(loop, "call_at", self._noting_call_at)  # noqa: B010

    @staticmethod
    @cache
    def of_io_thread() -> FakeClock:
        """Returns the clock of this process's I/O thread."""

        async def put_in() -> FakeClock:
            return FakeClock(asyncio.get_running_loop())

        return io_thread().run(put_in)

    @contextmanager
    def standing(self) -> Generator[Self]:
        """Stops the clock: in the context only tests move it."""
        self._stands_at = self.now()
        try:
            yield self
        finally:
            self._ahead = self._stands_at - time.monotonic()
            self._stands_at = None

    def now(self) -> float:
        """The time, in seconds."""
        return time.monotonic() + self._ahead if self._stands_at is None else self._stands_at

    def skip_to_timer(self, at_least: float, at_most: float) -> None:
        """Waits until something is due between so and so many seconds from now, and makes it that time.

        Raises:
            AssertionError: Nothing came to wait for that.
        """
        self.move_on(self.wait_for_timer(at_least, at_most))

    def wait_for_timer(self, at_least: float, at_most: float) -> float:
        """Waits until something is due between so and so many seconds from now; returns in how many, at the most.

        Raises:
            AssertionError: Nothing came to wait for that.
        """
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            armed = self.armed()
            if fitting := [due for due in armed if at_least <= due <= at_most]:
                return max(fitting)
            time.sleep(0.001)  # the other side is a thread that has no way to tell us
        raise AssertionError(f"nothing is due in {at_least:g} to {at_most:g} seconds, but in {self.armed()}")

    def move_on(self, seconds: float) -> None:
        """Lets some seconds pass."""

        async def move() -> None:
            assert self._stands_at is not None, "the clock runs"
            self._stands_at += seconds

        io_thread().run(move)

    def armed(self) -> list[float]:
        """Returns in how many seconds something is due."""

        async def look() -> list[float]:
            timers = [(reference, reference()) for reference in self._timers]
            now = self.now()
            armed = [(ref, timer.when() - now) for ref, timer in timers if timer and not timer.cancelled()]
            self._timers = [reference for reference, due in armed if due > 0]
            return sorted(due for _, due in armed if due > 0)

        return io_thread().run(look)

    def _noting_call_at(
        self, when: float, callback: Callable[..., object], *args: Any, **kwargs: Any
    ) -> asyncio.TimerHandle:
        timer = self._call_at(when, callback, *args, **kwargs)
        self._timers.append(weakref.ref(timer))
        return timer
