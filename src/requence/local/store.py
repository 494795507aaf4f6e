"""The log in SQLite: what was accepted, and every event. Everything else is derived from these.

Not thread-safe: after `open` one thread at a time uses it. What was written is safe once it is committed
(`writer`): it survives the death of the process, not necessarily a power failure.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from requence.local import database
from requence.local.events import TERMINAL, Event, Stamped
from requence.local.files import Files
from requence.local.json_values import compact
from requence.local.keys import Keys
from requence.local.requests import Finalize
from requence.local.search import Search
from requence.local.waits import Waits

__all__ = ["Store", "Summary", "TaskRecord"]

_BATCH_EVENTS = 256
_BATCH_BYTES = 2**20
_LARGEST_INTEGER = 2**63 - 1
_RECORD = """id, template, finalized_at IS NOT NULL, name, input, priority, require_ack,
    acked_at IS NOT NULL, protected, root_id, parent_id, parent_node"""
_SHORT_RECORD = _RECORD.replace("input", "'null'")  # without what may be large
_EVENT = "events.name, at, payload, task_id, root_id FROM events JOIN tasks ON tasks.id = task_id"


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """What the log knows about a task beside its events.

    Attributes:
        id: The task's id.
        template: The name of its template.
        request: What finalize accepted; None if the task is only prepared.
        acked: Whether its outcome was confirmed.
        protected: Whether it is left out of any cleanup.
        root_id: For a sub task, the task at the top; None for one that is at the top itself.
        parent_id: For a sub task, the task that has started it.
        parent_node: For a sub task, the key of the node in that task.
    """

    id: str
    template: str
    request: Finalize | None
    acked: bool
    protected: bool
    root_id: str | None = None
    parent_id: str | None = None
    parent_node: str | None = None

    @property
    def display_name(self) -> str:
        """The task's name for people: its own, else its template's."""
        return (self.request.name if self.request else None) or self.template


@dataclass(frozen=True, slots=True)
class Summary:
    """What can be told of a task without reading what may be large.

    Attributes:
        record: The task; its input is told as `null`.
        number: Tasks are numbered in the order in which they were prepared.
        prepared_at: When it was prepared; times are as `time_text` writes them.
        started_at: When it began to run, or None.
        ended_at: When it ended, or None.
        ended_by: The name of the event that ended it, or None.
    """

    record: TaskRecord
    number: int
    prepared_at: str
    started_at: str | None
    ended_at: str | None
    ended_by: str | None


class Store:
    """The log. `path` is None for one in memory.

    Raises:
        ConfigurationError: The file cannot be used: another server has it open, a newer version wrote it, it is
            something else, or it cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._db = database.opened(path)
        self.writer = database.Writer(self._db)
        self.waits = Waits(self._db, self.writer)

    def close(self) -> None:
        """Closes the file; another server may use it then."""
        self._db.close()

    def remembered(self, key: str) -> str | None:
        """Returns a fact of the server itself."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def remember(self, key: str, value: str) -> None:
        """Keeps a fact of the server itself."""
        self.writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

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
        return Files(self._db, self.writer, folder, Keys(self.secret("files")), limit)

    def add_task(self, task_id: str, template: str, at: str) -> None:
        """Writes down a prepared task."""
        self.writer.execute(
            "INSERT INTO tasks (id, template, prepared_at) VALUES (?, ?, ?)", (task_id, template, at)
        )

    def add_subtask(self, record: TaskRecord, at: str) -> None:
        """Writes down a sub task, which is to run at once."""
        if record.request is None:
            raise ValueError("a sub task has an input from the beginning")
        self.writer.execute(
            """INSERT INTO tasks
                (id, template, prepared_at, finalized_at, name, input, priority, require_ack,
                root_id, parent_id, parent_node)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                *(record.id, record.template, at, at),
                *_columns(record.request),
                *(record.root_id, record.parent_id, record.parent_node),
            ),
        )

    def accept(self, task_id: str, request: Finalize, at: str) -> None:
        """Writes down that a task is to run."""
        self.writer.execute(
            """UPDATE tasks SET name = ?, input = ?, priority = ?, require_ack = ?, finalized_at = ?
                WHERE id = ?""",
            (*_columns(request), at, task_id),
        )

    def acknowledge(self, task_id: str, at: str) -> None:
        """Writes down that the outcome of a task was confirmed."""
        self.writer.execute("UPDATE tasks SET acked_at = ? WHERE id = ?", (at, task_id))

    def protect(self, task_id: str) -> None:
        """Writes down that a task is to be kept."""
        self.writer.execute("UPDATE tasks SET protected = 1 WHERE id = ?", (task_id,))

    def append(self, task_id: str, events: Sequence[Stamped]) -> None:
        """Appends events to the log of a task at the next positions."""
        row = self._db.execute("SELECT max(position) FROM events WHERE task_id = ?", (task_id,)).fetchone()
        position = row[0] or 0
        self.writer.execute_many(
            "INSERT INTO events (task_id, position, name, at, payload) VALUES (?, ?, ?, ?, ?)",
            [
                (task_id, position + offset, event.name, event.at, event.payload)
                for offset, event in enumerate(events, start=1)
            ],
        )
        if events[-1].name in TERMINAL:
            self.writer.execute(
                "UPDATE tasks SET ended_at = ?, ended_by = ? WHERE id = ?",
                (events[-1].at, events[-1].name, task_id),
            )
            self.waits.forget(task_id)

    def remove(self, task_ids: Sequence[str]) -> None:
        """Removes tasks with all that belongs to them, as if they had never been."""
        rows = [(task_id,) for task_id in task_ids]
        for table, column in (("waits", "task_id"), ("events", "task_id"), ("tasks", "id")):
            self.writer.execute_many(f"DELETE FROM {table} WHERE {column} = ?", rows)  # noqa: S608 (names from here)

    def expired(self, *, ended: str, prepared: str) -> list[str]:
        """Returns the tasks that may go: unprotected, and over for good or never started, for long enough.

        A task whose outcome waits for its confirmation is not over. A sub task stays as long as the task at the
        top.

        Args:
            ended: Those that ended before this time.
            prepared: Those that were prepared before this time and neither started nor ended.
        """
        rows = self._db.execute(
            """WITH gone AS (
                SELECT id FROM tasks WHERE protected = 0 AND root_id IS NULL AND (
                    ended_at < ? AND (acked_at IS NOT NULL OR require_ack IS NOT 1)
                    OR ended_at IS NULL AND finalized_at IS NULL AND prepared_at < ?
                )
            )
            SELECT id FROM gone UNION
            SELECT id FROM tasks WHERE protected = 0 AND root_id IN (SELECT id FROM gone)""",
            (ended, prepared),
        )
        return [row[0] for row in rows]

    def task(self, task_id: str) -> TaskRecord | None:
        """Returns a task, or None if there is none of this id."""
        found = self._tasks("WHERE id = ?", task_id)
        return found[0] if found else None

    def tasks(self, template: str | None = None) -> list[TaskRecord]:
        """Returns the tasks that were started, of one template or of all, in the order in which they were."""
        order = "ORDER BY finalized_at, number"
        if template is None:
            return self._tasks(f"WHERE finalized_at IS NOT NULL {order}")
        return self._tasks(f"WHERE finalized_at IS NOT NULL AND template = ? {order}", template)

    def newest(self, search: Search, limit: int) -> list[Summary]:
        """Returns the tasks that were prepared last and are wanted, newest first."""
        condition, values = search.condition()
        return self._summaries(f"WHERE {condition} ORDER BY number DESC LIMIT ?", *values, limit)

    def summary(self, task_id: str) -> Summary | None:
        """Returns what the list shows of one task, or None if there is none of this id."""
        found = self._summaries("WHERE id = ?", task_id)
        return found[0] if found else None

    def _summaries(self, where: str, *values: str | int) -> list[Summary]:
        start = "SELECT at FROM events WHERE task_id = id AND position = 1 AND events.name = 'taskStart'"
        rows = self._db.execute(
            f"""SELECT {_SHORT_RECORD},
                number, prepared_at, started_at, ended_at, ended_by
                FROM (SELECT *, ({start}) AS started_at FROM tasks) {where}""",  # noqa: S608 (texts of these modules)
            values,
        )
        return [Summary(_task(row[:-5]), *row[-5:]) for row in rows]

    def unfinished(self) -> list[TaskRecord]:
        """Returns the tasks that are to run and have not ended, oldest first."""
        return self._tasks(
            "WHERE finalized_at IS NOT NULL AND ended_at IS NULL ORDER BY finalized_at, number"
        )

    def children(self, task_id: str) -> list[TaskRecord]:
        """Returns the sub tasks that a task has started itself, oldest first; their inputs are told as `null`."""
        return self._tasks("WHERE parent_id = ? ORDER BY number", task_id, columns=_SHORT_RECORD)

    def all_ids(self) -> list[str]:
        """Returns the ids of all tasks."""
        return [row[0] for row in self._db.execute("SELECT id FROM tasks")]

    def _tasks(self, where: str, *values: str, columns: str = _RECORD) -> list[TaskRecord]:
        rows = self._db.execute(f"SELECT {columns} FROM tasks {where}", values)  # noqa: S608 (texts of this module)
        return [_task(row) for row in rows]

    def terminal_event(self, task_id: str) -> Event | None:
        """Returns the event that ended a task, or None if it has not ended."""
        row = self._db.execute(
            f"""SELECT position, {_EVENT} WHERE task_id = ?
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
                f"SELECT events.number, {_EVENT} WHERE events.number > ? ORDER BY events.number LIMIT ?",
                (after, _BATCH_EVENTS),
            )
        else:
            cursor = self._db.execute(
                f"SELECT position, {_EVENT} WHERE task_id = ? AND position > ? ORDER BY position LIMIT ?",
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


def _columns(request: Finalize) -> tuple[str | None, str, int, bool]:
    # The name as JSON text, too: it may hold a lone surrogate, which does not fit into SQLite as it is.
    name = None if request.name is None else compact(request.name)
    return name, request.input_text, request.priority, request.require_ack


def _task(row: tuple[Any, ...]) -> TaskRecord:
    task_id, template, accepted, name, input_text, priority, require_ack, acked, protected, *family = row
    request = None
    if accepted:
        named = None if name is None else json.loads(name)
        request = Finalize(named, input_text, priority, bool(require_ack))
    return TaskRecord(task_id, template, request, bool(acked), bool(protected), *family)
