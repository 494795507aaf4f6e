"""The log with a bell: whoever follows a task is woken when something was appended.

Followers read the log by position at their own pace, so nothing is queued for anybody, and one that reads
slowly costs no memory. Everything here runs on the server's event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from requence.local.events import TERMINAL, Draft, Event, stamped
from requence.local.store import Store, TaskRecord

__all__ = ["Journal"]


class Journal:
    """Appends to the log and lets others follow it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bells: dict[str, asyncio.Event] = {}
        self._closed = False

    def append(self, task: TaskRecord, *drafts: Draft) -> None:
        """Appends events of a task, all or none, and wakes who follows it."""
        now = datetime.now(UTC)
        events = [stamped(draft, task_id=task.id, name=task.display_name, now=now) for draft in drafts]
        self._store.append(task.id, events)
        if bell := self._bells.pop(task.id, None):
            bell.set()

    async def follow(
        self, task_id: str, *, after: int, since: str | None, pause: float
    ) -> AsyncIterator[Sequence[Event]]:
        """Yields the events of a task in batches as they come, and ends after the last one.

        An empty batch is a sign of life: nothing came for `pause` seconds. Ends early when the journal closes.

        Args:
            task_id: The task.
            after: The position after which to begin.
            since: Only events at or after this time.
            pause: The longest time in seconds without any batch.
        """
        position = after
        while not self._closed:
            if batch := self._store.events(task_id, position, since):
                yield batch
                position = batch[-1].position
                if batch[-1].name in TERMINAL:
                    return
                continue
            if self._store.terminal_event(task_id) is not None:
                return
            # No await lies between the look into the log and this line, so no event can slip in unnoticed.
            bell = self._bells.setdefault(task_id, asyncio.Event())
            try:
                await asyncio.wait_for(bell.wait(), pause)
            except TimeoutError:
                yield ()

    def close(self) -> None:
        """Ends all following."""
        self._closed = True
        for bell in self._bells.values():
            bell.set()
        self._bells.clear()
