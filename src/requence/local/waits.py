"""What nodes wait for that have not ended and do not run: a time, or somebody with a key."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from requence.local.database import Writer

__all__ = ["Wait", "Waits"]


@dataclass(frozen=True, slots=True)
class Wait:
    """What a node waits for.

    Attributes:
        task_id: Its task.
        node: Its key.
        key: The key that ends it from outside; None if it only waits for its time.
        due: When it runs again, or, if it has a key, when it fails; written as `time_text` does.
    """

    task_id: str
    node: str
    key: str | None
    due: str | None


class Waits:
    """The table of what nodes wait for, beside the log: the keys are nobody's business who only reads updates."""

    def __init__(self, db: sqlite3.Connection, writer: Writer) -> None:
        self._db = db
        self._writer = writer

    def keep(self, wait: Wait) -> None:
        """Writes down what a node waits for; what it waited for before is forgotten."""
        self._writer.execute(
            "INSERT OR REPLACE INTO waits (task_id, node, key, due) VALUES (?, ?, ?, ?)",
            (wait.task_id, wait.node, wait.key, wait.due),
        )

    def forget(self, task_id: str, node: str | None = None) -> None:
        """Writes down that a node, or any node of a task, waits no more."""
        if node is None:
            self._writer.execute("DELETE FROM waits WHERE task_id = ?", (task_id,))
        else:
            self._writer.execute("DELETE FROM waits WHERE task_id = ? AND node = ?", (task_id, node))

    def of_node(self, task_id: str, node: str) -> Wait | None:
        """Returns what a node waits for, or None."""
        return self._one("task_id = ? AND node = ?", task_id, node)

    def of_key(self, key: str) -> Wait | None:
        """Returns which node a key is for, or None if there is no such key any more."""
        return self._one("key = ?", key)

    def _one(self, where: str, *values: str) -> Wait | None:
        row = self._db.execute(
            f"SELECT task_id, node, key, due FROM waits WHERE {where}",  # noqa: S608 (texts of this module)
            values,
        ).fetchone()
        return None if row is None else Wait(*row)
