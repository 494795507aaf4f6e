"""Certificates of an authority of one's own, over real sockets: trusted where that is said, else refused."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from tests.http_proxy import HTTPProxy
from tests.scripted_server import (
    BEARER,
    ScriptedServer,
    Stream,
    end,
    event,
    from_position,
    prepared,
    started,
)
from tests.transport.conftest import Authority

from requence import Client
from requence._client import reach_of
from requence._token import encode_access_token
from requence.exceptions import RequenceUnreachableException, TaskException
from requence.task import Task, TaskWatcher, get_task


@pytest.fixture
def server(authority: Authority) -> Iterator[ScriptedServer]:
    with ScriptedServer(host="localhost", tls=authority.server("localhost")) as server:
        yield server


def test_a_bundle_is_trusted_by_requests_and_streams(server: ScriptedServer, authority: Authority) -> None:
    server.script("watch", Stream([event(1, "taskStart")], end="reset"))
    server.always("watch", from_position(event(1, "taskStart"), end(2, "done")))
    task = Task("t", client=server.client_with(ca_bundle=authority.bundle))
    assert [update.type for update in task.sync.updates] == ["taskStart", "taskEnd"]
    assert server.operations == ["prepare", "finalize", "watch", "watch"]


@pytest.mark.parametrize("way", ["context", "folder", "variable"])
def test_other_ways_to_say_what_is_trusted(
    server: ScriptedServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    settings: dict[str, Any] = {}
    if way == "context":
        settings["ssl_context"] = authority.client()
    elif way == "folder":
        (tmp_path / "our.crt").write_bytes(authority.bundle.read_bytes())
        (tmp_path / "readme.txt").write_text("the certificates of our authorities")
        settings["ca_bundle"] = tmp_path
    else:
        monkeypatch.setenv("REQUENCE_CA_BUNDLE", str(authority.bundle))
    assert Task("t", client=server.client_with(**settings)).sync.result.result == "done"


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "Https"])
@pytest.mark.parametrize("operation", ["prepare", "finalize"])
def test_the_token_never_leaves_the_encryption(
    server: ScriptedServer, authority: Authority, scheme: str, operation: Literal["prepare", "finalize"]
) -> None:
    """Also where the service itself names an http URL, and however the token writes its own."""
    with ScriptedServer() as clear:
        root = clear.url.removesuffix("/api")
        if operation == "prepare":
            server.always("prepare", prepared(server, "task-1", finalizeUrl=f"{root}/start-here/task-1"))
        else:
            server.always("finalize", started(server, "task-1", urls={"watch": f"{root}/follow-here/task-1"}))
        token = encode_access_token(BEARER, server.url.replace("https", scheme))
        with pytest.raises(TaskException, match="without encryption: the access token is not sent there"):
            _ = Task("t", client=Client(token, ssl_context=authority.client())).sync.result
        assert clear.calls() == []


def test_what_is_not_trusted_is_told_at_once(
    server: ScriptedServer, authority: Authority, other_authority: Authority
) -> None:
    for bundle in (None, other_authority.bundle):
        with HTTPProxy() as proxy:  # which counts the connections
            client = server.client_with(ca_bundle=bundle, proxy=proxy.url)
            with pytest.raises(RequenceUnreachableException) as caught:
                Task("t", client=client).sync.finalized()
            assert len(proxy.asked) == 1, "it does not get better by asking again"
        where = server.url.removesuffix("/api")
        assert caught.value.message.startswith(
            f"{where} (through the proxy {proxy.url}) could not be reached: "
        )
        assert "its certificate is not trusted (" in caught.value.message
        assert "Client(ca_bundle=…)" in (caught.value.hint or "")
        assert "REQUENCE_CA_BUNDLE" in (caught.value.hint or "")
    assert server.calls() == []
    assert get_task("x", client=server.client_with(ca_bundle=authority.bundle)).status == "running"


def test_what_is_not_trusted_ends_a_stream_that_was_never_open(server: ScriptedServer) -> None:
    with (
        TaskWatcher("2026-01-01", client=server.client) as watcher,
        pytest.raises(RequenceUnreachableException, match="its certificate is not trusted") as caught,
    ):
        list(watcher.sync.updates)
    assert "REQUENCE_CA_BUNDLE" in (caught.value.hint or "")


def test_a_certificate_for_another_host(authority: Authority) -> None:
    with (
        ScriptedServer(host="localhost", tls=authority.server("elsewhere.test")) as server,
        pytest.raises(
            RequenceUnreachableException, match="certificate is not valid for 'localhost'"
        ) as caught,
    ):
        get_task("x", client=server.client_with(ca_bundle=authority.bundle))
    assert caught.value.hint == "check the host: the certificate is for another one"


def test_the_certificate_of_a_proxy_that_is_not_trusted(
    authority: Authority, other_authority: Authority
) -> None:
    with (
        HTTPProxy(tls=other_authority.server("localhost")) as proxy,
        ScriptedServer(host="service.test") as server,
    ):
        client = server.client_with(proxy=proxy.url, ca_bundle=authority.bundle)
        with pytest.raises(RequenceUnreachableException) as caught:
            get_task("x", client=client)
    assert caught.value.message.startswith(
        f"the proxy {proxy.url} could not be reached: its certificate is not"
    )


def test_no_connection_is_shared_by_clients_that_trust_differently(
    server: ScriptedServer, authority: Authority, other_authority: Authority
) -> None:
    trusting = server.client_with(ca_bundle=authority.bundle)
    assert get_task("x", client=trusting).status == "running"
    assert server.open_connections == {1}, "it is kept for the next request of that client"
    for client in (server.client, server.client_with(ca_bundle=other_authority.bundle)):
        with pytest.raises(RequenceUnreachableException, match="not trusted"):
            get_task("x", client=client)
    assert get_task("x", client=server.client_with(ca_bundle=authority.bundle)).status == "running"
    assert {call.connection for call in server.calls()} == {1}, (
        "an equal client trusts the same, by one context"
    )


def test_a_bundle_is_read_once_for_all_clients_that_name_it(authority: Authority, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.bundle.read_bytes())
    first, second = Client(ca_bundle=bundle), Client(ca_bundle=str(bundle), retries=1)
    assert isinstance(reach_of(first).tls, ssl.SSLContext)
    assert reach_of(first).tls is reach_of(second).tls
    bundle.write_bytes(2 * authority.bundle.read_bytes())
    assert reach_of(Client(ca_bundle=bundle)).tls is not reach_of(first).tls
