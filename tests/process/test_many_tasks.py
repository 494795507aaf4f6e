"""`map_tasks` in processes of its own: thousands of tasks, Ctrl-C, forks, and the end of the script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
from tests.conftest import ROOT
from tests.process.children import run
from tests.process.conftest import Notes
from tests.scripted_server import Gate, ScriptedServer, Stream, end, event

FIRST = event(1, "taskStart", input=None)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        server.always("watch", Stream([FIRST], end="open"))
        yield server


@pytest.mark.parametrize("face", [[], ["--async"]], ids=["for", "async for"])
def test_a_thousand_tasks_with_few_files_and_flat_memory(face: list[str]) -> None:
    """And one of them fails. With more of them it is a part of `make soak`."""
    pytest.importorskip("resource", reason="this system has no limits of this kind")
    command = [sys.executable, "-W", "error", "-m", "tests.task.many", "1000", "--file-limit", "256", *face]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith("1000 of 1000 came once")


WAYS = {
    "for": """
        for item in map_tasks("t", range(3), on_exit="{on_exit}"):
            pass
        """,
    "with": """
        with map_tasks("t", range(3), on_exit="{on_exit}") as items:
            for item in items:
                pass
        """,
    "async for": """
        async def main():
            async for item in aio.map_tasks("t", range(3), on_exit="{on_exit}"):
                pass

        asyncio.run(main())
        """,
    "async with": """
        async def main():
            async with aio.map_tasks("t", range(3), on_exit="{on_exit}") as items:
                async for item in items:
                    pass

        asyncio.run(main())
        """,
}


@pytest.mark.parametrize("on_exit", ["leave", "abort"])
@pytest.mark.parametrize("way", WAYS)
def test_a_wait_is_interrupted_at_once(server: ScriptedServer, way: str, on_exit: str) -> None:
    begin = "import asyncio\nfrom requence.task import aio, map_tasks\n"
    code = begin + textwrap.dedent(WAYS[way]).format(on_exit=on_exit)
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REQUENCE_ACCESS_TOKEN": server.access_token},
    ) as child:
        server.wait_until(lambda: len(server.calls("watch")) == 3)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    assert child.returncode == -signal.SIGINT, errors
    assert errors.rstrip().splitlines()[-1].startswith(("KeyboardInterrupt", "3 tasks of 't'"))
    said = "3 tasks of 't' are aborted (on_exit)" if on_exit == "abort" else "3 tasks of 't' go on (on_exit)"
    assert errors.count(said) == 1, errors
    assert "never awaited" not in errors
    assert len(server.calls("abort")) == (3 if on_exit == "abort" else 0)


INPUTS = """
        import asyncio, sys
        from requence.task import aio, map_tasks

        def inputs():
            for number in range(5):
                read.append(number)
                yield {"from": str(number), "wait": number > 0}

        read = []
        """
ENDS = {
    "for": """
        for item in map_tasks("note", inputs()):
            sys.exit(str(len(read)))
        """,
    "async for": """
        async def main():
            async for item in aio.map_tasks("note", inputs()):
                sys.exit(str(len(read)))

        asyncio.run(main())
        """,
}


@pytest.mark.parametrize("way", ENDS)
def test_a_script_that_ends_in_the_loop_leaves_started_tasks(notes: Notes, way: str) -> None:
    done = run(INPUTS + ENDS[way], notes.access_token)
    assert done.returncode == 1
    begun = {str(number) for number in range(int(done.stderr))}
    assert {notes.next() for _ in begun} == begun
    assert notes.seen.empty()


def test_a_script_that_ends_in_the_loop_has_aborted_tasks(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("watch", Stream([FIRST, gate, end(2, "done")]))
    script = """
        from requence.task import map_tasks

        for item in map_tasks("t", range(4), on_exit="abort"):
            break
        """
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REQUENCE_ACCESS_TOKEN": server.access_token},
    ) as child:
        server.wait_until(lambda: len(server.calls("watch")) == 4)
        gate.open()
        _, errors = child.communicate(timeout=20)
    assert (child.returncode, errors) == (0, "")
    assert len(server.calls("abort")) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("on_exit", ["leave", "abort"])
def test_a_forked_child_does_not_disturb_it(server: ScriptedServer, on_exit: str) -> None:
    server.script("watch", *(Stream([FIRST, end(2, number)]) for number in range(4)))
    script = f"""
        import os, sys, warnings
        from requence.exceptions import ForkedHandleError
        from requence.task import map_tasks

        warnings.simplefilter("ignore", DeprecationWarning)
        items = map_tasks("t", range(4), on_exit="{on_exit}", max_in_flight=2)
        next(items)
        child = os.fork()
        if child == 0:
            try:
                with items:
                    next(items)
            except ForkedHandleError as error:
                print(error.hint, flush=True)
            del items
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print(len(list(items)))
        """
    done = run(script, server.access_token)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "begin it anew here, from the handle or the task's id\n3\n"
    assert "abort" not in server.operations
