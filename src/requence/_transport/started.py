"""What the service has answered to a start. Light, since callers' threads know it, too."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Started"]


class Started(NamedTuple):
    """A started task. `watch_url` and `url` are None if the service named none."""

    task_id: str
    watch_url: str | None
    url: str | None
