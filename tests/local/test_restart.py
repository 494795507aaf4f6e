"""The file: who may open it, and what a server that was killed leaves behind for the next one."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.local.api import Api, Connect, Received

from requence.exceptions import ConfigurationError, UsageError
from requence.local import LocalServer, NodeContext, TaskTemplate, any_of
from requence.local.engine import Engine
from requence.task import Task


def template(name: str = "t") -> TaskTemplate:
    made = TaskTemplate(name)
    made.node("n")(lambda ctx: ctx.input)
    return made


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


def test_the_file_is_its_owner_s_only(db: Path) -> None:
    before = os.umask(0)
    try:
        with LocalServer(template(), db=db):
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in db.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes["tasks.db"] == 0o600
    assert set(modes.values()) == {0o600}


def test_a_second_server_on_the_same_file_is_refused(db: Path) -> None:
    with LocalServer(template(), db=db) as first, pytest.raises(ConfigurationError) as caught:
        LocalServer(template(), db=db).__enter__()
    assert "in use by another server" in caught.value.message
    assert str(db) in caught.value.message
    # Afterwards the file is free again.
    with LocalServer(template(), db=db) as second:
        assert repr(first).startswith("<LocalServer not started")
        assert second.url


def newer(db: Path) -> str:
    with LocalServer(template(), db=db):
        pass
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("PRAGMA user_version = 99")
    return "newer version"


def foreign(db: Path) -> str:
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("CREATE TABLE tasks (id)")
    return "another program"


def no_database(db: Path) -> str:
    db.write_text("a shopping list, long enough to be taken for a header " * 50)
    return "not a file of a local server"


def folder(db: Path) -> str:
    db.mkdir()
    return "cannot be opened"


@pytest.mark.parametrize("make", [newer, foreign, no_database, folder])
def test_a_file_that_cannot_be_used_is_left_alone(db: Path, make: Callable[[Path], str]) -> None:
    expected = make(db)
    before = None if db.is_dir() else db.read_bytes()
    with pytest.raises(ConfigurationError, match=expected) as caught:
        LocalServer(template(), db=db).__enter__()
    assert str(db) in caught.value.message
    assert before is None or db.read_bytes() == before


# What version 1 of the file's format looked like. Its events: a task that has ended, and one that was interrupted.
VERSION_1 = """
PRAGMA application_id = 0x52514E43;
PRAGMA user_version = 1;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    template TEXT NOT NULL,
    prepared_at TEXT NOT NULL,
    request TEXT,
    finalized_at TEXT,
    acked_at TEXT,
    protected INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL REFERENCES tasks (id),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    at TEXT NOT NULL,
    payload TEXT NOT NULL,
    UNIQUE (task_id, position)
);
INSERT INTO meta VALUES ('bearer', 'a secret');
INSERT INTO tasks (id, template, prepared_at, request, finalized_at) VALUES
    ('ended', 't', '2026-01-01', '{"name":null,"input":1,"priority":5,"requireAck":false}', '2026-01-01'),
    ('begun', 't', '2026-01-01', '{"name":null,"input":2,"priority":5,"requireAck":false}', '2026-01-01');
INSERT INTO events (number, task_id, position, name, at, payload) VALUES
    (3, 'ended', 1, 'taskStart', '2026-01-01', '{"input":1}'),
    (4, 'begun', 1, 'taskStart', '2026-01-01', '{"input":2}'),
    (7, 'ended', 2, 'taskEnd', '2026-01-01', '{"result":1}');
"""

VERSION_2 = VERSION_1.replace("user_version = 1", "user_version = 2").replace(
    "number INTEGER PRIMARY KEY,\n    task_id", "number INTEGER PRIMARY KEY AUTOINCREMENT,\n    task_id"
)


@pytest.mark.parametrize("earlier", [VERSION_1, VERSION_2], ids=["1", "2"])
def test_a_file_of_an_earlier_format_is_taken_over(db: Path, connect: Connect, earlier: str) -> None:
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript(earlier)
    for _ in range(2):
        # These tasks are old, and their events are no whole ones.
        with LocalServer(template(), db=db, retention=None, strict=False) as server:
            api = connect(server)
            assert api.bearer == "a secret"
            assert [event.name for event in api.watch("ended")] == ["taskStart", "taskEnd"]
            assert list(api.watch("begun"))[-1].payload["result"] == 2
            with api.watch_all() as everything:
                assert [event.position for event in islice(everything, 7)] == [3, 4, 7, 8, 9, 10, 11]
    # When tasks had ended is known, too, so that they are cleaned up.
    with LocalServer(template(), db=db) as server:
        api = connect(server)
        assert api.http.get("/task/ended").status_code == 404
        assert api.get("begun")["result"] == 2


FULL = """
import resource, signal, sys, time
from pathlib import Path
from typing import Any
from requence.local import LocalServer, TaskTemplate

