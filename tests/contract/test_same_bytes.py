"""Our one HTTP session and the generated httpx client put the same bytes on the wire, operation by operation."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import httpx
import pytest
from tests.contract.test_seam import TREE, calls
from tests.scripted_server import (
    BEARER,
    Answer,
    Call,
    ScriptedServer,
    Stream,
    end,
    event,
    frame,
    prepared,
    report,
    started,
)

from requence import task as sdk
from requence._client import default_client_set_to
from requence.cli import generate_types
from requence.files import RequenceFile, RequenceStream
from requence.task import Task, TaskWatcher
from requence_api import AuthenticatedClient, Client
from requence_api.api.files import download_file, download_stream, register_stream, send_stream, upload_file
from requence_api.api.task import abort_task, ack_task, finalize_task, get_task, prepare_task, protect_task
from requence_api.api.types import get_python_types
from requence_api.api.watch import watch_all_tasks, watch_task
from requence_api.models import FinalizeRequest, WatchAllRequest, WatchRequest
from requence_api.types import UNSET, File, Unset

# What says who is asking, and how; it belongs to the HTTP library and to nothing that the contract describes.
OF_THE_LIBRARY = {"user-agent", "accept", "accept-encoding", "connection"}

NAMES = ["t", "my template", "a/b", "ä€😀", "100%", "a?b#c", "a+b&c=d", "~-._!*'();:@$,[]"]
KEY = "q8Jr/2mT5 xW1c"  # as a server would never write it, to see that it stays as it is
CONTENTS = [b"", b"abc", bytes(range(256)) * 8192]
INPUTS: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    0.5,
    -1.25,
    "",
    'text with "quotes", \\ and /',
    "controls \x00\x1f\x7f\n\t\r\b\f",
    "ä€😀\u2028",
    [],
    {},
    [1, [2, [3, {}]], None, False],
    {"a": {"b": [1.5, "x"]}, "": None, "ä€😀": "é"},
    {"url": "https://example.org/?a=b&c=d#e"},
    "x" * 2_000_000,
    [{"id": number, "name": f"row {number}", "values": [None, True, 1.5]} for number in range(2000)],
]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A service that places its URLs where the contract shows them."""
    with ScriptedServer() as server:

        def answer(call: Call) -> Answer | Stream:
            task_id = call.path.rpartition("/")[2]
            match call.path.split("/")[-2]:
                case "finalize":
                    urls = {"watch": f"{server.url}/task/watch/{task_id}", "show": f"{server.url}/page"}
                    return started(server, "a/b", urls=urls)
                case "watch":
                    last = call.json.get("lastPosition", 0)
                    return Stream([event(last + 1, "taskStart"), end(last + 2, requireAck=True)])
                case "upload":
                    return Answer(200, {"url": f"{server.url}/files/{task_id}", "size": len(call.body)})
                case "register":
                    return Answer(200, {"url": f"{server.url}/streams/{task_id}", "mime": call.mime})
                case "streams" if call.method == "GET":
                    framed = {"x-requence-stream-protocol": "framed"}
                    return Answer(200, frame(0, b"abc") + frame(1, b""), framed)
                case "streams":
                    return Answer(200)
                case "files":
                    return Answer(200, b"abc", {"Content-Type": "application/octet-stream"})
                case _:
                    return Answer(404)

        finalize_url = f"{server.url}/task/finalize/a%2Fb"
        server.always("prepare", prepared(server, "a/b", finalizeUrl=finalize_url))
        server.always("unknown", answer)
        server.always("get", report("running"))
        yield server


@pytest.fixture
def generated(server: ScriptedServer) -> Iterator[AuthenticatedClient]:
    with AuthenticatedClient(server.url, token=BEARER) as client:
        yield client


@pytest.fixture
def anybody(server: ScriptedServer) -> Iterator[Client]:
    """The generated client without a token: what the URLs of files and streams are for."""
    with Client(server.url) as client:
        yield client


def ours(server: ScriptedServer, part: str) -> Call:
    """The first request so far that has this in its path."""
    return next(call for call in server.calls() if part in call.path)


def on_the_wire(call: Call) -> tuple[str, str, dict[str, str], bytes]:
    headers = {name: value for name, value in call.headers.items() if name not in OF_THE_LIBRARY}
    return call.method, call.path, headers, call.body


def check_the_same(server: ScriptedServer, call: Call, send: Callable[[], object]) -> None:
    """Checks that the generated code sends what we have sent."""
    before = len(server.calls())
    send()
    [theirs] = server.calls()[before:]
    assert on_the_wire(call) == on_the_wire(theirs)


@pytest.mark.parametrize("name", NAMES)
def test_prepare(server: ScriptedServer, generated: AuthenticatedClient, name: str) -> None:
    assert Task(name, client=server.client).sync.id == "a/b"
    call = ours(server, "/task/prepare/")
    assert call.headers["authorization"] == f"Bearer {BEARER}"
    assert call.body == b""
    check_the_same(server, call, lambda: prepare_task.sync_detailed(name, client=generated))


