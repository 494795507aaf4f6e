"""What goes on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.scripted_server import (
    BEARER,
    ScriptedServer,
    Stream,
    end,
    prepared,
    started,
)
from tests.stream.a_log import FIRST

from requence._client import Client
from requence._token import AccessToken
from requence._transport import repeat
from requence._transport.api import Api
from requence._transport.session import Answer as TransportAnswer
from requence._transport.session import Request
from requence.task import (
    Task,
    TaskException,
)


def test_the_body_of_finalize(server: ScriptedServer) -> None:
    given: dict[str, Any] = {"text": "Grüße", "list": [1, 2.5, None, True], "nested": {"": {}}}
    for priority in range(11):
        Task(
            "t", given, name=f"№ {priority}", priority=priority, require_ack=True, client=server.client
        ).sync.finalized()
    assert [call.json for call in server.calls("finalize")] == [
        {"name": f"№ {priority}", "input": given, "priority": 10 - priority, "requireAck": True}
        for priority in range(11)
    ]


def test_the_body_of_finalize_has_every_field(server: ScriptedServer) -> None:
    Task("t", client=server.client).sync.finalized()
    [call] = server.calls("finalize")
    assert call.json == {"name": None, "input": {}, "priority": 5, "requireAck": False}
    assert call.headers["content-type"] == "application/json"


@pytest.mark.parametrize("value", [None, [], "text", 0, False, 1.5, [1, {"a": None}]], ids=repr)
def test_any_json_can_be_the_input(server: ScriptedServer, value: object) -> None:
    Task("t", value, client=server.client).sync.finalized()
    [call] = server.calls("finalize")
    assert call.json["input"] == value
    assert type(call.json["input"]) is type(value)


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("my-template_1.0~x", "my-template_1.0~x"),
        ("a/b", "a%2Fb"),
        ("../abort/x", "..%2Fabort%2Fx"),
        ("a?b#c", "a%3Fb%23c"),
        ("a b+c", "a%20b%2Bc"),
        ("Grüße", "Gr%C3%BC%C3%9Fe"),
        ("50%25", "50%2525"),
    ],
)
def test_the_template_is_one_segment_of_the_path(server: ScriptedServer, name: str, segment: str) -> None:
    Task(name, client=server.client).sync.finalized()
    [call] = server.calls("prepare")
    assert call.path == f"/api/task/prepare/{segment}"


async def test_every_request_is_authorized_and_well_formed(server: ScriptedServer) -> None:
    server.always("watch", Stream([FIRST, end(2, "done", requireAck=True)]))
    server.script("watch", Stream())
    server.script("prepare", prepared(server, "a/b"))
    server.script("finalize", started(server, "a/b"))
    task = Task("t", client=server.client)
    await task.protect()
    await task.abort('Grüße \N{PARTY POPPER} "quoted"\n')
    await task.abort()
    await task.result
    by_operation = {call.operation: call for call in server.calls()}
    assert set(by_operation) == {"prepare", "finalize", "watch", "get", "ack", "abort", "protect"}
    for call in server.calls():
        assert call.headers["authorization"] == f"Bearer {BEARER}"
        assert call.headers["user-agent"].startswith("requence-python/")
        assert "transfer-encoding" not in call.headers
        if call.method == "POST":
            assert call.headers["content-length"] == str(len(call.body))
    for operation in ("prepare", "protect", "ack"):
        assert by_operation[operation].headers["content-length"] == "0"
        assert "content-type" not in by_operation[operation].headers
    with_reason, without = server.calls("abort")
    assert with_reason.body == 'Grüße \N{PARTY POPPER} "quoted"\n'.encode()
    assert without.body == b""
    assert with_reason.path == "/api/task/abort/a%2Fb"
    assert by_operation["protect"].path == "/api/task/protect/a%2Fb"
    assert by_operation["ack"].path == "/api/task/ack/a%2Fb"
    assert by_operation["get"].path == "/api/task/a%2Fb"
    assert by_operation["finalize"].path == "/start-here/a/b?key=%2F1"
    assert by_operation["watch"].path == "/follow-here/a/b?key=%2F2"
    assert by_operation["watch"].headers["accept"] == "text/event-stream"
    assert by_operation["watch"].headers["content-type"] == "application/json"


def test_the_base_url_may_have_a_path_and_the_others_may_be_elsewhere(server: ScriptedServer) -> None:
    with ScriptedServer() as elsewhere:
        finalize_url = elsewhere.url.removesuffix("/api") + "/start-here/it?x=a%20b&y"
        server.script("prepare", prepared(server, "it", finalizeUrl=finalize_url))
        elsewhere.script("finalize", started(server, "it"))
        assert Task("t", client=server.client).sync.result.result == "done"
        [call] = elsewhere.calls()
        assert call.path == "/start-here/it?x=a%20b&y"
        assert call.headers["authorization"] == f"Bearer {BEARER}"
    assert server.operations == ["prepare", "watch"]


class _Wire:
    """Stands in for the session: answers from a list, keeps what was to be sent."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.sent: list[Request] = []
        self._answers = iter(answers)

    async def exchange(self, request: Request, client: Client) -> TransportAnswer:
        self.sent.append(request)
        return TransportAnswer(200, {}, json.dumps(next(self._answers)).encode())


@pytest.mark.parametrize("url", ["http://h/x", "HTTP://h/x", "ws://h/x", "//h/x", "https:///x"])
async def test_the_bearer_is_not_sent_without_encryption(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    wire = _Wire({"taskId": "1", "finalizeUrl": url})
    monkeypatch.setattr(repeat, "session", lambda: wire)
    api = Api(AccessToken(BEARER, "https://h/api"), Client())
    with pytest.raises(TaskException, match="finalizeUrl"):
        await api.prepare("t")
    with pytest.raises(TaskException, match=r"urls\.watch"):
        api.watch_request(url, since=None, last_position=None)
    assert [request.url for request in wire.sent] == ["https://h/api/task/prepare/t"]


def test_an_encrypted_url_is_used_under_either_base() -> None:
    for base in ("http://h/api", "https://h/api"):
        request = Api(AccessToken(BEARER, base), Client()).watch_request(
            "https://other/x", since=None, last_position=7
        )
        assert request.headers["Authorization"] == f"Bearer {BEARER}"
        assert json.loads(request.body or b"") == {"since": None, "lastPosition": 7}
        assert BEARER not in repr(request)
