"""The short log that most tests of streams use, and what they look at."""

from __future__ import annotations

from typing import Any

from tests.scripted_server import ScriptedServer, end, event

from requence.task import Update

__all__ = ["FIRST", "LAST", "LOG", "NODE", "SECOND", "bodies", "positions"]

NODE = {"id": "n1", "type": "service", "alias": "ocr"}
FIRST = event(1, "taskStart", input={"a": 1})
SECOND = event(2, "nodeUpdate", node=NODE, data="text", output=None)
LAST = end(3, "done")
LOG = (FIRST, SECOND, LAST)


def positions(updates: list[Update]) -> list[int | None]:
    """The positions of updates."""
    return [update.position for update in updates]


def bodies(server: ScriptedServer) -> list[dict[str, Any]]:
    """What a server was sent by whoever watched a task."""
    return [call.json for call in server.calls("watch")]