@pytest.mark.parametrize("value", INPUTS, ids=lambda value: repr(value)[:40])
@pytest.mark.parametrize(
    ("name", "priority", "require_ack"), [(None, 5, False), ("ein Name ä€😀", 0, True), ("", 10, False)]
)
def test_finalize(
    server: ScriptedServer,
    generated: AuthenticatedClient,
    value: Any,
    name: str | None,
    priority: int,
    require_ack: bool,
) -> None:
    Task("t", value, name, priority, require_ack=require_ack, client=server.client).sync.finalized()
    call = ours(server, "/task/finalize/")
    body = FinalizeRequest(name=name, input_=value, priority=10 - priority, require_ack=require_ack)
    assert call.json == body.to_dict()
    check_the_same(server, call, lambda: finalize_task.sync_detailed("a/b", client=generated, body=body))


@pytest.mark.parametrize("value", [1e16, 1e22, 1e-7, 5e-324, math.pi * 1e300, 2**70])
def test_numbers_that_are_written_differently_are_the_same_numbers(
    server: ScriptedServer, generated: AuthenticatedClient, value: float
) -> None:
    """Exponents have more than one spelling in JSON; that is the only difference that there is."""
    Task("t", value, client=server.client).sync.finalized()
    call = ours(server, "/task/finalize/")
    body = FinalizeRequest(name=None, input_=value, priority=5, require_ack=False)
    finalize_task.sync_detailed("a/b", client=generated, body=body)
    theirs = server.calls()[-1]
    assert json.loads(call.body) == json.loads(theirs.body) == body.to_dict()
    assert call.body.replace(b"e+", b"e").replace(b"e-07", b"e-7") == theirs.body.replace(
        b"e+", b"e"
    ).replace(b"e-07", b"e-7")


@pytest.mark.parametrize("task_id", NAMES)
def test_get(server: ScriptedServer, generated: AuthenticatedClient, task_id: str) -> None:
    sdk.get_task(task_id, client=server.client)
    call = ours(server, "/task/")
    check_the_same(server, call, lambda: get_task.sync_detailed(task_id, client=generated))


@pytest.mark.parametrize("task_id", NAMES)
@pytest.mark.parametrize("reason", [None, "", "so", 'ä€😀 "and"\nmore', "x" * 100_000])
def test_abort(
    server: ScriptedServer, generated: AuthenticatedClient, task_id: str, reason: str | None
) -> None:
    sdk.abort_task(task_id, reason=reason, client=server.client)
    call = ours(server, "/task/abort/")
    body: str | Unset = UNSET if reason is None else reason
    check_the_same(server, call, lambda: abort_task.sync_detailed(task_id, client=generated, body=body))


@pytest.mark.parametrize("task_id", NAMES)
def test_protect(server: ScriptedServer, generated: AuthenticatedClient, task_id: str) -> None:
    sdk.protect_task(task_id, client=server.client)
    call = ours(server, "/task/protect/")
    check_the_same(server, call, lambda: protect_task.sync_detailed(task_id, client=generated))


def test_ack(server: ScriptedServer, generated: AuthenticatedClient) -> None:
    task = Task("t", require_ack=True, client=server.client)
    assert task.sync.result.result is None
    call = ours(server, "/task/ack/")
    check_the_same(server, call, lambda: ack_task.sync_detailed("a/b", client=generated))


@pytest.mark.parametrize("position", [None, 1, 2**53])
def test_watch(server: ScriptedServer, generated: AuthenticatedClient, position: int | None) -> None:
    task = Task("t", client=server.client)
    assert len(list(task.sync.updates if position is None else task.sync.updates_after(position))) == 2
    call = ours(server, "/task/watch/")
    last: int | Unset = UNSET if position is None else position
    built = watch_task._get_kwargs("a/b", body=WatchRequest(since=None, last_position=last))
    check_the_same(server, call, lambda: sent(generated, built))


def test_watch_all(server: ScriptedServer, generated: AuthenticatedClient) -> None:
    server.always("watch-all", Stream([event(7, "taskStart", task_id="a")], end="open"))
    server.script("watch-all", Stream([event(7, "taskStart", task_id="a")]))
    since = datetime(2026, 1, 31, 12, tzinfo=UTC)
    with TaskWatcher(since, client=server.client):
        server.wait_until(lambda: len(server.calls("watch-all")) == 2)
    first, second = server.calls("watch-all")
    positions: list[tuple[Call, int | Unset]] = [(first, UNSET), (second, 7)]
    for call, last in positions:
        server.script("watch-all", Stream())
        built = watch_all_tasks._get_kwargs(
            body=WatchAllRequest(since=call.json["since"], last_position=last)
        )
        check_the_same(server, call, partial(sent, generated, built))


