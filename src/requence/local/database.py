"""The SQLite file of the log: who may open it, and what its tables are."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from requence.exceptions import ConfigurationError
from requence.local.json_values import compact

__all__ = ["Writer", "opened"]

_APPLICATION_ID = 0x52514E43  # "RQNC", so that another program's database is never mistaken for ours

# Each step takes a file one version further; a new file takes all of them.
_STEPS = (
    """
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
    """,
    # Numbers are positions in the stream of all tasks, so one that was given out must never come again; without
    # AUTOINCREMENT that of a deleted last row would. No ALTER TABLE can add it.
    """
    CREATE TABLE numbered_events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        task_id TEXT NOT NULL REFERENCES tasks (id),
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        at TEXT NOT NULL,
        payload TEXT NOT NULL,
        UNIQUE (task_id, position)
    );
    INSERT INTO numbered_events (number, task_id, position, name, at, payload)
        SELECT number, task_id, position, name, at, payload FROM events;
    DROP TABLE events;
    ALTER TABLE numbered_events RENAME TO events;
    """,
    # Sub tasks, nodes that go on later, and when a task ended, by which old ones are found.
    """
    ALTER TABLE tasks ADD COLUMN root_id TEXT;
    ALTER TABLE tasks ADD COLUMN parent_id TEXT;
    ALTER TABLE tasks ADD COLUMN parent_node TEXT;
    ALTER TABLE tasks ADD COLUMN ended_at TEXT;
    UPDATE tasks SET ended_at = (
        SELECT at FROM events
        WHERE task_id = tasks.id AND name IN ('taskEnd', 'taskError', 'taskAborted') LIMIT 1
    );
    CREATE INDEX tasks_by_parent ON tasks (parent_id) WHERE parent_id IS NOT NULL;
    CREATE INDEX tasks_by_end ON tasks (ended_at);
    CREATE TABLE waits (
        task_id TEXT NOT NULL REFERENCES tasks (id),
        node TEXT NOT NULL,
        key TEXT UNIQUE,
        due TEXT,
        PRIMARY KEY (task_id, node)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE files (
        id TEXT PRIMARY KEY,
        task_id TEXT NOT NULL REFERENCES tasks (id),
        mime TEXT NOT NULL,
        max_size INTEGER NOT NULL,
        size INTEGER,
        broken TEXT
    ) WITHOUT ROWID;
    CREATE INDEX files_of_task ON files (task_id);
    """,
    # What was accepted, in columns: to know of a task whether its outcome is to be confirmed, nobody should have
    # to parse its input, which may be large. Not every SQLite can drop a column.
    """
    CREATE TABLE parted_tasks (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        template TEXT NOT NULL,
        prepared_at TEXT NOT NULL,
        finalized_at TEXT,
        ended_at TEXT,
        acked_at TEXT,
        protected INTEGER NOT NULL DEFAULT 0,
        root_id TEXT,
        parent_id TEXT,
        parent_node TEXT,
        name TEXT,
        input TEXT,
        priority INTEGER,
        require_ack INTEGER
    );
    INSERT INTO parted_tasks SELECT
        number, id, template, prepared_at, finalized_at, ended_at, acked_at, protected,
        root_id, parent_id, parent_node,
        requested(request, 'name'), requested(request, 'input'),
        requested(request, 'priority'), requested(request, 'requireAck')
        FROM tasks;
    DROP TABLE tasks;
    ALTER TABLE parted_tasks RENAME TO tasks;
    CREATE INDEX tasks_by_parent ON tasks (parent_id) WHERE parent_id IS NOT NULL;
    CREATE INDEX tasks_by_end ON tasks (ended_at);
    """,
    # The input at the end of its row: SQLite reads through all of a large one to get at what stands behind it. And
    # how a task has ended beside when, by which tasks are found without a look into the events of each.
    """
    CREATE TABLE ordered_tasks (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        template TEXT NOT NULL,
        prepared_at TEXT NOT NULL,
        finalized_at TEXT,
        ended_at TEXT,
        acked_at TEXT,
        protected INTEGER NOT NULL DEFAULT 0,
        root_id TEXT,
        parent_id TEXT,
        parent_node TEXT,
        name TEXT,
        priority INTEGER,
        require_ack INTEGER,
        ended_by TEXT,
        input TEXT
    );
    INSERT INTO ordered_tasks SELECT
        number, id, template, prepared_at, finalized_at, ended_at, acked_at, protected,
        root_id, parent_id, parent_node, name, priority, require_ack,
        (SELECT events.name FROM events
            WHERE task_id = tasks.id AND events.name IN ('taskEnd', 'taskError', 'taskAborted') LIMIT 1),
        input
        FROM tasks;
    DROP TABLE tasks;
    ALTER TABLE ordered_tasks RENAME TO tasks;
    CREATE INDEX tasks_by_parent ON tasks (parent_id) WHERE parent_id IS NOT NULL;
    CREATE INDEX tasks_by_end ON tasks (ended_at);
    CREATE INDEX tasks_by_outcome ON tasks (ended_by);
    """,
)


class Writer:
    """Writes, each at once, or gathered into one transaction until `commit`.

    A commit costs more than several writes, so what happens in one turn of the event loop is committed together.
    Nothing of it may leave the program before that.

    Args:
        db: The open file.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._begun: Callable[[], object] | None = None
        self._lost: Callable[[Exception], object] = lambda _error: None

    def gather(self, begun: Callable[[], object], lost: Callable[[Exception], object]) -> None:
        """From now on writes are gathered.

        Args:
            begun: Called when the first write of each transaction comes.
            lost: Called when a write or a commit has failed, after everything since the last commit was taken
                back.
        """
        self._begun, self._lost = begun, lost

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Writes with one statement."""
        with self._all_or_nothing():
            self._begin()
            return self._db.execute(statement, values)

    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Writes with one statement for each row."""
        with self._all_or_nothing():
            self._begin()
            self._db.executemany(statement, rows)

    def commit(self) -> None:
        """Commits what was gathered, if anything.

        Raises:
            sqlite3.Error: That failed, and what was gathered is lost.
        """
        if self._db.in_transaction:
            with self._all_or_nothing():
                self._db.execute("COMMIT")

    @contextmanager
    def _all_or_nothing(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # Some errors have ended the transaction, and some have not.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._lost(error)
            raise

    def _begin(self) -> None:
        if self._begun is not None and not self._db.in_transaction:
            self._db.execute("BEGIN")
            self._begun()


def opened(path: Path | None) -> sqlite3.Connection:
    """Opens the file, creating it if need be, and keeps every other server out of it.

    Args:
        path: Where it is; None for a database in memory.

    Raises:
        ConfigurationError: The file cannot be used: another server has it open, a newer version wrote it, it is
            something else, or it cannot be opened.
    """
    if path is not None:
        _create_private(path)
    db = sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        with _explained(path):
            _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def _transaction(db: sqlite3.Connection) -> Generator[None]:
    """Commits what is done inside as a whole, or takes it back if an exception comes out."""
    db.execute("BEGIN EXCLUSIVE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _prepare(db: sqlite3.Connection, path: Path | None) -> None:
    # Exclusive: a second server on the same file fails at once instead of running every task twice.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.create_function("requested", 2, _requested, deterministic=True)
    with _transaction(db):
        version = db.execute("PRAGMA user_version").fetchone()[0]
        owner = db.execute("PRAGMA application_id").fetchone()[0]
        tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if owner != _APPLICATION_ID and (tables or owner or version):
            raise ConfigurationError(f"{path} is a database of another program")
        if version > len(_STEPS):
            raise ConfigurationError(
                f"{path} was written by a newer version of this package (format {version}, "
                f"this one knows {len(_STEPS)})",
                hint="update requence, or choose another file",
            )
        for number, step in enumerate(_STEPS[version:], start=version + 1):
            for statement in step.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {number}")
    # Only now: this already changes the file, which might have been somebody else's.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")


def _requested(request: str | None, name: str) -> str | int | None:
    """Returns a part of what finalize has accepted; for the step that puts that into columns."""
    if request is None:
        return None
    value = json.loads(request)[name]
    # An input is JSON text, whatever it is, and so is a name, if there is one.
    return compact(value) if name == "input" or isinstance(value, str) else cast("int | None", value)


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
