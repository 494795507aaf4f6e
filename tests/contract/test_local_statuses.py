"""The local server answers what the contract says that it answers, for each operation and over a real socket."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.conftest import greeting
from tests.contract.existing import existing, templates
from tests.local.api import Api

from requence._token import decode_access_token
from requence.local import LocalServer

CONTRACT = yaml.safe_load((Path(__file__).parents[2] / "openapi" / "requence.yaml").read_text("utf-8"))
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in CONTRACT["paths"].items()
    for method, operation in methods.items()
    if method in ("get", "post")
]
WITHOUT_TOKEN = [entry for entry in OPERATIONS if entry[2].get("security") == []]
WITH_TOKEN = [entry for entry in OPERATIONS if entry not in WITHOUT_TOKEN]

BODIES = [
    b"",
    b"{}",
    b"[",
    b'{"since": 5}',
    b'{"since": null}',
    b'{"since": "2026-01-31T12:00:00Z"}',
    b'{"name": null, "input": {}, "priority": 5, "requireAck": false}',
]


def name(value: Any) -> str:
    return "" if isinstance(value, str) else str(value["operationId"])


class Caller:
    """Sends requests to one server, each on a connection of its own."""

    def __init__(self, server: LocalServer) -> None:
        parts = urlsplit(server.url)
        self._address = parts.hostname, parts.port
        self.bearer = decode_access_token(server.access_token, source="the server").bearer

    def status(self, method: str, path: str, body: bytes = b"", bearer: str | None = None) -> int:
        headers = {"Content-Type": "application/json"}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        host, port = self._address
        connection = http.client.HTTPConnection(host or "", port, timeout=10)
        try:
            connection.request(method, re.sub(r"\{\w+\}", "no-such-thing", path), body, headers)
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with LocalServer(greeting()) as server:
        yield Caller(server)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=name)
def test_every_answer_is_one_of_the_list(
    caller: Caller, method: str, path: str, operation: dict[str, Any]
) -> None:
    allowed = set(operation["x-local-statuses"])
    bearers = [None, "wrong", caller.bearer]
    assert {caller.status(method, path, body, bearer) for body in BODIES for bearer in bearers} <= allowed


@pytest.mark.parametrize(("method", "path", "operation"), WITH_TOKEN, ids=name)
def test_without_the_token_nothing_is_answered(
    caller: Caller, method: str, path: str, operation: dict[str, Any]
) -> None:
    assert caller.status(method, path) == 401
    assert caller.status(method, path, bearer="wrong") == 401


@pytest.mark.parametrize(("method", "path", "operation"), WITHOUT_TOKEN, ids=name)
def test_where_no_token_is_wanted_none_is_looked_at(
    caller: Caller, method: str, path: str, operation: dict[str, Any]
) -> None:
    """The key in the URL is what counts, and a wrong one is told nothing."""
    answers = {caller.status(method, path, b"x", bearer) for bearer in (None, "wrong", caller.bearer)}
    assert answers == {404}


@pytest.fixture(scope="module")
def sent() -> dict[str, set[int]]:
    """The statuses of each operation's answers to a request for each reason that there is to refuse one."""
    statuses: dict[str, set[int]] = {}
    with LocalServer(*templates(), max_payload_size=1000) as server, Api(server.access_token) as api:
        server.faults.end(operation="watch_all", times=None)
        there = existing(api)

        def send(name: str, body: bytes = b"", path: str = "", **headers: str) -> None:
            [method] = [method for method, _, operation in OPERATIONS if operation["operationId"] == name]
            kind = {"Content-Type": "application/json"}
            answer = api.http.request(
                method,
                path or there.paths[name],
                content=body,
                headers={**kind, **{key.replace("_", "-"): value for key, value in headers.items()}},
            )
            statuses.setdefault(name, set()).add(answer.status_code)

        for name, path in there.paths.items():
            send(name, authorization="Bearer wrong")
            send(name, path=f"{path.rpartition('/')[0]}/no-such-thing")
        registered = api.http.post(there.paths["register_stream"], headers={"file-size": "0"}).json()["url"]
        for name in ("upload_file", "register_stream"):
            send(name, b"", file_size="x")
        send("upload_file", b"x", file_size="0")
        send("send_stream", b"x", registered)
        for name in ("finalize_task", "watch_task", "watch_all_tasks"):
            send(name, b"{")
        send("finalize_task", b" " * 1001)
        for name in there.paths:
            send(name, there.bodies.get(name, b""))
            send(name, there.bodies.get(name, b""))
        api.post("abort", there.running)
    return statuses


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=name)
def test_every_status_of_the_list_is_answered(
    sent: dict[str, set[int]], method: str, path: str, operation: dict[str, Any]
) -> None:
    """One that never comes would be waited for, and explained to readers, in vain."""
    assert set(operation["x-local-statuses"]) - sent.get(operation["operationId"], set()) == set()
