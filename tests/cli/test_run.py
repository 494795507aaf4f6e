"""`requence run`: the input, what is printed where, and with what status it ends."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command import lines_of, requence
from tests.scripted_server import Answer, ScriptedServer, Stream, end, event, report
from typer.testing import Result

from requence import Client
from requence._client import default_client_set_to
from requence._token import encode_access_token
from requence.local import LocalServer
from requence.task import abort_task, get_task

NASTY = "\x1b[31m[red]\u202egnp\u009b2J\r\n[/]\x7f"


def run_aside(*arguments: str) -> Callable[[], Result]:
    """Runs a command in a thread; returns what waits for it."""
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(requence(*arguments)))
    thread.start()

    def done() -> Result:
        thread.join(20)
        return results[0]

    return done


def until(condition: Callable[[], Any]) -> Any:
    """Waits until a condition holds; returns what it has returned."""
    deadline = time.monotonic() + 15
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)
    return found


@pytest.fixture
def unreachable(free_port: int) -> Iterator[None]:
    """A default client whose service is not there."""
    token = encode_access_token("secret-of-nobody", f"http://127.0.0.1:{free_port}")
    with default_client_set_to(Client(token, retries=0)):
        yield


def test_the_result_goes_to_standard_output_and_all_else_to_standard_error(server: LocalServer) -> None:
    done = requence("run", "my-template", "--input", '{"name": "Zoë"}', "--name", "Daily", "--priority", "9")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == "HELLO ZOË"
    assert "Ë" in done.stdout
    first, url, *updates = done.stderr.splitlines()
    started = server.started("my-template")[-1]
    assert (started.name, started.priority, started.input) == ("Daily", 9, {"name": "Zoë"})
    assert first == f"Started task {started.task_id}"
    assert url.startswith(f"{server.url}/tasks/{started.task_id}")
    assert [line.split()[1] for line in updates] == [
        *("taskStart", "nodeStart", "nodeUpdate", "nodeEnd", "nodeStart", "nodeUpdate", "nodeEnd", "taskEnd")
    ]
    assert updates[2].endswith('nodeUpdate  greet "Hello Zoë"')


def test_lines_of_json(server: LocalServer) -> None:
    first, *updates, last = lines_of(requence("run", "my-template", "-i", '{"name": "Zoë"}', "--json"))
    started = server.started("my-template")[-1]
    assert list(first) == ["kind", "task_id", "task_url", "task_template"]
    assert (first["kind"], first["task_id"], first["task_template"]) == (
        "started",
        started.task_id,
        "my-template",
    )
    assert {tuple(line) for line in updates} == {("kind", "position", "synthetic", "incomplete", "update")}
    assert [line["position"] for line in updates] == list(range(1, 9))
    assert updates[2]["update"]["data"] == "Hello Zoë"
    assert "context" not in updates[2]["update"]
    assert last == {
        "kind": "outcome",
        "task_id": started.task_id,
        "task_url": first["task_url"],
        "status": "successful",
        "result": "HELLO ZOË",
        "reason": None,
        "node_error": {},
    }


def test_a_task_that_fails(server: LocalServer) -> None:
    done = requence("run", "failing")
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-2:] == [
        "requence: The task failed: the second node cannot do it",
        "  second: the second node cannot do it",
    ]
    done = requence("run", "failing", "--json")
    assert done.exit_code == 3
    last = lines_of(done)[-1]
    assert (last["kind"], last["status"], last["result"]) == ("outcome", "failed", None)
    assert last["reason"] == last["node_error"]["second"] == "the second node cannot do it"


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_task_that_is_aborted(server: LocalServer, as_json: bool) -> None:
    before = len(server.started("endless"))
    done = run_aside("run", "endless", *(["--json"] if as_json else []))
    task_id = until(lambda: server.started("endless")[before:])[0].task_id
    abort_task(task_id, reason="enough")
    result = done()
    assert result.exit_code == 4
    if as_json:
        last = lines_of(result)[-1]
        assert (last["status"], last["reason"]) == ("stopped", "enough")
    else:
        assert result.stdout == ""
        assert result.stderr.splitlines()[-1] == "requence: The task was aborted: enough"


def test_without_watching_it_prints_id_and_url_and_leaves(server: LocalServer) -> None:
    done = requence("run", "endless", "--no-watch")
    assert (done.exit_code, done.stderr) == (0, "")
    task_id, url = done.stdout.splitlines()
    assert url.startswith(f"{server.url}/tasks/{task_id}")
    assert get_task(task_id).status in ("pending", "running")
    abort_task(task_id)
    [line] = lines_of(requence("run", "echo", "--no-watch", "--json"))
    assert (line["kind"], line["task_template"]) == ("started", "echo")


@pytest.mark.parametrize("source", ["text", "file", "file-with-bom", "stdin", "default"])
def test_where_the_input_comes_from(server: LocalServer, source: str, tmp_path: Path) -> None:
    text, stdin, given = '{"a": [1, 2.5, null, "ü"]}', None, ["--input", "-"]
    file = tmp_path / "with a blank.json"
    match source:
        case "text":
            given = ["--input", text]
        case "stdin":
            stdin = text.encode()
        case "default":
            given, text = [], "{}"
        case _:
            file.write_bytes((b"\xef\xbb\xbf" if source == "file-with-bom" else b"") + text.encode())
            given = ["--input", f"@{file}"]
    done = requence("run", "echo", *given, stdin=stdin)
    assert (done.exit_code, json.loads(done.stdout)) == (0, json.loads(text))


@pytest.mark.parametrize(
    ("given", "stdin", "said"),
    [
        ("{name: 1}", None, "--input is not JSON: line 1, column 2: Expecting property name"),
        ("-", b'{\n  "a": 1\n  "b": 2\n}', "standard input is not JSON: line 3, column 3: Expecting ','"),
        ("-", b'{\n"a": "\xff"}', "standard input, line 2, byte 7 of it: this is not UTF-8"),
        ("-", b" \n", "standard input is empty, which is not JSON"),
        ("", None, "--input is empty, which is not JSON"),
        ("@", None, "--input @ names no file"),
        ("@no/such.json", None, "The input file no/such.json cannot be read: No such file or directory"),
        ("@.", None, "The input file . cannot be read: Is a directory"),
        ("[NaN]", None, "--input is not JSON: it has NaN, which is no number there"),
        ("[1e999]", None, "input[0]"),
        ("[" * 100_000, None, "--input is nested too deeply"),
        ("\x1b[31m", None, "--input is not JSON: line 1, column 1: Expecting value"),
    ],
    ids=[
        *("not-json", "line-and-column", "not-utf8", "blank-stdin", "empty", "no-name", "missing", "folder"),
        *("nan", "infinite", "deep", "escape"),
    ],
)
def test_an_input_that_cannot_be_used(
    server: LocalServer, given: str, stdin: bytes | None, said: str
) -> None:
    before = len(server.started())
    done = requence("run", "echo", "--input", given, stdin=stdin)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"requence: {said}")
    [line] = lines_of(requence("run", "echo", "--json", "--input", given, stdin=stdin))
    assert (line["kind"], line["error"], line["exit_status"]) == ("error", "ConfigurationError", 2)
    assert len(server.started()) == before


def test_what_the_service_refuses(server: LocalServer) -> None:
    done = requence("run", "no-such-template")
    assert (done.exit_code, done.stdout) == (1, "")
    assert 'There is no task template named "no-such-template"' in done.stderr
    done = requence("run", "my-template", "--input", '{"name": 1}')
    assert (done.exit_code, done.stdout) == (1, "")
    wrong = Client(encode_access_token("another-secret", server.url))
    with default_client_set_to(wrong):
        done = requence("run", "echo", "--json")
    assert done.exit_code == 1
    assert [line["error"] for line in lines_of(done)] == ["UnauthorizedError"]
    assert "another-secret" not in done.output


@pytest.mark.usefixtures("unreachable")
def test_a_service_that_is_not_there() -> None:
    done = requence("run", "echo")
    assert (done.exit_code, done.stdout) == (69, "")
    assert "could not be reached" in done.stderr
    assert "secret-of-nobody" not in done.output


def test_what_happens_after_the_start_is_no_reason_to_start_again() -> None:
    with ScriptedServer() as service:
        service.always("watch", Answer(503))
        with default_client_set_to(service.client_with(patience=0.2, retries=0)):
            service.always("get", Answer(503))
            done = requence("run", "my-template")
            in_json = requence("run", "my-template", "--json")
    assert (done.exit_code, done.stdout) == (5, "")
    task_id = done.stderr.splitlines()[0].removeprefix("Started task ")
    assert f"The task was started, and may still run: {task_id}" in done.stderr
    assert f"requence get {task_id} --wait" in done.stderr
    assert in_json.exit_code == 5
    first, last = lines_of(in_json)
    assert (first["kind"], last["kind"], last["error"]) == ("started", "error", "StreamInterruptedError")
    assert last["exit_status"] == 5


def test_a_result_that_is_not_all_there() -> None:
    with ScriptedServer() as service, default_client_set_to(service.client_with(retries=0)):
        url = f"{service.url.removesuffix('/api')}/files-here/gone"
        claim = {"__REQUENCE_type": "ClaimCheck", "url": url, "size": 1}
        service.always("watch", Stream([end(1, {"a": claim})], end="open"))
        service.always("download", Answer(404))
        done = requence("run", "my-template")
    assert (done.exit_code, done.stdout) == (5, ""), done.output
    assert "The task has succeeded; see what there is of it: requence get task-1" in done.stderr


@pytest.mark.parametrize("options", [[], ["--json"], ["--no-watch"]], ids=["text", "json", "no-watch"])
def test_a_result_that_cannot_be_written_is_no_reason_to_start_again(
    server: LocalServer, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for module in ("output", "following"):
        monkeypatch.setattr(f"requence.cli.{module}.put", fail)
    monkeypatch.setattr("requence.cli.following.put_json", fail)
    done = requence("run", "echo", *options)
    assert (done.exit_code, done.stdout) == (5, "")
    task_id = server.started("echo")[-1].task_id
    assert "requence: The output cannot be written: No space left on device\n" in done.stderr
    assert f"The task was started, and may still run: {task_id}" in done.stderr


def test_an_error_that_cannot_be_written_is_none_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def put(line: str) -> None:
        if '"error"' in line:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("requence.cli.output.put", put)
    with ScriptedServer() as service:
        service.always("watch", Answer(503))
        service.always("get", Answer(503))
        with default_client_set_to(service.client_with(patience=0.2, retries=0)):
            done = requence("run", "my-template", "--json")
    assert done.exit_code == 5
    assert done.stderr == "requence: The output cannot be written: No space left on device\n"


def test_what_the_sdk_logs_is_a_line() -> None:
    with ScriptedServer() as service, default_client_set_to(service.client):
        service.always("watch", Stream([b"id: 1\nevent: taskStart\ndata: no json\n\n"] * 2, end="close"))
        service.always("get", report("successful", result=1))
        done = requence("run", "my-template")
    assert (done.exit_code, done.stdout) == (0, "1\n")
    assert [line for line in done.stderr.splitlines() if line.startswith("requence: ")]


def test_what_a_task_says_cannot_act_on_the_terminal() -> None:
    node = {"id": NASTY, "alias": NASTY, "type": NASTY}
    log = [
        event(1, "taskStart", input=NASTY),
        event(2, "nodeStart", node=node, timestamp=NASTY),
        event(3, "nodeUpdate", node=node, output=NASTY, data={NASTY: [NASTY]}),
        event(4, "nodeDefer", node=node, reason=NASTY),
        event(5, "nodeError", node={"id": NASTY * 1000}, error=NASTY * 1000),
        event(6, "nodeEnd", node=NASTY, taskId=NASTY),
        event(7, "somethingElse", node={"alias": [NASTY]}, reason=[NASTY]),
        event(8, "taskError", reason=NASTY * 1000),
    ]
    with ScriptedServer() as service, default_client_set_to(service.client):
        service.always("watch", Stream(log, end="open"))
        done = requence("run", "my-template")  # what it writes is checked there
        in_json = requence("run", "my-template", "--json")
        service.always("watch", Stream([end(1, {NASTY: NASTY})], end="open"))
        result = requence("run", "my-template")
        service.always(
            "get", report(NASTY, result=NASTY, name=NASTY, nodesData=[{"alias": NASTY, "data": NASTY}])
        )
        state = requence("get", "some-task")
        state_in_json = requence("get", "some-task", "--json")
        service.always("prepare", Answer(400, {"message": NASTY * 1000}))
        refused = requence("run", "my-template")
    assert done.exit_code == 3
    assert "\\x1b[31m[red]" in done.stderr
    assert len(done.stderr.splitlines()) == 2 + 8 + 1
    assert lines_of(in_json)[3]["update"]["data"] == {NASTY: [NASTY]}
    assert json.loads(result.stdout) == {NASTY: NASTY}
    assert state.exit_code == 0
    assert lines_of(state_in_json)[0]["node_data"] == {NASTY: NASTY}
    assert refused.exit_code == 1
    for told in (done, result, state, refused):
        assert max(map(len, told.stderr.splitlines() or [""])) < 2100


def test_wrong_options() -> None:
    for wrong in (
        ["run"],
        ["run", "a", "b"],
        ["run", "a", "--priority", "11"],
        ["run", "a", "--nmae", "x"],
        ["rnu"],
    ):
        assert requence(*wrong).exit_code == 2
