"""Where a part of the installation cannot be imported, everything says so, and nothing waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys

from requence._token import encode_access_token

SCRIPT = """
import asyncio
import sys

sys.modules["aiohttp"] = None  # as if it were not installed

import requence
from requence.task import Task, aio, get_task, map_tasks

def outcome(ask):
    try:
        return f"returned {ask()!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"

task = Task("t", {})
asked = {
    "id": lambda: task.sync.id,
    "result": lambda: task.sync.result,
    "updates": lambda: list(task.sync.updates),
    "abort": lambda: task.sync.abort(),
    "await": lambda: asyncio.run(aio.get_task("id")),
    "get_task": lambda: get_task("id"),
    "attached": lambda: Task.attach("id").sync.result,
    "map_tasks": lambda: [item.result for item in map_tasks("t", [1])],
}
for name, ask in asked.items():
    print(name, outcome(ask))
unheard = Task("t", {})
print("flush", len(requence.flush()))
"""


def test_everybody_who_waits_is_told() -> None:
    token = encode_access_token("of-a-test", "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "REQUENCE_ACCESS_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *outcomes, flushed = done.stdout.splitlines()
    assert [outcome.split()[0] for outcome in outcomes] == [
        *("id", "result", "updates", "abort", "await", "get_task", "attached", "map_tasks"),
    ]
    for outcome in outcomes:
        assert "aiohttp" in outcome, outcome
        assert "returned" not in outcome
    assert outcomes[0].startswith("id TaskException: The task could not be started: ")
    assert int(flushed.split()[1]) >= 1