db, room = Path(sys.argv[1]), Path(sys.argv[2])
t = TaskTemplate("t")

@t.node
def first(ctx):
    return ctx.input

@t.node(after=first)
def fill(ctx):
    if not room.exists():  # from now on this process cannot make any file larger
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    return "x" * 200_000

with LocalServer(t, db=db) as server:
    print(server.access_token, flush=True)
    while not room.exists():
        time.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    time.sleep(60)
"""


def test_a_disk_that_is_full_for_a_while_delays_tasks_and_loses_none(tmp_path: Path, db: Path) -> None:
    script, room = tmp_path / "server.py", tmp_path / "room"
    script.write_text(FULL)
    command = [sys.executable, str(script), str(db), str(room)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stderr is not None
            with Api(child.stdout.readline().strip()) as api:
                task_id = api.start("t", 1)
                assert "The log could not be written" in child.stderr.readline()
                assert api.get(task_id)["status"] == "running"
                room.touch()
                events = list(api.watch(task_id))
                assert events[-1].payload["result"] == "x" * 200_000
                assert [event.position for event in events] == list(range(1, len(events) + 1))
                starts = [event.alias for event in events if event.name == "nodeStart"]
                assert starts == ["first", "fill", "fill"]
        finally:
            child.kill()


class FailingOnce:
    """A connection to the database on which one statement fails, as on a full disk."""

    def __init__(self, db: sqlite3.Connection, fragment: str) -> None:
        self._db = db
        self._fragment = fragment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        self._fail_on(statement)
        return self._db.execute(statement, values)

    def executemany(self, statement: str, values: Iterable[Sequence[Any]]) -> sqlite3.Cursor:
        self._fail_on(statement)
        return self._db.executemany(statement, values)

    def _fail_on(self, statement: str) -> None:
        if self._fragment and self._fragment in statement:
            self._fragment = ""
            raise sqlite3.OperationalError("database or disk is full")


def fail_once(server: LocalServer, fragment: str) -> None:
    def put_in(engine: Engine) -> None:
        writer: Any = engine.journal._store.writer
        writer._db = FailingOnce(writer._db, fragment)

    assert server._runtime is not None
    server._runtime.call(put_in)


@pytest.mark.parametrize("fragment", ["UPDATE tasks", "INSERT INTO events", "INSERT INTO tasks"])
def test_what_could_not_be_written_is_not_acknowledged(
    db: Path, connect: Connect, caplog: pytest.LogCaptureFixture, fragment: str
) -> None:
    """Whichever write of a start fails, that of its sub task too: it is no yes, and it can be sent again."""
    inner, outer = TaskTemplate("inner"), TaskTemplate("outer")
    inner.node("work")(lambda ctx: ctx.input)
    outer.subtask("sub", inner)
    with LocalServer(inner, outer, db=db) as server:
        api = connect(server)
        task_id = api.prepare("outer")
        fail_once(server, fragment)
        assert api.finalize(task_id, 1).status_code == 503
        assert api.get(task_id)["status"] == "idle"
        assert api.finalize(task_id, 1).status_code == 200
        assert list(api.watch(task_id))[-1].payload["result"] == 1
    assert "could not be written" in caplog.text


def test_a_stream_whose_end_could_not_be_written_is_sent_again(db: Path, connect: Connect) -> None:
    with LocalServer(template(), db=db) as server, httpx.Client(trust_env=False) as stranger:
        api = connect(server)
        urls = api.http.post("/task/prepare/t").json()["fileUrls"]
        url = stranger.post(urls["streamUrl"], headers={"file-size": "5"}).json()["url"]
        fail_once(server, "UPDATE files")
        assert stranger.post(url, content=b"too many").status_code == 503
        assert stranger.post(url, content=b"right").status_code == 200
        assert stranger.get(url).content == b"right"


def test_an_upload_that_could_not_be_written_down_leaves_nothing(db: Path, connect: Connect) -> None:
    with LocalServer(template(), db=db) as server, httpx.Client(trust_env=False) as stranger:
        url = connect(server).http.post("/task/prepare/t").json()["fileUrls"]["uploadUrl"]
        fail_once(server, "INSERT INTO files")
        assert stranger.post(url, content=b"x").status_code == 503
        assert list(db.with_name(f"{db.name}.files").iterdir()) == []


def test_a_node_that_waits_is_ended_also_right_after_a_write_has_failed(
    db: Path, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    keys: list[str] = []
    waits = TaskTemplate("waits")
    waits.node("ask")(lambda ctx: keys.append(ctx.defer("a person")))
    with LocalServer(waits, db=db) as server:
        api = connect(server)
        task_id = api.start("waits")
        for event in api.watch(task_id):
            if event.name == "nodeDefer":
                break
        fail_once(server, "INSERT INTO tasks")
        assert api.http.post("/task/prepare/waits").status_code == 503  # all that runs begins anew
        server.act(keys[0], result="yes")
        assert list(api.watch(task_id))[-1].payload["result"] == "yes"


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="missing"):
        LocalServer(template(), db=tmp_path / "missing" / "tasks.db").__enter__()


def test_token_port_and_pages_stay_the_same(db: Path, connect: Connect) -> None:
    with LocalServer(template(), db=db) as first:
        token, url = first.access_token, first.url
        api = connect(first)
        task_id = api.prepare("t")
        show = api.finalize(task_id, 1).json()["urls"]["show"]
        events = list(api.watch(task_id))
    with LocalServer(template(), db=db) as second:
        assert (second.access_token, second.url) == (token, url)
        api = connect(second)
        assert list(api.watch(task_id)) == events
        assert api.http.get(show).status_code == 200
    with LocalServer(template(), db=db, port=0) as third:
        assert third.url == url


def test_a_port_that_is_taken_is_named_with_the_remedy(db: Path) -> None:
    with LocalServer(template(), db=db) as first:
        port = int(first.url.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ConfigurationError) as caught:
        LocalServer(template(), db=db).__enter__()
    assert str(port) in caught.value.message
    assert caught.value.hint is not None
    assert "port" in caught.value.hint
    with LocalServer(template(), db=db) as again:
        assert again.url == f"http://127.0.0.1:{port}"


def test_a_stopped_server_s_tasks_go_on_where_they_were(db: Path, connect: Connect) -> None:
    calls: list[str] = []
    started = threading.Event()

    def build(second_time: bool) -> TaskTemplate:
        made = TaskTemplate("t")

        @made.node
        def first(ctx: NodeContext) -> str:
            calls.append("first")
            return "kept"

        @made.node(after=first)
        def second(ctx: NodeContext) -> str:
            calls.append("second")
            started.set()
            if not second_time:
                ctx.terminated.wait(20)
            return f"{ctx.input}, {ctx.node_data['first']}"

        return made

    with LocalServer(build(False), db=db, workers=1) as server:
        api = connect(server)
        task_id = api.start("t")
        assert started.wait(10)
        waiting = api.start("t")
    with LocalServer(build(True), db=db) as server:
        api = connect(server)
        events = list(api.watch(task_id))
        assert events[-1].payload["result"] == "kept, kept"
        assert list(api.watch(waiting))[-1].payload["result"] == "kept, kept"
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    names = [f"{event.name} {event.alias or ''}".strip() for event in events]
    # The interrupted node started twice; the one that had ended was not run again.
    assert names == [
        "taskStart",
        "nodeStart first",
        "nodeUpdate first",
        "nodeEnd first",
        "nodeStart second",
        "nodeStart second",
        "nodeUpdate second",
        "nodeEnd second",
        "taskEnd",
    ]
    assert sorted(calls) == ["first", "first", "second", "second", "second"]


def test_a_task_of_a_template_that_is_gone_waits_for_it(
    db: Path, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    slow = TaskTemplate("slow")
    slow.node("n")(lambda ctx: ctx.terminated.wait(20))
    with LocalServer(slow, db=db) as server:
        task_id = connect(server).start("slow")
        prepared = connect(server).prepare("slow")
    with LocalServer(template("other"), db=db) as server:
        api = connect(server)
        assert api.get(task_id)["status"] in ("pending", "running")
        assert api.finalize(prepared).status_code == 404
        assert any(task_id in record.message and '"slow"' in record.message for record in caplog.records)
    with LocalServer(template("slow"), db=db) as server:
        assert list(connect(server).watch(task_id))[-1].name == "taskEnd"


def retrying() -> TaskTemplate:
    made = TaskTemplate("t")
    made.node("n")(lambda ctx: ctx.retry(200))
    return made


def deferring() -> TaskTemplate:
    made = TaskTemplate("t")
    made.node("n")(lambda ctx: ctx.defer("waits", timeout=60) and None)
    return made


def with_subtask(wait: float) -> TaskTemplate:
    inner, made = TaskTemplate("inner"), TaskTemplate("t")
    inner.node("m")(lambda ctx: ctx.terminated.wait(wait) or "new")
    made.subtask("n", inner)
    return made


def with_choice() -> TaskTemplate:
    made = TaskTemplate("t")
    first = made.node("first")(lambda ctx: "new")
    made.node("last", after=any_of(first, alias="n"))(lambda ctx: ctx.input)
    return made


def plain() -> TaskTemplate:
    made = TaskTemplate("t")
    made.node("n")(lambda ctx: "new")
    return made


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (retrying(), with_subtask(0)),
        (retrying(), with_choice()),
        (deferring(), with_subtask(0)),
        (deferring(), with_choice()),
        (with_subtask(60), with_choice()),
        (with_subtask(60), plain()),
    ],
)
def test_a_node_that_has_become_another_kind_of_node_begins_anew(
    db: Path, connect: Connect, before: TaskTemplate, now: TaskTemplate
) -> None:
    with LocalServer(before, db=db) as server:
        api = connect(server)
        task_id = api.start("t")
        begun = {"nodeDefer"} if not before.subtemplates else {"nodeStart"}
        assert any(event.name in begun for event in api.watch(task_id))
    with LocalServer(now, db=db, workers=1) as server:
        api = connect(server)
        assert list(api.watch(task_id))[-1].payload.get("result") == "new"
        assert api.run("t")[-1].payload.get("result") == "new"  # nobody has kept the only place


def test_no_position_of_the_stream_of_all_tasks_is_given_twice(db: Path, connect: Connect) -> None:
    for first in (1, 6):
        with LocalServer(template(), db=db) as server:
            api = connect(server)
            api.run("t")
            with api.watch_all() as everything:
                events = islice(everything, 5)
                assert [event.position for event in events] == list(range(first, first + 5))
        with closing(sqlite3.connect(db)) as connection, connection:
            connection.execute("DELETE FROM events")  # as a cleanup might


KILLED = """
import sys, time
from pathlib import Path
from typing import Any
from requence.local import LocalServer, TaskTemplate

