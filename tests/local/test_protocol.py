"""Requests and answers: statuses, texts, and what must not get in."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.local.api import Api, Connect
from tests.local.contract import EVENT_SCHEMAS, fits

from requence.local import LocalServer, NodeContext, TaskTemplate, engine
from requence.local.schemas import check_input

UNKNOWN = "00000000-0000-4000-8000-000000000000"
SCHEMA = {
    "type": "object",
    "required": ["path"],
    "properties": {
        "path": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "tree": {"$ref": "#/$defs/tree"},
    },
    "$defs": {"tree": {"type": "object", "additionalProperties": {"$ref": "#/$defs/tree"}}},
}


@pytest.fixture(scope="module")
def running() -> Iterator[LocalServer]:
    template = TaskTemplate("a/b c", SCHEMA)
    free = TaskTemplate("free")

    def same(ctx: NodeContext) -> Any:
        return ctx.input

    template.node(same)
    free.node(same)
    endless = TaskTemplate("endless")
    endless.node("wait")(lambda ctx: ctx.terminated.wait(30))
    with LocalServer(template, free, endless, max_payload_size=10_000) as server:
        yield server


@pytest.fixture
def api(running: LocalServer, connect: Connect) -> Api:
    return connect(running)


@pytest.fixture
def stranger(running: LocalServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, verify=False) as client:
        yield client


def test_every_answer_and_event_fits_the_contract(api: Api) -> None:
    prepared = api.http.post("/task/prepare/free").json()
    assert fits("PreparedTask", prepared)
    assert prepared["branch"] == "live"
    assert prepared["limits"] == {"maxPayloadSize": 10_000, "maxFileSize": 100 * 2**20}
    body = {"name": None, "input": 1, "priority": 5, "requireAck": True}
    started = api.http.post(prepared["finalizeUrl"], json=body).json()
    assert fits("StartedTask", started)
    assert started["taskId"] == prepared["taskId"]
    aborted = api.start("endless")
    api.post("abort", aborted)
    for task_id in (prepared["taskId"], aborted):
        for event in api.watch(task_id):
            assert fits(EVENT_SCHEMAS[event.name], event.payload), event
        assert fits("TaskState", api.get(task_id))


def test_a_template_name_is_one_encoded_path_segment(api: Api) -> None:
    assert api.http.post("/task/prepare/a%2Fb%20c").status_code == 200
    split = api.http.post("/task/prepare/a/b%20c")
    assert split.status_code == 404
    assert split.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("name", ["nope", "a%00b", "%E2%82%AC", "a%2f..%2fb", "%3Cscript%3E"])
def test_an_unknown_template_is_answered_with_the_known_ones(api: Api, name: str) -> None:
    answer = api.http.post(f"/task/prepare/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    for known in ('"a/b c"', '"free"', '"endless"'):
        assert known in answer.text


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer wrong", "Basic {bearer}", "bearer {bearer}x", "Bearer é{bearer}"],
)
def test_without_the_bearer_nothing_is_told(
    api: Api, stranger: httpx.Client, authorization: str | None
) -> None:
    task_id = api.prepare("free")
    headers = {} if authorization is None else {"Authorization": authorization.format(bearer=api.bearer)}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    for method, path in [
        ("POST", "/task/prepare/free"),
        ("POST", "/task/prepare/unknown"),
        ("POST", f"/task/finalize/{task_id}"),
        ("POST", f"/task/watch/{task_id}"),
        ("POST", "/task/watch-all"),
        ("POST", f"/task/abort/{task_id}"),
        ("POST", f"/task/protect/{task_id}"),
        ("POST", f"/task/ack/{task_id}"),
        ("GET", f"/task/{task_id}"),
        ("GET", f"/task/{UNKNOWN}"),
    ]:
        answer = stranger.request(method, path, headers=raw)
        assert (method, path, answer.status_code) == (method, path, 401)
        assert api.bearer not in answer.text
    assert api.get(task_id)["status"] == "idle"


@pytest.mark.parametrize("operation", ["finalize", "watch", "abort", "protect", "ack"])
def test_an_unknown_task_is_404(api: Api, operation: str) -> None:
    assert api.post(operation, UNKNOWN).status_code == 404
    assert api.http.get(f"/task/{UNKNOWN}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("POST", "/task"), ("POST", "/task/a/b/c"), ("GET", "/task/x/")]
)
def test_an_unknown_path_is_404(api: Api, method: str, path: str) -> None:
    answer = api.http.request(method, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/task/x", "GET, HEAD"),
        ("GET", "/task/prepare/free", "POST"),
        ("OPTIONS", "/task/watch-all", "POST"),
        ("POST", "/task/types/python", "GET, HEAD"),
        ("PUT", "/streams/x", "GET, HEAD, POST"),
    ],
)
def test_another_method_is_405_and_told_which_would_do(api: Api, method: str, path: str, allow: str) -> None:
    answer = api.http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == f"{path} does not take {method}, only {allow}"


def body(**changes: object) -> dict[str, object]:
    return {"name": None, "input": {"path": "x"}, "priority": 5, "requireAck": False, **changes}


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (body(priority=True), "priority: True is not of type 'integer'"),
        (body(priority=11), "priority: 11 is greater than the maximum of 10"),
        (body(priority=-1), "priority: -1 is less than the minimum of 0"),
        (body(priority=2.5), "priority: 2.5 is not of type 'integer'"),
        (body(priority="5"), "priority: '5' is not of type 'integer'"),
        (body(name=5), "name: 5 is not of type"),
        (body(requireAck="yes"), "requireAck: 'yes' is not of type 'boolean'"),
        ({"name": None, "input": {}}, "'priority' is a required property"),
        ([1], "is not of type 'object'"),
        (
            body(input={"path": 5}),
            "The input does not fit the template \"a/b c\": input.path: 5 is not of type 'string'",
        ),
        (
            body(input={}),
            "The input does not fit the template \"a/b c\": input: 'path' is a required property",
        ),
        (body(input={"path": "x", "tags": ["a", 3]}), "input.tags[1]: 3 is not of type 'string'"),
        (body(input="text"), "input: 'text' is not of type 'object'"),
    ],
)
def test_a_refused_start_names_the_field(api: Api, sent: Any, text: str) -> None:
    task_id = api.prepare("a%2Fb%20c")
    answer = api.http.post(f"/task/finalize/{task_id}", json=sent)
    assert answer.status_code == 400
    assert text in answer.text
    assert api.get(task_id)["status"] == "idle"
    # The task can still be started once its input is right.
    assert api.finalize(task_id, {"path": "x"}).status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe\xfd",
        b'{"name":null,"input":NaN,"priority":5,"requireAck":false}',
        b'{"name":null,"input":1e999,"priority":5,"requireAck":false}',
        b'{"name":null,"input":' + b"[" * 4000 + b"]" * 4000 + b',"priority":5,"requireAck":false}',
        b'{"name":null,"input":' + b"[" * 201 + b"]" * 201 + b',"priority":5,"requireAck":false}',
        b'{"name":null,"input":' + b"9" * 5000 + b',"priority":5,"requireAck":false}',
    ],
    ids=["empty", "cut", "binary", "nan", "infinite", "very deep", "deep", "digits"],
)
def test_what_is_not_json_is_400(api: Api, raw: bytes) -> None:
    task_id = api.prepare("free")
    assert api.post("finalize", task_id, raw).status_code == 400
    assert api.get(task_id)["status"] == "idle"


def test_a_schema_that_goes_too_deep_is_an_answer_and_no_crash(api: Api) -> None:
    tree: dict[str, Any] = {}
    for _ in range(190):
        tree = {"t": tree}
    task_id = api.prepare("a%2Fb%20c")
    answer = api.finalize(task_id, {"path": "x", "tree": tree})
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert "nested too deeply" in answer.text


def test_a_number_that_a_schema_cannot_be_held_against_is_told(connect: Connect) -> None:
    tenths, huge = {"multipleOf": 0.1}, 10**400
    template, exits = TaskTemplate("t", tenths), TaskTemplate("exits")
    template.node("n")(lambda ctx: None)
    exits.exit(after=exits.node("n")(lambda ctx: huge), output_schema=tenths)
    with LocalServer(template, exits) as server:
        api = connect(server)
        answer = api.finalize(api.prepare("t"), huge)
        assert answer.status_code == 400
        assert "too large to be checked" in answer.text
        assert "too large to be checked" in api.run("exits")[-1].payload["reason"]


def test_a_schema_that_refers_elsewhere_is_never_fetched(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/schema.json"
        template = TaskTemplate("t", {"$ref": url})
        template.node("n")(lambda ctx: None)
        with LocalServer(template) as server:
            api = connect(server)
            answer = api.finalize(api.prepare("t"), {})
            assert answer.status_code == 400
            assert url in answer.text
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_a_second_finalize_is_409(api: Api) -> None:
    task_id = api.start("free", 1)
    assert api.finalize(task_id, 2).status_code == 409
    assert list(api.watch(task_id))[-1].payload["result"] == 1


def test_a_body_at_the_limit_is_taken_and_one_over_it_is_413(api: Api) -> None:
    empty = len(json.dumps(body(input=""), separators=(",", ":")))

    def post(task_id: str, size: int) -> Any:
        content = json.dumps(body(input="x" * (size - empty)), separators=(",", ":")).encode()
        assert len(content) == size
        return api.http.post(f"/task/finalize/{task_id}", content=content)

    task_id = api.prepare("free")
    refused = post(task_id, 10_001)
    assert refused.status_code == 413
    assert "10000 bytes" in refused.text
    # Far over it, sent by a client that writes everything before it reads.
    assert post(task_id, 5_000_000).status_code == 413
    assert post(task_id, 10_000).status_code == 200


def test_a_body_without_an_end_is_not_kept(api: Api) -> None:
    task_id = api.prepare("free")
    with socket.create_connection(("127.0.0.1", int(api.url.rsplit(":", 1)[1])), timeout=30) as connection:
        connection.sendall(
            f"POST /task/finalize/{task_id} HTTP/1.1\r\nHost: {api.url[7:]}\r\n"
            f"Authorization: Bearer {api.bearer}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        sent = 0
        with suppress(ConnectionError):  # the server hangs up
            while sent < 1000:
                connection.sendall(chunk)
                sent += 1
    assert sent < 200
    assert api.get(task_id)["status"] == "idle"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LocalHost:{port}", 200),
        ("[::1]:{port}", 200),
        ("127.0.0.1", 403),
        ("127.0.0.1:1", 403),
        ("evil.example:{port}", 403),
        ("localhost.evil.example:{port}", 403),
        ("evil.example@127.0.0.1:{port}", 403),
    ],
)
def test_only_the_server_s_own_host_names_are_answered(api: Api, host: str, status: int) -> None:
    task_id = api.prepare("free")
    named = host.format(port=api.url.rsplit(":", 1)[1])
    answer = api.http.get(f"/task/{task_id}", headers={"Host": named})
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "sent", [{}, {"since": "yesterday"}, {"since": 5}, {"since": None, "lastPosition": "3"}, []]
)
def test_a_watch_that_makes_no_sense_is_400(api: Api, sent: Any) -> None:
    assert api.http.post(f"/task/watch/{api.prepare('free')}", json=sent).status_code == 400


def test_protect_and_ack_may_be_repeated(api: Api) -> None:
    task_id = api.start("free")
    list(api.watch(task_id))
    for operation in ("protect", "ack"):
        for _ in range(2):
            assert api.post(operation, task_id).status_code == 200
    assert api.get(task_id)["status"] == "successful"


def test_a_large_input_is_checked_while_others_are_served(connect: Connect) -> None:
    rows = {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "integer"}}}}
    template = TaskTemplate("rows", input_schema=rows)
    template.node("count")(lambda ctx: len(ctx.input))
    with LocalServer(template) as server:
        api, other = connect(server), connect(server)
        task_id = api.prepare("rows")
        answers: list[int] = []
        value = [{"id": number} for number in range(50_000)]
        sending = threading.Thread(target=lambda: answers.append(api.finalize(task_id, value).status_code))
        begin = time.monotonic()
        sending.start()
        waits: list[float] = []
        while sending.is_alive():
            asked = time.monotonic()
            other.get(task_id)
            waits.append(time.monotonic() - asked)
        assert answers == [200]
        # On the event loop the check, which takes nearly all of the time, would let none pass.
        assert max(waits) < (time.monotonic() - begin) / 2
        assert list(api.watch(task_id))[-1].payload["result"] == 50_000


def test_a_task_that_is_aborted_while_its_input_is_checked_does_not_start(connect: Connect) -> None:
    entered, go = threading.Event(), threading.Event()
    template = TaskTemplate("rows", input_schema={"type": "array"})
    template.node("count")(lambda ctx: len(ctx.input))

    def slow(name: str, schema: Mapping[str, object], value: object) -> None:
        entered.set()
        assert go.wait(20)
        check_input(name, schema, value)

    with pytest.MonkeyPatch.context() as patch, LocalServer(template) as server:
        patch.setattr(engine, "check_input", slow)
        api, other = connect(server), connect(server)
        task_id = api.prepare("rows")
        answers: list[httpx.Response] = []
        sending = threading.Thread(target=lambda: answers.append(api.finalize(task_id, ["x" * 100_000])))
        sending.start()
        assert entered.wait(20)
        assert other.post("abort", task_id).status_code == 200
        go.set()
        sending.join()
        assert answers[0].status_code == 409
        assert other.get(task_id)["status"] == "stopped"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_of_the_token_is_the_same_in_any_case(api: Api, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {api.bearer}"}
    assert api.http.post("/task/prepare/nope", headers=headers).status_code == 404
    assert api.http.post("/task/prepare/nope", headers={"Authorization": api.bearer}).status_code == 401
    assert (
        api.http.post("/task/prepare/nope", headers={"Authorization": f"Basic {api.bearer}"}).status_code
        == 401
    )


def test_a_server_that_stops_waits_for_no_check(
    connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entered, go = threading.Event(), threading.Event()
    template = TaskTemplate("rows", input_schema={"type": "array"})
    template.node("count")(lambda ctx: len(ctx.input))

    def slow(name: str, schema: Mapping[str, object], value: object) -> None:
        entered.set()
        go.wait(20)

    def send(api: Api, task_id: str) -> None:
        with suppress(httpx.TransportError):
            api.finalize(task_id, ["x" * 100_000])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "check_input", slow)
        with LocalServer(template, db=tmp_path / "tasks.db") as server:
            api = connect(server)
            task_id = api.prepare("rows")
            sending = threading.Thread(target=send, args=(api, task_id))
            sending.start()
            assert entered.wait(20)
        sending.join()
        go.set()
    assert not caplog.records
    with LocalServer(template, db=tmp_path / "tasks.db") as server:
        api = connect(server)
        assert api.get(task_id)["status"] == "idle"
        assert api.finalize(task_id, [1]).status_code == 200
