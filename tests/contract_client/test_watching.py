"""The plugin, seen from outside: what a run says of tests whose client or service breaks the contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TESTS = """
import http.client
import pytest
from requence.local import LocalServer, TaskTemplate
from requence.task import Task, abort_task, protect_task, get_task
from requence.exceptions import RequenceError
from tests.scripted_server import Answer, ScriptedServer, Stream, end, event, from_position

def run(**scripts):
    with ScriptedServer() as server:
        for operation, step in scripts.items():
            server.always(operation, step)
        return Task("t", client=server.client).sync.result.result

def test_right():
    assert run() == "done"

def test_wrong_event():
    assert run(watch=Stream([event(1, "taskStart", updateId=...), end(2, "done")])) == "done"

def test_wrong_answer():
    with pytest.raises(RequenceError):
        run(prepare=Answer(200, {"taskId": 5}))

@pytest.mark.breaks_contract
def test_wrong_on_purpose():
    assert run(watch=Stream([event(1, "taskStart", updateId=...), end(2, "done")])) == "done"

@pytest.mark.breaks_contract
def test_right_after_all():
    assert run() == "done"

def ask(server):
    connection = http.client.HTTPConnection(server.url[7:].partition("/")[0])
    connection.request("POST", "/api/task/prepare/t")
    assert connection.getresponse().status == 200
    connection.close()

def test_wrong_request():
    with ScriptedServer() as server:
        ask(server)

@pytest.mark.breaks_contract
def test_wrong_request_is_no_wrong_answer():
    with ScriptedServer() as server:
        ask(server)

@pytest.mark.breaks_contract("requests")
def test_wrong_request_on_purpose():
    with ScriptedServer() as server:
        ask(server)

def test_unknown_path():
    with ScriptedServer() as server:
        connection = http.client.HTTPConnection(server.url[7:].partition("/")[0])
        connection.request("GET", "/api/nowhere")
        connection.getresponse().read()
        connection.close()

def local(monkeypatch, broken):
    from requence.local import app
    if broken:
        monkeypatch.setattr(app, "_LISTED_TASKS", 1)
        whole = app.TaskApi._prepare
        async def prepare(self, request):
            answer = await whole(self, request)
            answer.body = answer.body.replace(b'"branch"', b'"brunch"').replace(b'"taskId"', b'"taskid"')
            return answer
        monkeypatch.setattr(app.TaskApi, "_prepare", prepare)
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: 1)
    with LocalServer(template, strict=False) as server:
        return Task("t", client=server.client).sync.result.result

def test_local_right(monkeypatch):
    assert local(monkeypatch, False) == 1

def test_local_wrong(monkeypatch):
    with pytest.raises(RequenceError):
        local(monkeypatch, True)
"""
WRONG = {
    "test_wrong_event": "watch_task, event taskStart: 'updateId' is a required property",
    "test_wrong_answer": "prepare_task, status 200: 'finalizeUrl' is a required property",
    "test_wrong_request": "prepare_task, request: SecurityNotFound",
    "test_wrong_request_is_no_wrong_answer": "prepare_task, request: SecurityNotFound",
    "test_unknown_path": "GET /api/nowhere is no operation",
    "test_local_wrong": "prepare_task, status 200: 'taskId' is a required property",
}
ALL = TESTS.count("def test_")


def outcome(folder: Path, *options: str, tests: str = TESTS) -> tuple[int, str]:
    file = folder / "test_some.py"
    file.write_text(tests)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.contract_client.watching",
        "-q",
        "--rootdir",
        str(ROOT),
    ]
    done = subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), *options, str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    return done.returncode, done.stdout + done.stderr


def test_breaches_fail_the_test_that_they_came_in(tmp_path: Path) -> None:
    code, said = outcome(tmp_path)
    assert code == 1, said
    assert f"{ALL} passed, {len(WRONG)} errors" in said
    errors = [line for line in said.splitlines() if line.startswith("ERROR ")]
    assert {line.partition("::")[2].partition(" ")[0] for line in errors} == set(WRONG)
    for test, complaint in WRONG.items():
        where = said.index(f"ERROR at teardown of {test} ")
        assert complaint in said[where : where + 2000], test


@pytest.mark.parametrize("complete", [False, True])
def test_a_whole_run_says_what_did_not_come(tmp_path: Path, complete: bool) -> None:
    everything = """
from requence.local import LocalServer, TaskTemplate
from requence.task import Task, TaskWatcher, abort_task

def test_all():
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: 1)
    with LocalServer(template) as server:
        watcher = TaskWatcher("2026-01-31T12:00:00Z", client=server.client)
        with watcher:
            task = Task("t", require_ack=True, client=server.client)
            task.sync.result
            next(iter(watcher.sync.updates))
        task.sync.protect()
        task.sync.abort()
        from tests.local.api import Api
        with Api(server.access_token) as api:
            api.get(task.sync.id)
            api.http.get("/task/types/python")
"""
    tests = everything if complete else everything.replace("        task.sync.protect()\n", "")
    stale = "\nimport pytest\n@pytest.mark.breaks_contract\ndef test_stale():\n    pass\n"
    code, said = outcome(tmp_path, "--whole-suite", tests=tests if complete else tests + stale)
    if complete:
        assert code == 0, said
        assert "no requests of" not in said
    else:
        assert code == 1, said
        assert "no requests of protect_task came" in said
        assert "no answers of protect_task came" in said
        assert "test_stale claims that its answers break the contract, and they do not" in said
