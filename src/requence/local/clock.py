"""The server's clock, and everything that is to happen later. Tests can move it on."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

__all__ = ["Clock", "Timer"]

_log = logging.getLogger("requence.local")

_ROOM = timedelta(days=366 * 100)  # for what is to happen later, as seen from there
_FEW_TIMERS = 64


@dataclass(order=True, slots=True)
class Timer:
    """Something that is to happen at a time, unless it is cancelled before."""

    due: datetime
    _number: int
    _action: Callable[[], object] | None = field(compare=False)

    def cancel(self) -> None:
        """Keeps it from happening."""
        self._action = None

    @property
    def cancelled(self) -> bool:
        """Whether it is not going to happen."""
        return self._action is None

    def fire(self) -> None:
        """Lets it happen, once."""
        action, self._action = self._action, None
        if action is not None:
            action()


class Clock:
    """Tells the time and calls back; on the event loop that runs when it is made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ahead = timedelta()
        self._timers: list[Timer] = []
        self._count = 0
        self._sweep_at = _FEW_TIMERS
        self._alarm: asyncio.TimerHandle | None = None

    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.now(UTC) + self._ahead

    def at(self, due: datetime, action: Callable[[], object]) -> Timer:
        """Calls `action` at a time; soon if that is over."""
        self._count += 1
        timer = Timer(due, self._count, action)
        heapq.heappush(self._timers, timer)
        if len(self._timers) > self._sweep_at:
            self._sweep()
        self._set_alarm()
        return timer

    def after(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Calls `action` after some seconds."""
        return self.at(self.now() + timedelta(seconds=seconds), action)

    async def sleep(self, seconds: float) -> None:
        """Waits for some seconds of this clock."""
        over = asyncio.Event()
        timer = self.after(seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    def advance(self, seconds: float) -> None:
        """Makes it later, and lets everything happen that was to happen meanwhile, in order.

        Raises:
            OverflowError: No calendar reaches so far; then nothing has changed.
        """
        ahead = self._ahead + timedelta(seconds=seconds)
        _ = datetime.now(UTC) + ahead + _ROOM
        self._ahead = ahead
        self._ring()

    def stop(self) -> None:
        """Nothing happens any more."""
        self._timers.clear()
        self._set_alarm()

    def _sweep(self) -> None:
        """Lets go of what was cancelled: it may have been meant for years from now."""
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        heapq.heapify(self._timers)
        self._sweep_at = max(_FEW_TIMERS, 2 * len(self._timers))

    def _ring(self) -> None:
        now = self.now()
        due: list[Timer] = []
        while self._timers and self._timers[0].due <= now:
            due.append(heapq.heappop(self._timers))
        self._set_alarm()
        # What these set in turn counts from now on, so nothing happens twice for one leap of the clock.
        for timer in due:
            try:
                timer.fire()
            except Exception:  # one that fails must not keep the others from happening
                _log.exception("Something that was due could not be done")

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._timers:
            # The machine's clock may be set meanwhile, so the alarm looks again; and never too far ahead, for that
            # is more than the system's timers can count.
            wait = min((self._timers[0].due - self.now()).total_seconds(), 3600.0)
            self._alarm = self._loop.call_later(max(wait, 0.0), self._ring)
