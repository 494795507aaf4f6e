"""The log with bells: whoever follows a task, or all of them, is woken when something was appended.

Nothing gets into it that the API's contract does not describe.

Followers read the log by position at their own pace, so nothing is queued for anybody, and one that reads
slowly costs no memory. Everything here runs on the server's event loop.

What is written in one turn of the loop is committed at its end, or before, if something that was written is to
leave the program: an answer, or an event. Bells ring after the commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from weakref import WeakValueDictionary

from requence.local.clock import Clock
from requence.local.contract import check_event
from requence.local.events import Draft, Event, Stamped, payload, time_text
from requence.local.json_values import compact
from requence.local.store import Store, TaskRecord

__all__ = ["Journal"]


class Journal:
    """Appends to the log and lets others follow it.

    Args:
        store: The log.
        clock: Tells when things happen.
        lost: Called when a write or a commit has failed, so that what was written since the last commit is not in
            the log.
    """

    def __init__(self, store: Store, clock: Clock, lost: Callable[[Exception], object]) -> None:
        self._store = store
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        # One for each task that is waited for, and at None the one of all tasks, however many wait for it. Each
        # rings once.
        self._bells: dict[str | None, asyncio.Event] = {}
        self._news: set[str | None] = set()
        self._large: WeakValueDictionary[tuple[str | None, int], Event] = WeakValueDictionary()
        self._then: list[Callable[[], object]] = []
        self._closed = False

        def forget(error: Exception) -> None:
            self._news.clear()
            self._then.clear()
            lost(error)

        store.writer.gather(lambda: self._loop.call_soon(self._commit_at_last), forget)

    def append(self, task: TaskRecord, *drafts: Draft) -> None:
        """Appends events of a task; who follows it is woken when they are committed.

        Raises:
            ContractViolationError: One of them is not what the contract describes; none is appended.
            sqlite3.Error: That failed.
        """
        at = time_text(self._clock.now())
        events: list[Stamped] = []
        for draft in drafts:
            fields = payload(draft, task_id=task.id, name=task.display_name, at=at)
            check_event("watch_task", draft.name, fields)
            events.append(Stamped(draft.name, at, compact(fields)))
        self._store.append(task.id, events)
        self._news.update((task.id, None))

    def removed(self, task_ids: Sequence[str]) -> None:
        """Wakes who follows tasks that were removed: there is nothing more to come."""
        self._news.update(task_ids)

    def once_committed(self, action: Callable[[], object]) -> None:
        """Lets something happen as soon as what was written so far is safe, and never if that fails."""
        self._then.append(action)

    def commit(self) -> None:
        """Commits what was written.

        Raises:
            sqlite3.Error: That failed, and what was written since the last commit is lost.
        """
        self._store.writer.commit()
        news, self._news = self._news, set()
        for key in news:
            if bell := self._bells.pop(key, None):
                bell.set()
        then, self._then = self._then, []
        for action in then:
            action()

    def _commit_at_last(self) -> None:
        with suppress(sqlite3.Error):  # whoever has to know was told, and nobody waits here
            self.commit()

    async def follow(
        self, task_id: str | None, *, after: int, since: str, pause: float
    ) -> AsyncIterator[list[Event]]:
        """Yields events in batches as they come.

        Ends after the last event of the task, or, if all tasks are followed, never; early when the task is removed
        or the journal closes.
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
            self.commit()
            if batch := self._store.events(task_id, position):
                position = batch[-1].position
                # Nothing else holds them, so that who takes them one by one can let go of each.
                batch = [self._one_for_all(task_id, event) for event in batch if event.at >= since]
                if not batch:
                    continue
            elif task_id is not None and self._is_over(task_id):
                return
            # No await lies between the look into the log and the bell, so no event can slip in unnoticed.
            elif await self._rung(task_id, sign_due):
                continue
            else:
                batch = []
            yield batch
            sign_due = clock() + pause

    def _one_for_all(self, task_id: str | None, event: Event) -> Event:
        """Returns the same object to all who are reading a large event: they may be many, and slow."""
        return self._large.setdefault((task_id, event.position), event) if event.is_large else event

    def _is_over(self, task_id: str) -> bool:
        return self._store.terminal_event(task_id) is not None or self._store.task(task_id) is None

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
