"""Ctrl-C ends a wait at once, wherever it hits, and never the task: in child processes, with real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
from tests.scripted_server import Answer, Gate, ScriptedServer, Stream, event

BEGIN = """
    import asyncio, sys, threading, time
    from datetime import datetime
    from requence.task import Task, TaskWatcher

    def tell():
        main = threading.main_thread().ident
        while sys._current_frames()[main].f_code.co_name not in ("wait", "select"):
            time.sleep(0.01)
        print("waiting", flush=True)

    task = Task("t")
    task.sync.id
    threading.Thread(target=tell, daemon=True).start()
    """
WAITS = {
    "task.sync.result": """
        task.sync.result
        """,
    "in slices, as on Windows": """
        from requence._transport import outcome
        outcome._SLICE = 0.05
        task.sync.result
        """,
    "task.sync.updates": """
        for update in task.sync.updates:
            pass
        """,
    "await task.result": """
        async def main():
            await task.result

        asyncio.run(main())
        """,
    "async for": """
        async def main():
            async for update in task:
                pass

        asyncio.run(main())
        """,
    "a watcher": """
        for update, incomplete in TaskWatcher(datetime.now()).sync.updates:
            pass
        """,
    "a watcher, async for": """
        async def main():
            async with TaskWatcher(datetime.now()) as watcher:
                async for update, incomplete in watcher.updates:
                    pass

        asyncio.run(main())
        """,
    "a callback that does not return": """
        other = Task("t", on_update=lambda update: threading.Event().wait())
        task.sync.result
        """,
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        server.always("watch", Stream([event(1, "taskStart", input=None)], end="open"))
        server.always("watch-all", Stream([event(1, "taskStart", taskId="a", input=None)], end="open"))
        yield server


@pytest.mark.parametrize(
    "call", ["task.sync.abort()", "task.abort()", "task.sync.protect()", "task.protect()"]
)
def test_a_request_is_interrupted(server: ScriptedServer, call: str) -> None:
    gate = Gate()
    verb = "abort" if "abort" in call else "protect"
    server.always("abort", Answer(when=gate))
    server.always("protect", Answer(when=gate))
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(BEGIN) + call],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REQUENCE_ACCESS_TOKEN": server.access_token},
    ) as child:
        assert child.stdout is not None
        server.wait_until(lambda: verb in server.operations)
        assert child.stdout.readline() == "waiting\n"
        child.send_signal(signal.SIGINT)
        gate.open()  # the end of the script waits for a request that is under way
        _, errors = child.communicate(timeout=20)
    assert child.returncode == -signal.SIGINT, errors
    page = f"{server.url.removesuffix('/api')}/page/task-1"
    assert f"Whether the {verb} of task task-1 ('t') has arrived is not known; look at {page}\n" in errors


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_is_interrupted_at_once(server: ScriptedServer, wait: str) -> None:
    streams = 2 if "callback" in wait else 1
    code = textwrap.dedent(BEGIN) + textwrap.dedent(WAITS[wait])
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REQUENCE_ACCESS_TOKEN": server.access_token},
    ) as child:
        assert child.stdout is not None
        server.wait_until(lambda: sum(name.startswith("watch") for name in server.operations) == streams)
        assert child.stdout.readline() == "waiting\n"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    assert child.returncode == -signal.SIGINT, errors
    assert "KeyboardInterrupt" in errors.rstrip().splitlines()[-2:]
    assert "never awaited" not in errors
    assert "ResourceWarning" not in errors
    assert "abort" not in server.operations
    page = f"{server.url.removesuffix('/api')}/page/task-1"
    said = f"Only the wait has ended: task task-1 ('t') still runs; look at {page}\n"
    assert errors.count(said) == (0 if "watcher" in wait else 1), errors
