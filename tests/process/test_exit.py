"""A script that ends right after `Task(...)` has started its task: in child processes, where the end is real."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.conftest import greeting
from tests.process.children import run, run_python
from tests.process.conftest import Notes
from tests.scripted_server import Answer, Gate, ScriptedServer, Stream, event

from requence._token import encode_access_token
from requence.local import LocalServer

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
    "after a wait that was given up": """
        from requence.task import Task, TaskWaitTimeout

        task = Task("note", {"from": "after a wait that was given up"}, on_update=lambda update: None)
        try:
            task.sync.wait(0.2)
        except TaskWaitTimeout:
            pass
        """,
    "at the end of a daemon thread's life": """
        import threading
        from requence.task import Task

        begun = threading.Event()

        def work():
            Task("note", {"from": "at the end of a daemon thread's life"})
            begun.set()
            threading.Event().wait()

        threading.Thread(target=work, daemon=True).start()
        begun.wait()
        """,
}


NO_THREAD = (
    "UsageError: No task can be started or followed here: can't create new thread at interpreter shutdown\n"
)


@pytest.mark.parametrize("way", SCRIPTS)
def test_a_script_that_ends_has_started_its_task(way: str, notes: Notes) -> None:
    done = run(SCRIPTS[way], notes.access_token)
    printed = "taskStart\n" if "updates" in way else ""
    assert (done.returncode, done.stdout, done.stderr) == (3 if "exception" in way else 0, printed, "")
    assert notes.next() == way
    assert notes.seen.empty()


def test_a_thread_that_outlives_the_main_thread_goes_on(notes: Notes) -> None:
    """The interpreter waits for such threads, so nothing may be taken away from them before they have ended."""
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
    done = run(script, notes.access_token)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Task aborted: enough\n", "")
    assert {notes.next(), notes.next()} == {"before", "later"}


def test_the_first_task_of_a_thread_that_outlives_the_main_thread(notes: Notes) -> None:
    """What it imports then must not be what refuses to be imported so late. As below for what needs threads."""
    script = """
        import threading
        from requence.task import Task

        def work():
            threading.main_thread().join()
            try:
                Task("note", {"from": "afterwards"}).sync.id
            except RuntimeError as error:
                print(f"{type(error).__name__}: {error}")

        threading.Thread(target=work).start()
        """
    done = run(script, notes.access_token)
    assert (done.returncode, done.stderr) == (0, "")
    if done.stdout:
        assert done.stdout == NO_THREAD
    else:
        assert notes.next() == "afterwards"


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


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_start_at_the_end_of_a_child_of_multiprocessing(notes: Notes, method: str, tmp_path: Path) -> None:
    """Such children run no `atexit` callbacks."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no start method {method}")
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
    done = run_python([str(script)], notes.access_token)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")
    assert notes.next() == "a child"


def test_a_start_that_cannot_be_delivered_is_told_on_stderr(free_port: int) -> None:
    """The service is not there: the script ends within its deadline, and says what is not known."""
    done = run(SCRIPTS["plain"], encode_access_token("t", f"http://127.0.0.1:{free_port}"))
    assert done.returncode == 0
    [line] = done.stderr.splitlines()
    assert line.startswith(
        f"The task 'note' was not started: http://127.0.0.1:{free_port} could not be reached"
    )
    assert line.endswith("(check the network, and the base URL in the access token)")


