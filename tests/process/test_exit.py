"""A script that ends right after `Task(...)` has started its task: in child processes, where the end is real."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from requence._token import decode_access_token, encode_access_token
from requence.local import LocalServer, NodeContext, TaskTemplate

SCRIPTS = {
    "plain": """
        from requence.task import Task
        Task("note", {"from": "plain"})
        """,
    "in asyncio.run": """
        import asyncio
        from requence.task import Task

        async def main():
            Task("note", {"from": "in asyncio.run"})

        asyncio.run(main())
        """,
    "leaving by an exception": """
        from requence.task import Task
        Task("note", {"from": "leaving by an exception"})
        raise SystemExit(3)
        """,
    "in the middle of its updates": """
        from requence.task import Task
        task = Task("note", {"from": "in the middle of its updates"})
        updates = iter(task.sync.updates)
        print(next(updates).type)
        """,
}


@pytest.fixture(params=["127.0.0.1", "localhost"])
def notes(request: pytest.FixtureRequest) -> Iterator[tuple[str, queue.Queue[str]]]:
    """A server whose handler tells what it was started with; the token names it by address or by host name.

    Resolving a name needs a worker thread, which a closing interpreter does not give any more.
    """
    seen: queue.Queue[str] = queue.Queue()
    template = TaskTemplate("note")

    @template.node
    def note(ctx: NodeContext) -> None:
        seen.put(ctx.input["from"])
        ctx.terminated.wait()

    with LocalServer(template) as server:
        bearer = decode_access_token(server.access_token, source="the server").bearer
        yield encode_access_token(bearer, server.url.replace("127.0.0.1", request.param)), seen


@pytest.mark.parametrize("way", SCRIPTS)
def test_a_script_that_ends_has_started_its_task(way: str, notes: tuple[str, queue.Queue[str]]) -> None:
    token, seen = notes
    done = run(SCRIPTS[way], token)
    printed = "taskStart\n" if "updates" in way else ""
    assert (done.returncode, done.stdout, done.stderr) == (3 if "exception" in way else 0, printed, "")
    assert seen.get(timeout=10) == way
    assert seen.empty()


def test_a_start_that_cannot_be_delivered_is_told_on_stderr_and_does_not_hang(free_port: int) -> None:
    """The service is not there: the script ends within its deadline, and says what is not known."""
    done = run(SCRIPTS["plain"], encode_access_token("t", f"http://127.0.0.1:{free_port}"), dev=False)
    assert done.returncode == 0
    assert done.stderr.startswith("The task 'note' was not started: ")
    assert f"127.0.0.1:{free_port} could not be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def run(text: str, access_token: str, *, dev: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *(["-X", "dev", "-W", "error"] if dev else []), "-c", textwrap.dedent(text)],
        env={**os.environ, "REQUENCE_ACCESS_TOKEN": access_token},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
