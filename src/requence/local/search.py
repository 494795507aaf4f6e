"""Which tasks the list shows. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from requence.local.json_values import compact

__all__ = ["STATUSES", "Search"]

_UNCONFIRMED = "(require_ack IS 1 AND acked_at IS NULL)"
_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")
# In the words of the log, what `LoggedTask.status` says.
STATUSES = {
    "idle": "ended_at IS NULL AND finalized_at IS NULL",
    "pending": "ended_at IS NULL AND finalized_at IS NOT NULL AND started_at IS NULL",
    "running": "ended_at IS NULL AND started_at IS NOT NULL",
    "awaiting_delivery": f"ended_at IS NOT NULL AND {_UNCONFIRMED}",
    "successful": f"ended_by = 'taskEnd' AND NOT {_UNCONFIRMED}",
    "failed": f"ended_by = 'taskError' AND NOT {_UNCONFIRMED}",
    "stopped": f"ended_by = 'taskAborted' AND NOT {_UNCONFIRMED}",
}


@dataclass(frozen=True, slots=True)
class Search:
    """What is wanted of a task.

    Attributes:
        text: What its name, its template or its id has in it; capital letters of ASCII count as small ones.
        status: What its status is, one of `STATUSES`.
        template: The name of its template.
        before: Only tasks that were prepared before the one of this number.
    """

    text: str = ""
    status: str | None = None
    template: str | None = None
    before: int | None = None

    def condition(self) -> tuple[str, list[str | int]]:
        """Returns this as a condition of SQL, with its values."""
        parts = ["1"]
        values: list[str | int] = []
        if self.text:
            parts.append(" OR ".join(f"{column} LIKE ? ESCAPE '!'" for column in ("id", "template", "name")))
            # Names are kept as JSON text.
            values += [_like(self.text), _like(self.text), _like(compact(self.text)[1:-1])]
        if self.status is not None:
            parts.append(STATUSES[self.status])
        if self.template is not None:
            parts.append("template = ?")
            values.append(_storable(self.template))
        if self.before is not None:
            parts.append("number < ?")
            values.append(self.before)
        return " AND ".join(f"({part})" for part in parts), values


def _like(text: str) -> str:
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{_storable(text)}%"


def _storable(text: str) -> str:
    # Lone surrogates do not fit into SQLite, and a pattern ends there at NUL. Neither is in what is searched.
    return _NOT_STORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
