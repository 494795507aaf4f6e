"""The command line as a process of its own: on a terminal, without one, interrupted, and cut off."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.command import requence
from tests.conftest import echo, endless, greeting
from tests.scripted_server import BEARER, Answer, Gate, ScriptedServer

from requence.cli.interruption import interruptible
from requence.local import LocalServer, NodeContext, TaskTemplate
from requence.task import Task, abort_task, get_task

pty = pytest.importorskip("pty", reason="there are no terminals on Windows")

COMMAND = str(Path(sys.executable).with_name("requence"))
LONGEST = 30  # seconds


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A server whose token is in the environment of child processes."""
    slow = TaskTemplate("slow")

    @slow.node
    def first(ctx: NodeContext) -> object:
        return {"\x1b[31m": "[red]\u202e"}

    @slow.node(after=first)
    def second(ctx: NodeContext) -> None:
        ctx.terminated.wait()

    with LocalServer(slow, endless(), echo(), greeting()) as running, running.use():
        monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", running.access_token)
        for name in ("NO_COLOR", "FORCE_COLOR", "PYTHONUTF8", "PYTHONIOENCODING"):
            monkeypatch.delenv(name, raising=False)
        yield running


# Makes the terminal the one that the process is controlled from, so that Ctrl-C typed there reaches it.
CONTROLLED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class OnATerminal:
    """A command on a terminal of its own; only its standard output is a pipe."""

    def __init__(self, *arguments: str) -> None:
        self.written = ""
        self._terminal, its_side = pty.openpty()
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", CONTROLLED, COMMAND, *arguments],
            stdin=its_side,
            stdout=subprocess.PIPE,
            stderr=its_side,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        )
        os.close(its_side)

    def read_until(self, pattern: str) -> None:
        """Reads what is written to the terminal until it has a pattern."""
        deadline = time.monotonic() + LONGEST
        while not re.search(pattern, self.written):
            assert time.monotonic() < deadline, self.written
            self._read()

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def end(self) -> tuple[int, str]:
        """Waits for the end; returns the status and what was written to standard output."""
        while self._read():
            pass
        os.close(self._terminal)
        printed, _ = self._child.communicate(timeout=LONGEST)
        return self._child.returncode, printed.decode()

    def _read(self) -> bool:
        if not select.select([self._terminal], [], [], LONGEST)[0]:
            self._child.kill()
        try:
            self.written += os.read(self._terminal, 65536).decode("utf-8", "replace")
        except OSError:  # so Linux tells the end
            return False
        return True


def test_a_live_tree_and_ctrl_c_which_leaves_the_task_running(server: LocalServer) -> None:
    command = OnATerminal("run", "slow", "--name", "Daily")
    command.read_until(r"second.*\x1b\[2K")  # drawn, and once more
    command.type("\x03")
    status, printed = command.end()
    [task] = server.started("slow")
    assert (status, printed) == (130, "")
    assert get_task(task.task_id).status == "running"
    *_, last = command.written.split("\x1b[?25h")  # the cursor is there again
    assert "\x1b[?25l" in command.written
    assert f"Interrupted: the task goes on: {task.task_id}" in last
    assert f"requence get {task.task_id} --wait" in last
    assert f"requence abort {task.task_id}" in last
    assert f"{server.url}/tasks/{task.task_id}" in last
    assert "\x1b[" not in last
    assert "\x1b[32m" in command.written
    assert "[red]" in command.written
    assert "\u202e" not in command.written
    assert "Traceback" not in command.written


def test_without_a_terminal_in_ascii_from_standard_input(server: LocalServer, tmp_path: Path) -> None:
    ascii_only = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "FORCE_COLOR": "1",
        "TERM": "xterm",
    }
    given = json.dumps({"é漢": "\x1b\u202e"}, ensure_ascii=False).encode()
    done = subprocess.run(
        [COMMAND, "run", "echo", "--input", "-"],
        input=given,
        capture_output=True,
        timeout=LONGEST,
        env={**os.environ, **ascii_only},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"é漢": "\x1b\u202e"}
    for written in (done.stdout, done.stderr):
        assert all(byte in b"\n" or 32 <= byte < 127 for byte in written)
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 2 + 5
    assert lines[2].endswith(r'taskStart   {"\xe9\u6f22": "\u001b\u202e"}')


