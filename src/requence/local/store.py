"""The log in SQLite: what was accepted, and every event. Everything else is derived from these.

Not thread-safe: after `open` one thread at a time uses it. Each writing method is one transaction and returns
only once that is committed. Committed work survives the death of the process (not necessarily a power failure).
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from requence.exceptions import ConfigurationError
from requence.local.contract import FinalizeRequest
from requence.local.events import TERMINAL, Event, Stamped

__all__ = ["Store", "TaskRecord"]

_SCHEMA_VERSION = 1
_APPLICATION_ID = 0x52514E43  # "RQNC", so that another program's database is never mistaken for ours
_BATCH_EVENTS = 256
_BATCH_BYTES = 2**20
_LARGEST_INTEGER = 2**63 - 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    template TEXT NOT NULL,
    prepared_at TEXT NOT NULL,
    request TEXT,
    finalized_at TEXT,
    acked_at TEXT,
    protected INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL REFERENCES tasks (id),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    at TEXT NOT NULL,
    payload TEXT NOT NULL,
    UNIQUE (task_id, position)
);
"""


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
        self.path = path
        if path is not None:
            _create_private(path)
        self._db = sqlite3.connect(
            path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            with _explained(path):
                self._prepare()
        except BaseException:
            self._db.close()
            raise

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
        with self._transaction():
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
            "SELECT position, name, payload FROM events WHERE task_id = ? ORDER BY position DESC LIMIT 1",
            (task_id,),
        ).fetchone()
        return None if row is None or row[1] not in TERMINAL else Event(*row)

    def events(self, task_id: str, after: int = 0, since: str | None = None) -> list[Event]:
        """Returns the next events of a task: some, to be asked for more, or none if there are no more.

        Args:
            task_id: The task.
            after: The position after which to begin.
            since: Only events at or after this time.
        """
        cursor = self._db.execute(
            """SELECT position, name, payload FROM events WHERE task_id = ? AND position > ? AND at >= ?
                ORDER BY position LIMIT ?""",
            (task_id, min(max(after, 0), _LARGEST_INTEGER), since or "", _BATCH_EVENTS),
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

    def all_events(self, task_id: str) -> Iterator[Event]:
        """Yields all events of a task, reading a batch at a time."""
        position = 0
        while batch := self.events(task_id, position):
            yield from batch
            position = batch[-1].position

    def _prepare(self) -> None:
        execute = self._db.execute
        # Exclusive: a second server on the same file fails at once instead of running every task twice.
        execute("PRAGMA locking_mode = EXCLUSIVE")
        with self._transaction():
            version = execute("PRAGMA user_version").fetchone()[0]
            owner = execute("PRAGMA application_id").fetchone()[0]
            tables = execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if owner != _APPLICATION_ID and (tables or owner or version):
                raise ConfigurationError(f"{self.path} is a database of another program")
            if version > _SCHEMA_VERSION:
                raise ConfigurationError(
                    f"{self.path} was written by a newer version of this package (format {version}, "
                    f"this one knows {_SCHEMA_VERSION})",
                    hint="update requence, or choose another file",
                )
            if version < _SCHEMA_VERSION:
                for statement in _SCHEMA.split(";"):
                    execute(statement)
                execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        # Only now: this already changes the file, which might have been somebody else's.
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._db.execute("BEGIN EXCLUSIVE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _task(row: tuple[str, str, str | None, str | None, int]) -> TaskRecord:
    task_id, template, request, acked_at, protected = row
    accepted = None if request is None else FinalizeRequest.from_json(request)
    return TaskRecord(task_id, template, accepted, acked_at is not None, bool(protected))


def _create_private(path: Path) -> None:
    # The file holds the access token's secret, so nobody else may read it; SQLite gives its side files the same
    # permissions.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigurationError(f"The file {path} cannot be opened: {error.strerror}") from error


@contextmanager
def _explained(path: Path | None) -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise ConfigurationError(
                f"{path} is in use by another server",
                hint="stop that one, or choose another file (db=…, on the command line --db …)",
            ) from None
        raise ConfigurationError(f"The file {path} cannot be used: {error}") from error
    except sqlite3.DatabaseError as error:
        raise ConfigurationError(f"{path} is not a file of a local server: {error}") from error
