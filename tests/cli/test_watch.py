"""`requence watch`: the updates of all tasks, what of them is shown, and how it ends."""

from __future__ import annotations

import contextlib
import errno
import io
import json
from collections.abc import Callable

import pytest
import typer
from tests.cli.command import lines_of, requence
from tests.scripted_server import Answer, Gate, ScriptedServer, Stream, end, event

from requence._client import default_client_set_to
from requence.cli.watch import _TYPES, watch
from requence.local import LocalServer
from requence.task import Task
from requence.task.reading import _CLASSES

# Said by a thread of its own: it may come late, or not at all if the command has ended before.
CONNECTED = "Connected; Ctrl-C ends this command, and no task"


class Reader(io.StringIO):
    """What standard output is read by: after some lines, something happens."""

    def __init__(self, lines: int, then: Callable[[], BaseException]) -> None:
        super().__init__()
        self._lines, self._then = lines, then

    def write(self, text: str) -> int:
        if self.getvalue().count("\n") >= self._lines:
            raise self._then()
        return super().write(text)


def full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def watched(
    lines: int, then: Callable[[], BaseException] = BrokenPipeError, **options: object
) -> tuple[int, list[str]]:
    """Watches until a number of lines was read; returns the status and the lines."""
    out = Reader(lines, then)
    err = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(typer.Exit) as ended:
        watch(**options)  # type: ignore[arg-type]
    said = set(err.getvalue().splitlines()) - {CONNECTED}
    assert said == (
        {"requence: The output cannot be written: No space left on device"} if then is full else set()
    )
    return ended.value.exit_code, out.getvalue().splitlines()


def test_it_shows_the_updates_of_all_tasks_until_nobody_reads_them(server: LocalServer) -> None:
    ids = [Task("my-template", {"name": name}).sync.result.task_id for name in ("one", "two")]
    status, lines = watched(3, since="1h", only=["taskStart, TASKEND"], task=ids)
    assert status == 141
    assert {line.split()[1] for line in lines} == set(ids)
    status, lines = watched(3, since="1h", task=ids, as_json=True)
    assert [json.loads(line)["kind"] for line in lines] == ["update"] * 3


def test_ctrl_c_ends_it() -> None:
    with ScriptedServer() as service, default_client_set_to(service.client):
        service.always(
            "watch-all", Stream([event(1, "taskStart", taskId="a"), end(2, taskId="a")], end="open")
        )
        status, lines = watched(1, KeyboardInterrupt)
    assert status == 130
    assert lines == ["2026-01-31T12:00:00.250Z a taskStart   null"]


def test_it_says_when_it_is_connected() -> None:
    """So that whoever waits for that knows it before the first update."""
    gate = Gate()

    class Told(io.StringIO):
        def write(self, text: str) -> int:
            written = super().write(text)
            if CONNECTED in text:
                gate.open()
            return written

    with ScriptedServer() as service, default_client_set_to(service.client):
        service.always("watch-all", Stream([gate, *[event(1, "taskStart", taskId="a")] * 2], end="open"))
        with (
            contextlib.redirect_stdout(Reader(0, KeyboardInterrupt)),
            contextlib.redirect_stderr(Told()) as said,
            pytest.raises(typer.Exit) as ended,
        ):
            watch()
    assert (ended.value.exit_code, said.getvalue()) == (130, f"{CONNECTED}\n")


def test_what_cannot_be_written_is_told() -> None:
    with ScriptedServer() as service, default_client_set_to(service.client):
        service.always("watch-all", Stream([event(1, "taskStart", taskId="a")], end="open"))
        assert watched(0, full) == (1, [])


def test_each_type_of_update_can_be_asked_for() -> None:
    assert set(_TYPES) == set(_CLASSES)


LOG = [
    event(1, "taskStart", taskId="a", task_id="a", rootTaskId=None, input={"x": 1}),
    event(
        2,
        "nodeStart",
        taskId="a",
        task_id="a",
        rootTaskId=None,
        node={"id": "1", "alias": "read", "type": "service"},
    ),
    event(3, "taskStart", taskId="b", task_id="b", rootTaskId="a", input=2),
    event(4, "taskStart", taskId="c", task_id="c", rootTaskId=None, input=3),
    end(5, "done", taskId="a", task_id="a", rootTaskId=None),
    event(6, "unheardOf", taskId="c", task_id="c", rootTaskId=None, reason="who knows"),
]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ([], [1, 2, 3, 4, 5, 6]),
        (["--only", "taskStart"], [1, 3, 4]),
        (["--only", "TASKSTART,taskend", "--only", "nodeStart"], [1, 2, 3, 4, 5]),
        (["--task", "a"], [1, 2, 3, 5]),
        (["--task", "b", "--task", "c", "--only", "taskStart"], [3, 4]),
    ],
    ids=["all", "one-type", "types", "a-task", "both"],
)
def test_what_is_shown(given: list[str], shown: list[int]) -> None:
    """The service ends it with a refusal, which is told."""
    with ScriptedServer() as service, default_client_set_to(service.client_with(retries=0)):
        for _ in range(2):
            service.script("watch-all", Stream(LOG, end="cut"), Answer(401, "no more"))
        done = requence("watch", "--since", "2026-01-31T12:00:00Z", *given)
        in_json = requence("watch", "--since", "2026-01-31T12:00:00Z", *given, "--json")
        assert service.calls("watch-all")[0].json["since"].startswith("2026-01-31T12:00:00")
        assert service.calls("ack") == []
    assert done.exit_code == in_json.exit_code == 1
    assert len(done.stdout.splitlines()) == len(shown)
    assert "requence: no more" in done.stderr.splitlines()
    *updates, last = [json.loads(line) for line in in_json.stdout.splitlines()]
    assert [line["position"] for line in updates] == shown
    assert (last["kind"], last["error"]) == ("error", "UnauthorizedError")


def test_nothing_is_acknowledged() -> None:
    log = [event(1, "taskStart", taskId="a", task_id="a"), end(2, taskId="a", task_id="a", requireAck=True)]
    with ScriptedServer() as service, default_client_set_to(service.client_with(retries=0)):
        service.script("watch-all", Stream(log, end="cut"), Answer(401))
        assert len(requence("watch").stdout.splitlines()) == 2
        assert service.calls("ack") == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--only", "taskend,nodeStrat"], "--only: there are no updates of type 'nodeStrat'"),
        (["--only", ""], "--only: there are no updates of type ''"),
        (["--since", "yesterday"], "since must be a time in ISO 8601, not 'yesterday'"),
        (["--since", "9999999999d"], "--since is too long ago: 9999999999d"),
        (["--since", "999999d"], "--since is too long ago: 999999d"),
        (["--task", ""], "--task names no task"),
    ],
    ids=["type", "no-type", "time", "overflow", "before-the-calendar", "no-task"],
)
def test_what_it_cannot_use(given: list[str], said: str) -> None:
    with ScriptedServer() as service, default_client_set_to(service.client):
        done = requence("watch", *given)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith(f"requence: {said}")
        assert [line["exit_status"] for line in lines_of(requence("watch", *given, "--json"))] == [2]
        assert service.calls() == []