def test_get_python_types(
    server: ScriptedServer,
    generated: AuthenticatedClient,
    tmp_path: Path,
) -> None:
    with default_client_set_to(server.client):
        assert generate_types.main(["generate-types", "--outdir", str(tmp_path)]) == 0
    call = ours(server, "/task/types/")
    check_the_same(server, call, lambda: get_python_types.sync_detailed(client=generated))


def started_with(server: ScriptedServer, value: Any, cap: int | None) -> None:
    """Starts a task with a file or a stream in its input."""
    quoted = quote(KEY, safe="")
    urls = {
        "uploadUrl": f"{server.url}/files/upload/{quoted}",
        "streamUrl": f"{server.url}/streams/register/{quoted}",
    }
    limits = {} if cap is None else {"limits": {"maxFileSize": cap}}
    finalize_url = f"{server.url}/task/finalize/a%2Fb"
    server.always("prepare", prepared(server, "a/b", finalizeUrl=finalize_url, fileUrls=urls, **limits))
    Task("t", value, client=server.client).sync.finalized()


def given(server: ScriptedServer, kind: str, **reference: Any) -> Any:
    """What a task has in its input where there is a reference to a file or a stream."""
    reference |= {"__REQUENCE_type": kind, "mime": "application/octet-stream"}
    server.always("get", report("successful", input=reference))
    return Task.attach("a", client=server.client).sync.result.input


@pytest.mark.parametrize("room", [None, 0, 2**40])
@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_upload_file(server: ScriptedServer, anybody: Client, content: bytes, room: int | None) -> None:
    cap = None if room is None else len(content) + room
    started_with(server, RequenceFile(content), cap)
    call = ours(server, "/files/upload/")
    size = UNSET if cap is None else cap
    check_the_same(
        server,
        call,
        lambda: upload_file.sync_detailed(
            KEY, client=anybody, body=File(payload=io.BytesIO(content)), file_size=size
        ),
    )


@pytest.mark.parametrize("cap", [None, 0, 2**40])
def test_register_stream(server: ScriptedServer, anybody: Client, cap: int | None) -> None:
    started_with(server, RequenceStream([]), cap)
    call = ours(server, "/streams/register/")
    size = UNSET if cap is None else cap
    check_the_same(server, call, lambda: register_stream.sync_detailed(KEY, client=anybody, file_size=size))


class OfNoKnownSize(io.BytesIO):
    """Bytes that come from somewhere, like those of a pipe."""

    def tell(self) -> NoReturn:
        raise io.UnsupportedOperation


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_send_stream(server: ScriptedServer, anybody: Client, content: bytes) -> None:
    started_with(server, RequenceStream([content]), None)
    call = ours(server, "/streams/q8Jr")
    assert call.headers["transfer-encoding"] == "chunked"
    body = File(payload=OfNoKnownSize(content))
    check_the_same(server, call, lambda: send_stream.sync_detailed(KEY, client=anybody, body=body))


def test_a_stream_whose_size_can_be_seen_is_announced_by_the_generated_code_only(
    server: ScriptedServer, anybody: Client
) -> None:
    """Ours does not look for a size: that is the only difference that there is."""
    started_with(server, RequenceStream(io.BytesIO(b"abc")), None)
    call = ours(server, "/streams/q8Jr")
    send_stream.sync_detailed(KEY, client=anybody, body=File(payload=io.BytesIO(b"abc")))
    theirs = server.calls()[-1]
    assert call.headers.pop("transfer-encoding") == "chunked"
    assert theirs.headers.pop("content-length") == "3"
    assert on_the_wire(call) == on_the_wire(theirs)


def test_download_file(server: ScriptedServer, anybody: Client) -> None:
    file = given(server, "RequenceFile", url=f"{server.url}/files/{quote(KEY, safe='')}", size=3)
    assert file.read() == b"abc"
    call = ours(server, "/files/")
    check_the_same(server, call, lambda: download_file.sync_detailed(KEY, client=anybody))


def test_download_stream(server: ScriptedServer, anybody: Client) -> None:
    stream = given(server, "RequenceStream", url=f"{server.url}/streams/{quote(KEY, safe='')}")
    assert stream.read() == b"abc"
    call = ours(server, "/streams/")
    check_the_same(
        server,
        call,
        lambda: download_stream.sync_detailed(KEY, client=anybody, x_requence_stream_protocol="framed"),
    )


def sent(client: AuthenticatedClient, built: dict[str, Any]) -> httpx.Response:
    """Sends what the generated code has built, as its other operations do."""
    return client.get_httpx_client().request(**built)


def test_each_operation_that_the_client_calls_is_compared() -> None:
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {
        name for name in calls(TREE) if name.removesuffix("_task").removesuffix("_tasks") not in tests
    } == set()
