"""Handles in forked children: a started one goes on, one whose start was in flight says what is not known."""

from __future__ import annotations

import multiprocessing
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.children import run, run_python
from tests.process.conftest import Notes
from tests.scripted_server import Answer, Gate, ScriptedServer, Stream, end, event

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

BEGIN = """
import asyncio, os, sys, threading, traceback, warnings
from requence.exceptions import ForkedHandleError, RequenceError
from requence.task import Task, get_task

warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later warn of every fork beside threads

def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def printed(script: str, access_token: str) -> list[str]:
    done = run(BEGIN + textwrap.dedent(script), access_token)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("pause", ["0", "0.05", "0.2"])
def test_a_fork_right_after_a_start_leaves_a_child_that_works(notes: Notes, pause: str) -> None:
    """Also while the I/O thread imports: nobody would release its import locks in the child."""
    script = f"""
        import time
        task = Task("note", {{"from": "parent"}})
        time.sleep({pause})

        def work():
            Task("note", {{"from": "child"}}).sync.id

        in_child(work)
        """
    assert printed(script, notes.access_token) == []
    assert {notes.next(), notes.next()} == {"parent", "child"}


def test_a_started_handle_goes_on_in_the_child(server: ScriptedServer) -> None:
    """By its reference: the same id, the same stream, a connection of its own. The parent goes on as well."""
    server.always("watch", Stream([event(1, "taskStart", input={"a": 1}), end(2, "done")]))
    script = """
        task = Task("t", {"a": 1})
        print(task.sync.id)

        def work():
            print(repr(task), task.known_id, task.sync.url)
            print([update.position for update in task.sync.updates])
            print(task.sync.result.result, asyncio.run(task.wait()).input)
            task.sync.protect()
            task.abort("enough")

        in_child(work)
        print(task.sync.result.result)
        """
    page = f"{server.url.removesuffix('/api')}/page/task-1"
    assert printed(script, server.access_token) == [
        "task-1",
        f"<Task 't' task-1> task-1 {page}",
        "[1, 2]",
        "done {'a': 1}",
        "done",
    ]
    assert server.operations.count("prepare") == server.operations.count("finalize") == 1
    assert server.operations.count("protect") == server.operations.count("abort") == 1


def test_a_handle_whose_start_was_in_flight(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("finalize", Answer(when=gate))
    server.always("get", Answer(404))
    script = """
        task = Task("t")
        # The answer to finalize is held back, so the fork comes before it.

        def work():
            for use in (
                lambda: task.sync.id,
                lambda: task.sync.result,
                lambda: list(task.sync.updates),
                lambda: asyncio.run(task.wait()),
                lambda: task.abort(),
                lambda: task.result,
            ):
                try:
                    use()
                except ForkedHandleError as error:
                    print(error.message)
            print(repr(task), task.known_id)

        in_child(work)
        os._exit(0)
        """
    told = (
        "The process was forked while a task of 't' was being started, "
        "so only the parent knows what became of it"
    )
    assert printed(script, server.access_token) == [
        *[told] * 6,
        "<Task 't', being started by the parent process> None",
    ]
    gate.open()


def test_a_handle_whose_start_has_failed(server: ScriptedServer) -> None:
    server.always("finalize", Answer(400, "the input does not fit"))
    script = """
        task = Task("t")
        try:
            task.sync.id
        except RequenceError:
            pass

        def work():
            for _ in range(2):
                try:
                    task.sync.result
                except RequenceError as error:
                    print(type(error).__name__, error, error.task_template)

        in_child(work)
        """
    assert printed(script, server.access_token) == ["TaskRefusedError the input does not fit t"] * 2


def test_what_was_begun_before_the_fork_says_so(server: ScriptedServer) -> None:
    """A wait, an iteration, an operation: what the parent's connection brings does not come here."""
    gate = Gate()
    server.always("watch", Stream([event(1, "taskStart", input=None), gate, end(2)], end="open"))
    server.always("protect", Answer(when=gate))
    script = """
        task = Task("t")
        task.sync.id
        updates = iter(task.sync.updates)
        next(updates)
        waiting = task.result
        operations = []

        async def protect():
            operations.append(task.protect())

        asyncio.run(protect())

        def work():
            for use in (
                lambda: next(updates),
                lambda: asyncio.run(awaited(waiting)),
                lambda: asyncio.run(awaited(operations[0])),
            ):
                try:
                    use()
                except ForkedHandleError as error:
                    print(error.message)
            print(next(iter(task.sync.updates)).type)

        async def awaited(what):
            return await what

        in_child(work)
        os._exit(0)
        """
    told = "This was begun before the process forked, and its connection stayed in the parent"
    assert printed(script, server.access_token) == [*[told] * 3, "taskStart"]
    gate.open()


