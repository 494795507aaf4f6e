"""The log with bells: whoever follows a task, or all of them, is woken when something was appended.

Followers read the log by position at their own pace, so nothing is queued for anybody, and one that reads
slowly costs no memory. Everything here runs on the server's event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from requence.local.events import Draft, Event, stamped
from requence.local.store import Store, TaskRecord

__all__ = ["Journal"]


class Journal:
    """Appends to the log and lets others follow it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # One for each task that is waited for, and at None the one of all tasks, however many wait for it. Each
        # rings once.
        self._bells: dict[str | None, asyncio.Event] = {}
        self._closed = False

    def append(self, task: TaskRecord, *drafts: Draft) -> None:
        """Appends events of a task, all or none, and wakes who follows it."""
        now = datetime.now(UTC)
        events = [stamped(draft, task_id=task.id, name=task.display_name, now=now) for draft in drafts]
        self._store.append(task.id, events)
        for key in (task.id, None):
            if bell := self._bells.pop(key, None):
                bell.set()

    async def follow(
        self, task_id: str | None, *, after: int, since: str, pause: float
    ) -> AsyncIterator[Sequence[Event]]:
        """Yields events in batches as they come.

        Ends after the last event of the task, or, if all tasks are followed, never; early when the journal closes.
        An empty batch is a sign of life: nothing came for `pause` seconds.

        Args:
            task_id: The task; None for all tasks.
            after: The position after which to begin.
            since: Only events at or after this time, written as `time_text` does; empty for all.
            pause: The longest time in seconds without any batch.
        """
        clock = asyncio.get_running_loop().time
        # What is too early at the beginning of the log is not even read.
        position = max(after, self._store.position_before(task_id, since)) if since else after
        sign_due = clock() + pause
        while not self._closed:
            if read := self._store.events(task_id, position):
                position = read[-1].position
                batch = [event for event in read if event.at >= since]
                if not batch:
                    continue
            elif task_id is not None and self._store.terminal_event(task_id) is not None:
                return
            # No await lies between the look into the log and the bell, so no event can slip in unnoticed.
            elif await self._rung(task_id, sign_due):
                continue
            else:
                batch = []
            yield batch
            sign_due = clock() + pause

    async def _rung(self, key: str | None, until: float) -> bool:
        """Waits for a bell. Returns False if it did not ring by then."""
        bell = self._bells.setdefault(key, asyncio.Event())
        try:
            async with asyncio.timeout_at(until):
                await bell.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Ends all following."""
        self._closed = True
        for bell in self._bells.values():
            bell.set()
        self._bells.clear()