def test_a_service_that_does_not_answer_holds_the_end_of_a_script_up_for_five_seconds() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        token = encode_access_token("t", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        done = run(SCRIPTS["plain"], token)
        took = time.monotonic() - began
    assert done.returncode == 0
    assert done.stderr == (
        "The task 'note' was not started: The script ended before the service had reserved the task\n"
    )
    assert 5 <= took < 15


def test_a_start_whose_answer_does_not_come_is_told_to_be_uncertain() -> None:
    with ScriptedServer() as server:
        gate = Gate()
        server.always("finalize", Answer(when=gate))
        done = run(SCRIPTS["plain"], server.access_token)
        gate.open()
    assert done.returncode == 0
    assert done.stderr == (
        "It is uncertain whether the task 'note' was started: "
        "The script ended before the service had answered for task task-1 "
        "(look at it with get_task('task-1'), or wait for it with Task.attach)\n"
    )


def test_a_failed_start_that_somebody_has_seen_is_not_told_again(free_port: int) -> None:
    script = """
        from requence.task import Task, RequenceUnreachableException
        task = Task("note", client=None)
        try:
            task.sync.id
        except RequenceUnreachableException:
            print("seen")
        """
    done = run(script, encode_access_token("t", f"http://127.0.0.1:{free_port}"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "seen\n", "")


def test_streams_do_not_hold_the_end_of_a_script_up() -> None:
    script = """
        import threading
        from requence.task import Task
        task = Task("note")
        for _ in range(3):
            threading.Thread(target=lambda: task.sync.result, daemon=True).start()
        updates = iter(task.sync.updates)
        next(updates)
        """
    with ScriptedServer() as server:
        server.always("watch", Stream([event(1, "taskStart")], end="open"))
        began = time.monotonic()
        done = run(script, server.access_token, strict=False)
        took = time.monotonic() - began
    assert done.returncode == 0
    assert took < 4


def test_no_task_is_begun_once_the_interpreter_shuts_down(notes: Notes) -> None:
    script = """
        import atexit
        from requence.task import Task

        def too_late():
            try:
                Task("note", {"from": "an exit handler"})
            except RuntimeError as error:
                print(f"{type(error).__name__}: {error}")

        atexit.register(too_late)  # runs after those that are registered later
        Task("note", {"from": "the script"}).sync.id
        """
    done = run(script, notes.access_token)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "UsageError: The interpreter is shutting down, so no request can be sent any more\n"
    assert notes.next() == "the script"
    assert notes.seen.empty()


def test_a_first_task_in_an_exit_handler(notes: Notes) -> None:
    """Threads may still be started there up to Python 3.11; later ones say that they may not."""
    script = """
        import atexit
        from requence.task import Task

        @atexit.register
        def last():
            try:
                Task("note", {"from": "an exit handler"}).sync.id
            except RuntimeError as error:
                print(f"{type(error).__name__}: {error}")
        """
    done = run(script, notes.access_token)
    assert (done.returncode, done.stderr) == (0, "")
    if done.stdout:
        assert done.stdout == NO_THREAD
    else:
        assert notes.next() == "an exit handler"


CHILD = """
    import multiprocessing
    from requence.task import Task

    def work():
        {}

    if __name__ == "__main__":
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join()
    """


def in_a_child(work: str, access_token: str) -> tuple[int, list[str]]:
    """Runs a line in a child of `multiprocessing`, which ends without exit handlers; returns what is on stderr."""
    done = run(CHILD.format(work), access_token)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system has no start method fork"
)
class TestChildOfMultiprocessing:
    def test_a_start_that_cannot_be_delivered(self, free_port: int) -> None:
        token = encode_access_token("t", f"http://127.0.0.1:{free_port}")
        status, [line] = in_a_child("global task; task = Task('note')", token)
        assert status == 0
        assert line.startswith("The task 'note' was not started: ")

    def test_a_start_that_is_not_answered(self) -> None:
        with ScriptedServer() as server:
            gate = Gate()
            server.always("finalize", Answer(when=gate))
            status, [line] = in_a_child("Task('note')", server.access_token)
            gate.open()
        assert status == 0
        assert line.startswith("It is uncertain whether the task 'note' was started: ")

    def test_a_start_that_has_failed_while_its_handle_lives(self) -> None:
        with ScriptedServer() as server:
            server.always("finalize", Answer(400, "no"))
            status, lines = in_a_child("global task; task = Task('note')", server.access_token)
        assert (status, lines) == (0, ["The task 'note' was not started: no"])

    def test_an_operation_that_has_failed(self) -> None:
        script = """
            import asyncio, multiprocessing
            from requence.task import Task

            kept = []

            async def protect(task):
                kept.append(task.protect())

            def work():
                task = Task("note")
                task.sync.id
                asyncio.run(protect(task))

            if __name__ == "__main__":
                process = multiprocessing.get_context("fork").Process(target=work)
                process.start()
                process.join()
            """
        with ScriptedServer() as server:
            server.always("protect", Answer(400, "no"))
            done = run(script, server.access_token)
        assert done.returncode == 0
        assert done.stderr == "protect of <Task 'note' task-1> failed, and nobody awaited it: no\n"


KEEP = """
    import asyncio
    from requence.task import Task

    task = Task("note")
    task.sync.id
    kept = []

    async def main():
        kept.append(task.protect())

    asyncio.run(main())
    """


def test_an_operation_that_has_failed_while_it_is_kept() -> None:
    with ScriptedServer() as server:
        server.always("protect", Answer(400, "no"))
        done = run(KEEP, server.access_token)
    assert done.returncode == 0
    assert done.stderr == "protect of <Task 'note' task-1> failed, and nobody awaited it: no\n"


def test_an_operation_that_is_not_answered() -> None:
    with ScriptedServer() as server:
        gate = Gate()
        server.always("protect", Answer(when=gate))
        done = run(KEEP, server.access_token)
        gate.open()
    assert done.returncode == 0
    assert done.stderr == "protect of <Task 'note' task-1> was not confirmed before the script ended\n"


def test_an_operation_that_was_awaited_says_nothing_more() -> None:
    with ScriptedServer() as server:
        done = run(KEEP.replace("kept.append(task.protect())", "await task.protect()"), server.access_token)
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_ends_the_wait_for_a_start_at_the_end_of_a_script() -> None:
    script = """
        import threading
        from requence.task import Task
        Task("note")
        # What is registered last is called first: right before the wait.
        threading._register_atexit(print, "the main thread has ended", flush=True)
        """
    with ScriptedServer() as server:
        gate = Gate()
        server.always("finalize", Answer(when=gate))
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "REQUENCE_ACCESS_TOKEN": server.access_token},
        ) as child:
            server.wait_until(lambda: "finalize" in server.operations)
            assert child.stdout is not None
            assert child.stdout.readline() == "the main thread has ended\n"
            began = time.monotonic()
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=20)
            took = time.monotonic() - began
        gate.open()
    assert took < 3
    [line] = errors.splitlines()
    assert line.startswith("It is uncertain whether the task 'note' was started: ")
