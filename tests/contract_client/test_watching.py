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
from tests.scripted_server import (
    Answer, ScriptedServer, Stream, end, event, frame, from_position, prepared_for_files, report
)
from requence.files import RequenceFile, RequenceStream

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

def send(value, **scripts):
    with ScriptedServer() as server:
        server.always("prepare", prepared_for_files(server, "a", maxFileSize=9))
        for operation, step in scripts.items():
            server.always(operation, step)
        Task("t", value, client=server.client_with(retries=0)).sync.finalized()

def fetch(kind, where, operation, answer, **fields):
    with ScriptedServer() as server:
        url = server.url.removesuffix("/api") + where
        reference = {"__REQUENCE_type": kind, "url": url, "mime": "a/b", **fields}
        server.always("get", report("successful", input=reference))
        server.always(operation, answer)
        return Task.attach("a", client=server.client).sync.result.input.read()

def test_files_right():
    send([RequenceFile(b"x", mime="image/png"), RequenceFile(b""), RequenceStream([b"x"], mime="text/csv")])
    content = Answer(200, b"x", {"Content-Type": "a/b"})
    assert fetch("RequenceFile", "/files-here/x?key=1", "download", content, size=1) == b"x"
    framed = Answer(200, frame(0, b"x") + frame(1, b""), {"x-requence-stream-protocol": "framed"})
    assert fetch("RequenceStream", "/streams-here/x?key=1", "download-stream", framed) == b"x"

def test_upload_without_url():
    with pytest.raises(RequenceError):
        send(RequenceFile(b"x"), upload=Answer(200, {"size": 1, "mime": "a/b"}))

@pytest.mark.breaks_contract
def test_upload_without_url_on_purpose():
    with pytest.raises(RequenceError):
        send(RequenceFile(b"x"), upload=Answer(200, {"size": 1, "mime": "a/b"}))

def test_stream_without_media_type():
    with pytest.raises(RequenceError):
        send(RequenceStream([b"x"]), register=Answer(200, {"url": "http://127.0.0.1/x"}))

def test_stream_sent_to_somewhere_else():
    with pytest.raises(RequenceError):
        send(RequenceStream([b"x"]), send=Answer(307))

def test_content_without_media_type():
    content = Answer(200, b"x", {"Content-Type": "x"})
    assert fetch("RequenceFile", "/files-here/x", "download", content, size=1) == b"x"

def test_wrong_frames():
    framed = Answer(200, frame(0, b"x") + frame(7, b""), {"x-requence-stream-protocol": "framed"})
    with pytest.raises(RequenceError):
        fetch("RequenceStream", "/streams-here/x", "download-stream", framed)

def post(url, **headers):
    connection = http.client.HTTPConnection(url[7:].partition("/")[0])
    headers = {"Content-Type": "a/b"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/" + url[7:].partition("/")[2], headers=headers)
    answer = connection.getresponse()
    connection.close()
    return answer.status

def post_scripted(path, **headers):
    with ScriptedServer() as server:
        assert post(server.url.removesuffix("/api") + path, **headers) == 200

def test_file_size_that_is_no_number():
    post_scripted("/files-here/for/a", file_size="large")

@pytest.mark.breaks_contract("requests")
def test_file_size_that_is_no_number_on_purpose():
    post_scripted("/files-here/for/a", file_size="large")

def test_token_with_a_file():
    post_scripted("/files-here/for/a", authorization="Bearer x")

def test_stream_of_no_media_type():
    post_scripted("/streams-here/new/a", content_type="")

def local_files(request):
    from tests.local.api import Api
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: 1)
    with LocalServer(template, strict=False) as server, Api(server.access_token) as api:
        urls = api.http.post("/task/prepare/t").json()["fileUrls"]
        request(urls)

def test_local_file_size_that_is_no_number():
    local_files(lambda urls: post(urls["uploadUrl"], file_size="large"))

def test_local_stream_with_a_token():
    local_files(lambda urls: post(urls["streamUrl"], authorization="Bearer x"))

def test_local_files_wrong(monkeypatch):
    from requence.local import file_api
    made = file_api.json_answer
    monkeypatch.setattr(file_api, "json_answer", lambda value: made({**value, "url": ""}))
    local_files(lambda urls: post(urls["uploadUrl"]))

def test_unknown_path():
    with ScriptedServer() as server:
        connection = http.client.HTTPConnection(server.url[7:].partition("/")[0])
        connection.request("GET", "/api/nowhere")
        connection.getresponse().read()
        connection.close()

def local(monkeypatch, broken):
    from requence.local import app
    if broken:
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
    "test_upload_without_url": "upload_file, status 200: 'url' is a required property",
    "test_stream_without_media_type": "register_stream, status 200: 'mime' is a required property",
    "test_stream_sent_to_somewhere_else": "send_stream, status 307: ",
    "test_content_without_media_type": "download_file, status 200: MediaTypeNotFound",
    "test_wrong_frames": "download_stream, status 200: there are no frames of type 07",
    "test_file_size_that_is_no_number": "upload_file, request: ValueError: ",
    "test_token_with_a_file": "upload_file, request: a token is sent to where none belongs",
    "test_stream_of_no_media_type": "register_stream, request: '' is no media type",
    "test_local_file_size_that_is_no_number": "upload_file, request: ValueError: ",
    "test_local_stream_with_a_token": "register_stream, request: a token is sent to where none belongs",
    "test_local_files_wrong": "upload_file, status 200: '' should be non-empty",
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
from requence.files import RequenceFile, RequenceStream
from requence.task import Task, TaskWatcher, abort_task

def test_all():
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: ctx.input)
    with LocalServer(template) as server:
        watcher = TaskWatcher("2026-01-31T12:00:00Z", client=server.client)
        with watcher:
            value = [RequenceFile(b"x"), RequenceStream([b"x"])]
            task = Task("t", value, require_ack=True, client=server.client)
            file, stream = task.sync.result.get_node_data("n")
            file.read()
            stream.read()
            next(iter(watcher.sync.updates))
        task.sync.protect()
        task.sync.abort()
        from tests.local.api import Api
        with Api(server.access_token) as api:
            api.get(task.sync.id)
            api.http.get("/task/types/python")
"""
    tests = everything
    if not complete:
        for missing in ("        task.sync.protect()\n", "            stream.read()\n"):
            assert missing in tests
            tests = tests.replace(missing, "")
    stale = "\nimport pytest\n@pytest.mark.breaks_contract\ndef test_stale():\n    pass\n"
    code, said = outcome(tmp_path, "--whole-suite", tests=tests if complete else tests + stale)
    if complete:
        assert code == 0, said
        assert "no requests of" not in said
    else:
        assert code == 1, said
        assert "no requests of protect_task came" in said
        assert "no answers of protect_task came" in said
        assert "no requests of download_stream came" in said
        assert "no answers of download_stream came" in said
        assert said.count(" came\n") == 4
        assert "test_stale claims that its answers break the contract, and they do not" in said