def test_a_child_of_a_child(server: ScriptedServer) -> None:
    script = """
        task = Task("t")
        task.sync.id
        in_child(lambda: in_child(lambda: print(task.sync.result.result, Task("t").sync.id, flush=True)))
        """
    assert printed(script, server.access_token) == ["done task-2"]


def test_a_server_that_preloads_its_application(notes: Notes) -> None:
    """The master imports, configures and even starts a task, then forks its workers: each starts its own."""
    script = """
        import requence
        client = requence.Client(call_timeout=20)
        Task("note", {"from": "master", "wait": False}, client=client).sync.result

        def serve(number):
            task = Task("note", {"from": f"worker {number}", "wait": False}, client=client)
            assert task.sync.result.result == "noted"
            names = sorted(thread.name for thread in threading.enumerate() if "requence" in thread.name)
            assert names == ["requence-io", "requence-io-worker"], names

        workers = []
        for number in range(3):
            worker = os.fork()
            if worker == 0:
                try:
                    serve(number)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
            workers.append(worker)
        print([os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers])
        Task("note", {"from": "master again", "wait": False}, client=client).sync.result
        """
    assert printed(script, notes.access_token) == ["[0, 0, 0]"]
    assert {notes.next() for _ in range(5)} == {
        "master",
        "worker 0",
        "worker 1",
        "worker 2",
        "master again",
    }


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_handle_as_an_argument_of_a_child_of_multiprocessing(
    server: ScriptedServer, method: str, tmp_path: Path
) -> None:
    """Inherited or pickled, it serves in the child; what a child returns serves in the parent."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no start method {method}")
    server.always("watch", Stream([event(1, "taskStart", input=None), end(2, "done")]))
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import multiprocessing, warnings
        from concurrent.futures import ProcessPoolExecutor
        from requence.task import Task

        warnings.simplefilter("ignore", DeprecationWarning)

        def begin(template):
            task = Task(template)
            task.sync.id
            return task

        def follow(task):
            return task.known_id, task.sync.result.result, [update.type for update in task.sync.updates]

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            task = begin("t")
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                print(pool.submit(follow, task).result())
                print(follow(pool.submit(begin, "other").result()))
        """),
        "utf-8",
    )
    done = run_python([str(script)], server.access_token)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "('task-1', 'done', ['taskStart', 'taskEnd'])",
        "('task-2', 'done', ['taskStart', 'taskEnd'])",
    ]


@pytest.mark.parametrize("pause", ["0", "0.0005", "0.001", "0.002", "0.003"])
def test_a_fork_while_another_thread_begins_the_first_task(server: ScriptedServer, pause: str) -> None:
    """It imports then, and makes the I/O thread; the child inherits none of the locks that this takes."""
    script = f"""
        import time
        begun = threading.Thread(target=lambda: Task("t"), daemon=True)
        begun.start()
        time.sleep({pause})
        in_child(lambda: print(Task("t").sync.wait(20).result))
        begun.join()
        """
    assert printed(script, server.access_token) == ["done"]


def test_forks_at_any_moment_of_a_busy_process(server: ScriptedServer) -> None:
    """Which logs everything into a file: also the lock of its buffer is not held during a fork."""
    script = """
        import logging, random, time

        logging.basicConfig(level=logging.DEBUG, filename=os.devnull)
        old = Task("t")
        old.sync.id
        over = threading.Event()

        def work():
            while not over.is_set():
                Task("t", on_update=lambda update: None, decode=str).sync.result

        busy = [threading.Thread(target=work) for _ in range(3)]
        for thread in busy:
            thread.start()

        def child():
            assert old.sync.wait(20).result == "done"
            assert Task("t", on_update=lambda update: None).sync.wait(20).result == "done"

        for _ in range(20):
            time.sleep(random.random() / 50)
            in_child(child)
        over.set()
        """
    assert printed(script, server.access_token) == []
