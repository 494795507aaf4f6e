"""What goes when: tasks that are over and that nobody has protected, and tasks that were never started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from requence.local.clock import Clock
from requence.local.events import time_text
from requence.local.store import Store

__all__ = ["NEVER_STARTED", "Cleaner"]

NEVER_STARTED = timedelta(hours=1)
_SECONDS_BETWEEN = 60.0


class Cleaner:
    """Removes what is too old, now and then, for as long as the clock goes.

    Args:
        store: Where it looks.
        clock: When it looks.
        remove: Removes tasks.
        retention: How long a task is kept after its end; None for ever.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        remove: Callable[[Sequence[str]], object],
        retention: timedelta | None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._remove = remove
        self._retention = retention
        longest = _SECONDS_BETWEEN if retention is None else min(_SECONDS_BETWEEN, retention.total_seconds())
        self._pause = max(longest, 1.0)

    def clean(self) -> None:
        """Removes what is too old, and will look again."""
        self._clock.after(self._pause, self.clean)
        now = self._clock.now()
        ended = "" if self._retention is None else time_text(now - self._retention)
        if gone := self._store.expired(ended=ended, prepared=time_text(now - NEVER_STARTED)):
            self._remove(gone)
