"""The log in SQLite: what was accepted, and every event. Everything else is derived from these.

Not thread-safe: after `open` one thread at a time uses it. Each writing method is one transaction and returns
only once that is committed. Committed work survives the death of the process (not necessarily a power failure).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from requence.local import database
from requence.local.contract import FinalizeRequest
from requence.local.events import TERMINAL, Event, Stamped
from requence.local.files import Files
from requence.local.keys import Keys

__all__ = ["Store", "TaskRecord"]

_BATCH_EVENTS = 256
_BATCH_BYTES = 2**20
_LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What the log knows about a task beside its events.

    Attributes:
        id: The task's id.
        template: The name of its template.
        request: What finalize accepted; None if the task is only prepared.
        acked: Whether its outcome was confirmed.
        protected: Whether it is left out of any cleanup.
    """

    id: str
    template: str
    request: FinalizeRequest | None
    acked: bool
    protected: bool

    @property
    def display_name(self) -> str:
        """The task's name for people: its own, else its template's."""
        return (self.request.name if self.request else None) or self.template


class Store:
    """The log. `path` is None for one in memory.

    Raises:
        ConfigurationError: The file cannot be used: another server has it open, a newer version wrote it, it is
            something else, or it cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._db = database.opened(path)

    def close(self) -> None:
        """Closes the file; another server may use it then."""
        self._db.close()

    def remembered(self, key: str) -> str | None:
        """Returns a fact of the server itself."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def remember(self, key: str, value: str) -> None:
        """Keeps a fact of the server itself."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def secret(self, key: str) -> str:
        """Returns a secret that stays the same for the life of the file; it is made at the first call."""
        value = self.remembered(key)
        if value is None:
            value = secrets.token_urlsafe(32)
            self.remember(key, value)
        return value

    def files(self, folder: Path | None, limit: int) -> Files:
        """Returns the files and streams of the tasks.

        Args:
            folder: Where their contents lie; None for a temporary folder.
            limit: The largest content in bytes.
        """
        return Files(self._db, folder, Keys(self.secret("files")), limit)

    def add_task(self, task_id: str, template: str, at: str) -> None:
        """Writes down a prepared task."""
        self._db.execute(
            "INSERT INTO tasks (id, template, prepared_at) VALUES (?, ?, ?)", (task_id, template, at)
        )

    def accept(self, task_id: str, request: FinalizeRequest, at: str) -> None:
        """Writes down that a task is to run."""
        self._db.execute(
            "UPDATE tasks SET request = ?, finalized_at = ? WHERE id = ?", (request.to_json(), at, task_id)
        )

    def acknowledge(self, task_id: str, at: str) -> None:
        """Writes down that the outcome of a task was confirmed."""
        self._db.execute("UPDATE tasks SET acked_at = ? WHERE id = ?", (at, task_id))

    def protect(self, task_id: str) -> None:
        """Writes down that a task is to be kept."""
        self._db.execute("UPDATE tasks SET protected = 1 WHERE id = ?", (task_id,))

    def append(self, task_id: str, events: Sequence[Stamped]) -> None:
        """Appends events to the log of a task, all or none, at the next positions."""
        with database.transaction(self._db):
            row = self._db.execute(
                "SELECT max(position) FROM events WHERE task_id = ?", (task_id,)
            ).fetchone()
            position = row[0] or 0
            self._db.executemany(
                "INSERT INTO events (task_id, position, name, at, payload) VALUES (?, ?, ?, ?, ?)",
                [
                    (task_id, position + offset, event.name, event.at, event.payload)
                    for offset, event in enumerate(events, start=1)
                ],
            )

    def task(self, task_id: str) -> TaskRecord | None:
        """Returns a task, or None if there is none of this id."""
        row = self._db.execute(
            "SELECT id, template, request, acked_at, protected FROM tasks WHERE id = ?", (task_id,)
        ).fetchone()
        return None if row is None else _task(row)

    def newest(self, limit: int) -> list[tuple[TaskRecord, str, str | None]]:
        """Returns the tasks that were prepared last, newest first, with when, and the name of their last event."""
        rows = self._db.execute(
            """SELECT id, template, request, acked_at, protected, prepared_at, (
                SELECT name FROM events WHERE task_id = tasks.id ORDER BY position DESC LIMIT 1
            ) FROM tasks ORDER BY number DESC LIMIT ?""",
            (limit,),
        )
        return [(_task(row[:5]), row[5], row[6]) for row in rows]

    def unfinished(self) -> list[TaskRecord]:
        """Returns the tasks that are to run and have not ended, oldest first."""
        rows = self._db.execute(
            """SELECT id, template, request, acked_at, protected FROM tasks
            WHERE finalized_at IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM events WHERE task_id = tasks.id AND name IN (?, ?, ?)
            ) ORDER BY finalized_at, number""",
            TERMINAL,
        )
        return [_task(row) for row in rows]

    def terminal_event(self, task_id: str) -> Event | None:
        """Returns the event that ended a task, or None if it has not ended."""
        row = self._db.execute(
            """SELECT position, name, at, payload, task_id FROM events WHERE task_id = ?
                ORDER BY position DESC LIMIT 1""",
            (task_id,),
        ).fetchone()
        return None if row is None or row[1] not in TERMINAL else Event(*row)

    def events(self, task_id: str | None, after: int = 0) -> list[Event]:
        """Returns the next events: some, to be asked for more, or none if there are no more.

        Args:
            task_id: The task; None for all tasks, whose events have positions of their own.
            after: The position after which to begin.
        """
        after = min(max(after, 0), _LARGEST_INTEGER)
        if task_id is None:
            cursor = self._db.execute(
                """SELECT number, name, at, payload, task_id FROM events WHERE number > ?
                    ORDER BY number LIMIT ?""",
                (after, _BATCH_EVENTS),
            )
        else:
            cursor = self._db.execute(
                """SELECT position, name, at, payload, task_id FROM events WHERE task_id = ? AND position > ?
                    ORDER BY position LIMIT ?""",
                (task_id, after, _BATCH_EVENTS),
            )
        batch: list[Event] = []
        size = 0
        for row in cursor:
            event = Event(*row)
            batch.append(event)
            size += len(event.payload)
            if size >= _BATCH_BYTES:
                break
        cursor.close()
        return batch

    def position_before(self, task_id: str | None, since: str) -> int:
        """Returns the position right before the first event at or after a time; if there is none, the last one.

        Args:
            task_id: The task; None for all tasks.
            since: The time.
        """
        # Clocks may be set back, so times need not rise with positions: this looks through the log from its
        # beginning, which is why followers ask for it only once.
        if task_id is None:
            row = self._db.execute(
                """SELECT coalesce(
                    (SELECT min(number) - 1 FROM events WHERE at >= ?), (SELECT max(number) FROM events), 0
                )""",
                (since,),
            ).fetchone()
        else:
            row = self._db.execute(
                """SELECT coalesce(
                    (SELECT min(position) - 1 FROM events WHERE task_id = ? AND at >= ?),
                    (SELECT max(position) FROM events WHERE task_id = ?), 0
                )""",
                (task_id, since, task_id),
            ).fetchone()
        return int(row[0])

    def all_events(self, task_id: str) -> Iterator[Event]:
        """Yields all events of a task, reading a batch at a time."""
        position = 0
        while batch := self.events(task_id, position):
            yield from batch
            position = batch[-1].position


def _task(row: tuple[str, str, str | None, str | None, int]) -> TaskRecord:
    task_id, template, request, acked_at, protected = row
    accepted = None if request is None else FinalizeRequest.from_json(request)
    return TaskRecord(task_id, template, accepted, acked_at is not None, bool(protected))
