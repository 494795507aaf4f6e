"""Ctrl-C ends a wait at once, wherever it hits, and never the task: in child processes, with real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
from tests.scripted_server import ScriptedServer, Stream, event

WAITS = {
    "task.sync.result": """
        print("waiting", flush=True)
        task.sync.result
        """,
    "task.sync.updates": """
        for update in task.sync.updates:
            print("waiting", flush=True)
        """,
    "await task.result": """
        async def main():
            print("waiting", flush=True)
            await task.result

        asyncio.run(main())
        """,
    "async for": """
        async def main():
            async for update in task:
                print("waiting", flush=True)

        asyncio.run(main())
        """,
    "a watcher": """
        for update, incomplete in TaskWatcher(datetime.now()).sync.updates:
            print("waiting", flush=True)
        """,
    "a watcher, async for": """
        async def main():
            async with TaskWatcher(datetime.now()) as watcher:
                async for update, incomplete in watcher.updates:
                    print("waiting", flush=True)

        asyncio.run(main())
        """,
    "a callback that does not return": """
        called = threading.Event()

        def block(update):
            called.set()
            threading.Event().wait()

        other = Task("t", on_update=block)
        called.wait()
        print("waiting", flush=True)
        task.sync.result
        """,
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        server.always("watch", Stream([event(1, "taskStart", input=None)], end="open"))
        server.always("watch-all", Stream([event(1, "taskStart", taskId="a", input=None)], end="open"))
        yield server


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_is_interrupted_at_once(server: ScriptedServer, wait: str) -> None:
    begin = """
        import asyncio, threading
        from datetime import datetime
        from requence.task import Task, TaskWatcher

        task = Task("t")
        task.sync.id
        """
    code = textwrap.dedent(begin) + textwrap.dedent(WAITS[wait])
    environment = {**os.environ, "REQUENCE_ACCESS_TOKEN": server.access_token}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "waiting\n"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    assert child.returncode == -signal.SIGINT, errors
    assert errors.rstrip().splitlines()[-1] == "KeyboardInterrupt"
    assert "never awaited" not in errors
    assert "ResourceWarning" not in errors
    assert "abort" not in server.operations