t = TaskTemplate("t")

@t.node
def first(ctx):
    with Path(sys.argv[2]).open("a") as log:
        log.write(ctx.task_id + "\\n")
    return ctx.input

@t.node(after=first)
def second(ctx):
    time.sleep(0.002)
    return ctx.input * 2

with LocalServer(t, db=sys.argv[1]) as server:
    print(server.access_token, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def launch(tmp_path: Path, db: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    children: list[subprocess.Popen[str]] = []
    script = tmp_path / "server.py"
    script.write_text(KILLED)

    def launched() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, str(script), str(db), str(tmp_path / "calls")]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield launched
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def test_a_killed_server_has_lost_nothing_it_acknowledged(
    tmp_path: Path, launch: Callable[[], tuple[subprocess.Popen[str], str]]
) -> None:
    child, token = launch()
    accepted: list[str] = []
    with Api(token) as api, suppress(httpx.TransportError):  # the kill came between
        for number in range(1000):
            accepted.append(api.start("t", number))
            if number == 40:  # some have ended, some run, some wait, and more are coming
                threading.Timer(0.01, child.kill).start()
    assert child.wait(10) == -signal.SIGKILL
    assert len(accepted) > 40

    _, again = launch()
    assert again == token
    with Api(again) as api:
        for number, task_id in enumerate(accepted):
            events = list(api.watch(task_id))
            assert events[-1].payload["result"] == 2 * number
            assert [event.position for event in events] == list(range(1, len(events) + 1))
            updates = [event.alias for event in events if event.name == "nodeUpdate"]
            assert updates == ["first", "second"]  # a node that has delivered is not run again
    assert set((tmp_path / "calls").read_text().split()) >= set(accepted)


def test_the_stream_of_all_tasks_goes_on_after_a_kill(
    launch: Callable[[], tuple[subprocess.Popen[str], str]],
) -> None:
    child, token = launch()
    seen: list[Received] = []
    with Api(token) as api:
        running = {api.start("t", number) for number in range(20)}
        with suppress(httpx.TransportError), api.watch_all() as everything:
            for event in everything:
                seen.append(event)
                if len(seen) == 50:
                    child.kill()
    child.wait(10)
    running -= {event.payload["task_id"] for event in seen if event.name == "taskEnd"}
    _, again = launch()
    with Api(again) as api:
        running.add(api.start("t", 20))
        with api.watch_all(lastPosition=seen[-1].position) as everything:
            while running:
                seen.append(next(everything))
                if seen[-1].name == "taskEnd":
                    running.remove(seen[-1].payload["task_id"])
        with api.watch_all() as everything:
            assert list(islice(everything, len(seen))) == seen
    assert [event.position for event in seen] == list(range(1, len(seen) + 1))


def test_an_acknowledged_event_is_in_the_file_of_a_killed_server(
    launch: Callable[[], tuple[subprocess.Popen[str], str]],
) -> None:
    child, token = launch()
    with Api(token) as api:
        task_id = api.start("t", 1)
        ended = list(api.watch(task_id))
        prepared = api.prepare("t")
        aborted = api.prepare("t")
        api.post("abort", aborted, b"no")
    os.kill(child.pid, signal.SIGKILL)
    child.wait(10)
    _, again = launch()
    with Api(again) as api:
        assert list(api.watch(task_id)) == ended
        assert api.get(prepared)["status"] == "idle"
        assert api.get(aborted)["statusText"] == "no"
        assert api.finalize(prepared, 2).status_code == 200
        assert list(api.watch(prepared))[-1].payload["result"] == 4


def test_what_waits_for_a_template_that_is_not_served_is_no_unknown_key(db: Path, connect: Connect) -> None:
    keys: list[str] = []
    waits = TaskTemplate("waits")
    waits.node("ask")(lambda ctx: keys.append(ctx.defer("a person")))
    with LocalServer(waits, db=db) as server:
        api = connect(server)
        task_id = api.start("waits")
        assert any(event.name == "nodeDefer" for event in islice(api.watch(task_id), 3))
    with LocalServer(template(), db=db) as server:
        with pytest.raises(UsageError, match="does not serve the task's template"):
            server.act(keys[0], result="yes")
        answer = httpx.post(f"{server.url}/act/{keys[0]}", json={"result": "yes"}, verify=False)
        assert (answer.status_code, "does not serve" in answer.text) == (503, True)
    with LocalServer(waits, db=db) as server:
        server.act(keys[0], result="yes")
        assert list(connect(server).watch(task_id))[-1].payload["result"] == "yes"


# Version 4 kept what finalize had accepted as one text.
VERSION_4 = """
PRAGMA application_id = 0x52514E43;
PRAGMA user_version = 4;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, template TEXT NOT NULL, prepared_at TEXT NOT NULL,
    request TEXT, finalized_at TEXT, acked_at TEXT, protected INTEGER NOT NULL DEFAULT 0,
    root_id TEXT, parent_id TEXT, parent_node TEXT, ended_at TEXT
);
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL REFERENCES tasks (id),
    position INTEGER NOT NULL, name TEXT NOT NULL, at TEXT NOT NULL, payload TEXT NOT NULL,
    UNIQUE (task_id, position)
);
CREATE INDEX tasks_by_parent ON tasks (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX tasks_by_end ON tasks (ended_at);
CREATE TABLE waits (
    task_id TEXT NOT NULL REFERENCES tasks (id), node TEXT NOT NULL, key TEXT UNIQUE, due TEXT,
    PRIMARY KEY (task_id, node)
) WITHOUT ROWID;
CREATE TABLE files (
    id TEXT PRIMARY KEY, task_id TEXT NOT NULL REFERENCES tasks (id), mime TEXT NOT NULL,
    max_size INTEGER NOT NULL, size INTEGER, broken TEXT
) WITHOUT ROWID;
CREATE INDEX files_of_task ON files (task_id);
INSERT INTO meta VALUES ('bearer', 'a secret');
INSERT INTO tasks (id, template, prepared_at, request, finalized_at) VALUES
    ('begun', 't', '2026-01-01',
     '{"name":"\\ud800 é","input":{"a":[null,"\\ud800"]},"priority":2,"requireAck":true}', '2026-01-01'),
    ('null', 't', '2026-01-01', '{"name":null,"input":null,"priority":5,"requireAck":false}', '2026-01-01');
INSERT INTO tasks (id, template, prepared_at, protected) VALUES ('kept', 't', '2026-01-01', 1);
INSERT INTO tasks (id, template, prepared_at, ended_at, protected) VALUES
    ('over', 't', '2026-01-01', '2026-01-02', 1);
INSERT INTO events (task_id, position, name, at, payload) VALUES
    ('over', 1, 'taskAborted', '2026-01-02', '{"timestamp":"2026-01-02","taskId":"over","reason":null}');
"""


def test_what_was_accepted_in_an_earlier_format_is_as_it_was(db: Path, connect: Connect) -> None:
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript(VERSION_4)
    with LocalServer(template(), db=db) as server:
        api = connect(server)
        last = list(api.watch("begun"))[-1].payload
        assert (last["result"], last["requireAck"]) == ({"a": [None, "\ud800"]}, True)
        assert list(api.watch("null"))[-1].payload["result"] is None
        assert api.get("begun")["name"] == "\ud800 é"
        assert api.get("begun")["status"] == "awaiting_delivery"
        assert api.get("kept")["status"] == "idle"
        begun, null = server.started()
        assert (begun.priority, null.name, null.priority) == (8, None, 5)
        listed = server.page_url.replace("/tasks", "/page/tasks")
        [over] = httpx.get(f"{listed}&status=stopped", verify=False).json()["tasks"]
        assert (over["id"], over["status"], over["endedAt"]) == ("over", "stopped", "2026-01-02")


def test_a_stub_takes_up_what_waited_for_its_template(db: Path, connect: Connect) -> None:
    with LocalServer(db=db) as server:
        server.stub("x", result=1, delay=3600)
        task_id = connect(server).start("x")
    with LocalServer(db=db) as server:
        assert connect(server).get(task_id)["status"] in ("pending", "running")
        server.stub("x", result=2)
        assert list(connect(server).watch(task_id))[-1].payload["result"] == 2


def test_a_sub_task_of_another_template_begins_anew(db: Path, connect: Connect) -> None:
    started = threading.Event()
    before, after = TaskTemplate("before"), TaskTemplate("after")

    @before.node
    def wait(ctx: NodeContext) -> None:
        started.set()
        ctx.terminated.wait()

    after.node("n")(lambda ctx: "of another")
    outer = TaskTemplate("outer")
    outer.subtask("sub", before)
    with LocalServer(outer, db=db) as server:
        api = connect(server)
        task_id = api.start("outer")
        assert started.wait(10)
        [child] = [task.task_id for task in server.started("before")]
    outer = TaskTemplate("outer")
    outer.subtask("sub", after)
    with LocalServer(outer, db=db) as server:
        api = connect(server)
        assert list(api.watch(task_id))[-1].payload["result"] == "of another"
        assert api.get(child)["status"] == "stopped"


def test_what_cannot_be_written_is_told_to_the_program(db: Path, caplog: pytest.LogCaptureFixture) -> None:
    with LocalServer(template(), db=db) as server:
        fail_once(server, "DELETE FROM tasks")
        server.stub("x", result=1)
        with server.use():
            assert Task("x").sync.result.result == 1
        with pytest.raises(UsageError, match="cannot keep anything at the moment"):
            server.reset()
        server.reset()
        assert server.started() == []
