"""`requence get`, `abort`, `protect` and `recreate`: what is done with a task by its id."""

from __future__ import annotations

import json

import pytest
from tests.cli.command import lines_of, requence

from requence.local import LocalServer
from requence.task import Task, abort_task


def test_get_shows_a_task_as_it_is_now(server: LocalServer) -> None:
    task = Task("my-template", {"name": "World"}, name="Daily")
    task_id = task.sync.result.task_id
    done = requence("get", task_id)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:4] == [
        f"task:     {task_id}",
        "status:   successful (Ended successfully)",
        "template: my-template",
        "name:     Daily",
    ]
    assert 'input:\n{\n  "name": "World"\n}\n' in done.stdout
    assert 'result:\n"HELLO WORLD"\n' in done.stdout
    assert '  "greet": "Hello World"' in done.stdout

    done = requence("get", task_id, "--json")
    assert done.exit_code == 0
    [line] = lines_of(done)
    assert list(line) == [
        *("kind", "task_id", "status", "status_text", "task_template", "name", "branch"),
        *("input", "result", "node_data", "node_error"),
    ]
    assert (line["kind"], line["status"], line["node_data"]["greet"]) == ("task", "successful", "Hello World")


def test_get_tells_of_a_failure_without_failing_itself(server: LocalServer) -> None:
    task = Task("failing")
    task_id = task.sync.id
    assert requence("get", task_id, "--wait").exit_code == 3
    done = requence("get", task_id)
    assert done.exit_code == 0
    assert "status:   failed" in done.stdout
    assert '  "second": "the second node cannot do it"' in done.stdout


def test_get_can_wait_for_the_end(server: LocalServer) -> None:
    task_id = Task("my-template", {"name": "World"}).sync.id
    done = requence("get", task_id, "--wait")
    assert (done.exit_code, json.loads(done.stdout)) == (0, "HELLO WORLD")
    assert done.stderr == f"Waiting for the end of task {task_id}\n"
    [line] = lines_of(requence("get", task_id, "--wait", "--json"))
    assert (line["kind"], line["status"], line["result"]) == ("outcome", "successful", "HELLO WORLD")
    endless = Task("endless").sync.id
    abort_task(endless, reason="enough")
    assert requence("get", endless, "--wait").exit_code == 4


def test_abort_and_protect(server: LocalServer) -> None:
    task_id = Task("endless").sync.id
    done = requence("protect", task_id)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", f"Protected task {task_id}\n")
    assert lines_of(requence("protect", task_id, "--json")) == [{"kind": "protected", "task_id": task_id}]
    done = requence("abort", task_id, "--reason", "enough")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", f"Aborted task {task_id}\n")
    assert lines_of(requence("abort", task_id, "--json")) == [{"kind": "aborted", "task_id": task_id}]
    [started] = [one for one in server.started("endless") if one.task_id == task_id]
    assert (started.aborted, started.protected) == (True, True)
    assert "status:   stopped (enough)" in requence("get", task_id).stdout


def test_recreate_starts_it_once_more(server: LocalServer) -> None:
    task_id = Task("echo", [1, 2], name="First").sync.result.task_id
    done = requence("recreate", task_id, "--priority", "10")
    assert (done.exit_code, json.loads(done.stdout)) == (0, [1, 2])
    again = server.started("echo")[-1]
    assert (again.input, again.name, again.priority) == ([1, 2], "First", 10)
    assert again.task_id != task_id
    done = requence("recreate", task_id, "--name", "Third", "--no-watch")
    assert done.stdout.splitlines()[0] == server.started("echo")[-1].task_id
    lines = lines_of(requence("recreate", task_id, "--template", "my-template", "--json"))
    assert (lines[0]["kind"], lines[0]["exit_status"]) == ("error", 1)


@pytest.mark.parametrize("command", ["get", "get --wait", "abort", "protect", "recreate"])
def test_a_task_that_nobody_knows(server: LocalServer, command: str) -> None:
    unknown = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    done = requence(*command.split(), unknown)
    assert (done.exit_code, done.stdout) == (1, "")
    assert unknown in done.stderr
    lines = lines_of(requence(*command.split(), unknown, "--json"))
    assert [(line["kind"], line["exit_status"]) for line in lines] == [("error", 1)]


@pytest.mark.parametrize("command", ["get", "abort", "protect", "recreate"])
def test_an_id_that_can_be_none(server: LocalServer, command: str) -> None:
    done = requence(command, " ")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "task_id" in done.stderr
