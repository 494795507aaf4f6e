"""A script that ends right after `Task(...)` has started its task: in child processes, where the end is real."""

from __future__ import annotations

import multiprocessing
import os
import queue
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import greeting

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


def test_a_thread_that_outlives_the_main_thread_goes_on(notes: tuple[str, queue.Queue[str]]) -> None:
    """The interpreter waits for such threads, so nothing may be taken away from them before they have ended."""
    token, seen = notes
    script = """
        import threading
        from requence.task import Task, abort_task, TaskAbortedError

        def work(task):
            threading.main_thread().join()
            task.sync.id
            later = Task("note", {"from": "later"})
            abort_task(later.sync.id, reason="enough")
            try:
                later.sync.result
            except TaskAbortedError as error:
                print(error)

        threading.Thread(target=work, args=[Task("note", {"from": "before"})]).start()
        """
    done = run(script, token)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Task aborted: enough\n", "")
    assert {seen.get(timeout=10), seen.get(timeout=10)} == {"before", "later"}


def test_a_result_is_decoded_for_a_loop_that_outlives_the_main_thread() -> None:
    """Python 3.12 starts no thread from then on, so there is none of its own for the decoding."""
    script = """
        import asyncio, threading
        from requence.task import Task

        async def work():
            print((await task).result)

        def outlive():
            threading.main_thread().join()
            asyncio.run(work())

        task = Task("my-template", {"name": "World"}, decode=list)
        threading.Thread(target=outlive).start()
        """
    with LocalServer(greeting()) as server:
        done = run(script, server.access_token)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{list('HELLO WORLD')}\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("pause", ["0", "0.05", "0.2"])
def test_a_fork_right_after_a_start_leaves_a_child_that_works(
    notes: tuple[str, queue.Queue[str]], pause: str
) -> None:
    """Also while the I/O thread imports: nobody would release its import locks in the child."""
    token, seen = notes
    script = f"""
        import os, time, warnings
        from requence.exceptions import ForkedHandleError
        from requence.task import Task

        task = Task("note", {{"from": "parent"}})
        time.sleep({pause})
        warnings.simplefilter("ignore")  # Python 3.12 and later warn of every fork beside threads
        child = os.fork()
        if child == 0:
            try:
                task.sync.id
            except ForkedHandleError as error:
                print(type(error).__name__, flush=True)
            Task("note", {{"from": "child"}}).sync.id
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    done = run(script, token, dev=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ForkedHandleError\n7\n", "")
    assert {seen.get(timeout=10), seen.get(timeout=10)} == {"parent", "child"}


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_start_at_the_end_of_a_child_of_multiprocessing(
    notes: tuple[str, queue.Queue[str]], method: str, tmp_path: Path
) -> None:
    """Such children run no `atexit` callbacks."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no start method {method}")
    token, seen = notes
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import multiprocessing
        from requence.task import Task

        def work():
            Task("note", {{"from": "a child"}})

        if __name__ == "__main__":
            process = multiprocessing.get_context("{method}").Process(target=work)
            process.start()
            process.join()
            print(process.exitcode)
        """),
        "utf-8",
    )
    done = run_python([str(script)], token)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
    assert seen.get(timeout=10) == "a child"


def test_a_start_that_cannot_be_delivered_is_told_on_stderr_and_does_not_hang(free_port: int) -> None:
    """The service is not there: the script ends within its deadline, and says what is not known."""
    done = run(SCRIPTS["plain"], encode_access_token("t", f"http://127.0.0.1:{free_port}"), dev=False)
    assert done.returncode == 0
    assert done.stderr.startswith("The task 'note' was not started: ")
    assert f"127.0.0.1:{free_port} could not be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def run(text: str, access_token: str, *, dev: bool = True) -> subprocess.CompletedProcess[str]:
    strict = ["-X", "dev", "-W", "error"] if dev else []
    return run_python([*strict, "-c", textwrap.dedent(text)], access_token)


def run_python(arguments: list[str], access_token: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "REQUENCE_ACCESS_TOKEN": access_token},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