def test_who_reads_only_one_line(server: LocalServer) -> None:
    """It ends, even if there is never more to write."""
    Task("echo").sync.finalized()
    command = f"set -o pipefail; {COMMAND} watch --since 1h --only taskStart --json | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=LONGEST)
    assert done.returncode == 141
    assert [json.loads(line)["update"]["type"] for line in done.stdout.splitlines()] == ["taskStart"]
    assert done.stderr in ("", "Connected; Ctrl-C ends this command, and no task\n")


def test_sigterm_is_like_ctrl_c(server: LocalServer) -> None:
    child = subprocess.Popen(
        [COMMAND, "run", "endless", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        lines = [json.loads(child.stdout.readline()) for _ in range(3)]
        child.terminate()
        out, err = child.communicate(timeout=LONGEST)
    finally:
        child.kill()
    assert (child.returncode, err) == (143, "")
    first, last = lines[0], json.loads(out.splitlines()[-1])
    assert last == {"kind": "interrupted", "task_id": first["task_id"], "task_url": first["task_url"]}
    assert get_task(first["task_id"]).status == "running"
    abort_task(first["task_id"])


def test_ctrl_c_before_the_start_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for a little, so that the id can be told."""
    gate = Gate()
    with ScriptedServer() as service:
        monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", service.access_token)
        service.always(
            "prepare",
            lambda call: Answer(
                200, {"taskId": "task-7", "finalizeUrl": f"{service.url[:-4]}/start-here/task-7"}
            ),
        )
        service.always("finalize", lambda call: Answer(200, {"taskId": "task-7", "urls": {}}, when=gate))
        child = subprocess.Popen([COMMAND, "run", "my-template"], stderr=subprocess.PIPE, text=True)
        try:
            service.wait_until(lambda: len(service.calls("finalize")) == 1)
            child.send_signal(signal.SIGINT)
            gate.open()
            _, said = child.communicate(timeout=LONGEST)
        finally:
            gate.open()
            child.kill()
    assert child.returncode == 130
    assert "Interrupted: the task goes on: task-7\n" in said
    assert BEARER not in said


def test_ctrl_c_twice_while_the_start_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits no longer, and does not keep from being said what the first has brought about."""
    gate = Gate()
    with ScriptedServer() as service:
        monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", service.access_token)
        service.always("finalize", lambda call: Answer(200, {"taskId": "task-7", "urls": {}}, when=gate))
        child = subprocess.Popen([COMMAND, "run", "my-template"], stderr=subprocess.PIPE, text=True)
        try:
            assert child.stderr is not None
            service.wait_until(lambda: len(service.calls("finalize")) == 1)
            child.send_signal(signal.SIGINT)
            assert "has not answered the start yet" in child.stderr.readline()
            child.send_signal(signal.SIGINT)
            last = child.stderr.readline()
            gate.open()
            child.communicate(timeout=LONGEST)
        finally:
            gate.open()
            child.kill()
    assert last == "Interrupted while the task was being started: whether it runs is not known\n"
    assert child.returncode == 130


def test_signals_are_taken_one_after_the_other() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under `nohup`
    try:
        with interruptible() as interruption:
            assert (interruption.status, interruption.is_urgent) == (130, False)
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            assert not interruption.is_urgent
            signal.raise_signal(signal.SIGINT)
            assert (interruption.status, interruption.is_urgent) == (143, True)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with interruptible() as interruption, pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        assert interruption.status == 129
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_help_that_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, "run", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=LONGEST
        )
    assert done.returncode == 1
    assert done.stderr == "requence: The output cannot be written: No space left on device\n"


def test_the_shell_completes_commands_and_types_of_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    def completed(line: str) -> list[str]:
        monkeypatch.setenv("_REQUENCE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        return requence().stdout.split()

    assert set(completed("requence re")) == {"recreate"}
    assert set(completed("requence watch --only taskE")) == {"taskEnd", "taskError"}
    assert "--no-watch" in completed("requence run my-template --no")
    monkeypatch.delenv("_REQUENCE_COMPLETE")
    assert "--install-completion" in requence("--help").stdout
