"""Requests and streams through an HTTP proxy, over real sockets: what it sees, what not, and its failures."""

from __future__ import annotations

import logging
import pickle
import traceback
from base64 import b64encode
from pathlib import Path

import pytest
from tests.http_proxy import HTTPProxy
from tests.scripted_server import (
    BEARER,
    Answer,
    Call,
    Gate,
    ScriptedServer,
    Stream,
    end,
    event,
    from_position,
)
from tests.transport.conftest import Authority

from requence.exceptions import ConfigurationError, RequenceUnreachableException, TaskException
from requence.task import Task, TaskWatcher, get_task

HOST = "service.test"  # a name that nothing but the proxies of these tests can reach
PASSWORD = "pass:word/€"
CREDENTIALS = "user:pass%3Aword%2F%E2%82%AC"
PACKED = b64encode(f"user:{PASSWORD}".encode()).decode()


def texts_of(error: BaseException) -> list[str]:
    """Returns everything that an error and those behind it can show."""
    shown = [*traceback.format_exception(error), repr(pickle.dumps(error))]
    link: BaseException | None = error
    while link is not None:
        shown += [str(link), repr(link), repr(link.args), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return shown


def test_requests_and_streams_go_through_the_proxy() -> None:
    with ScriptedServer(host=HOST) as server, HTTPProxy() as proxy:
        server.always("watch", from_position(event(1, "taskStart"), end(2, "done")))
        task = Task("t", client=server.client_with(proxy=proxy.url))
        assert task.sync.result.result == "done"
        assert [update.type for update in task.sync.updates] == ["taskStart", "taskEnd"]
        assert server.operations == ["prepare", "finalize", "watch", "watch"]
    assert [(one.method, one.target) for one in proxy.asked] == [
        ("POST", f"{server.url}/task/prepare/t"),
        ("POST", f"{server.url.removesuffix('/api')}/start-here/task-1?key=%2F1"),
        ("POST", f"{server.url.removesuffix('/api')}/follow-here/task-1?key=%2F2"),
        ("POST", f"{server.url.removesuffix('/api')}/follow-here/task-1?key=%2F2"),
    ]
    assert {call.headers["authorization"] for call in server.calls()} == {f"Bearer {BEARER}"}


def test_user_and_password_are_for_the_proxy_only() -> None:
    with ScriptedServer(host=HOST) as server, HTTPProxy(user="user", password=PASSWORD) as proxy:
        client = server.client_with(proxy=proxy.url_for(CREDENTIALS))
        assert Task("t", client=client).sync.result.result == "done"
    assert {one.headers["proxy-authorization"] for one in proxy.asked} == {f"Basic {PACKED}"}
    for call in server.calls():
        assert "proxy-authorization" not in call.headers
        assert call.headers["authorization"] == f"Bearer {BEARER}"


def test_an_encrypted_request_goes_through_a_tunnel_that_learns_nothing(authority: Authority) -> None:
    with (
        ScriptedServer(host=HOST, tls=authority.server(HOST)) as server,
        HTTPProxy(user="user", password=PASSWORD) as proxy,
    ):
        client = server.client_with(proxy=proxy.url_for(CREDENTIALS), ca_bundle=authority.bundle)
        assert Task("t", client=client).sync.result.result == "done"
        assert server.operations == ["prepare", "finalize", "watch"]
    [tunnel] = proxy.asked  # which the stream has taken over from the calls
    where = server.url.removeprefix("https://").removesuffix("/api")
    assert (tunnel.method, tunnel.target) == ("CONNECT", where)
    assert tunnel.headers["proxy-authorization"] == f"Basic {PACKED}"
    assert "authorization" not in tunnel.headers
    assert BEARER not in tunnel.raw
    assert all(BEARER.encode() not in begin for begin in proxy.tunnelled)
    for call in server.calls():
        assert "proxy-authorization" not in call.headers
        assert call.headers["authorization"] == f"Bearer {BEARER}"


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_connection_to_the_proxy_may_be_encrypted_too(authority: Authority, encrypted: bool) -> None:
    tls = authority.server(HOST) if encrypted else None
    with ScriptedServer(host=HOST, tls=tls) as server, HTTPProxy(tls=authority.server("localhost")) as proxy:
        client = server.client_with(proxy=proxy.url, ssl_context=authority.client())
        assert Task("t", client=client).sync.result.result == "done"
        assert proxy.url.startswith("https://")
    assert proxy.asked


def test_a_kept_connection_serves_no_client_with_another_proxy(authority: Authority) -> None:
    with (
        ScriptedServer(host=HOST, tls=authority.server(HOST)) as server,
        HTTPProxy() as first,
        HTTPProxy() as second,
    ):
        for proxy in (first, second, first):
            client = server.client_with(proxy=proxy.url, ca_bundle=authority.bundle)
            assert get_task("x", client=client).status == "running"
        other = server.client_with(proxy=first.url_for("somebody:else"), ca_bundle=authority.bundle)
        assert get_task("x", client=other).status == "running"
        assert len({call.connection for call in server.calls()}) == 3
    assert [len(proxy.asked) for proxy in (first, second)] == [2, 1]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "REQUENCE_PROXY"])
def test_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with ScriptedServer(host=HOST) as server, HTTPProxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        assert Task("t", client=server.client).sync.result.result == "done"
    assert len(proxy.asked) == 3


def test_the_proxy_of_the_environment_for_encrypted_requests(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    with ScriptedServer(host=HOST, tls=authority.server(HOST)) as server, HTTPProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.removeprefix("http://"))  # as curl takes it, too
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("REQUENCE_CA_BUNDLE", str(authority.bundle))
        assert Task("t", client=server.client).sync.result.result == "done"
    assert [one.method for one in proxy.asked] == ["CONNECT"]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "REQUENCE_PROXY"])
def test_this_machine_is_never_asked_through_a_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with ScriptedServer() as server, ScriptedServer(host="localhost") as by_name, HTTPProxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        for one in (server, by_name):
            assert Task("t", client=one.client).sync.result.result == "done"
        assert proxy.asked == []
        assert Task("t", client=server.client_with(proxy=proxy.url)).sync.result.result == "done"
    assert len(proxy.asked) == 3  # named for the client, it is for everything


def test_no_proxy_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(host="127.0.0.1.nip.invalid") as server, HTTPProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("REQUENCE_PROXY", proxy.url)
        with pytest.raises(
            RequenceUnreachableException, match=r"^http://127\.0\.0\.1\.nip\.invalid:\d+ could"
        ):
            get_task("x", client=server.client_with(proxy="", retries=0))
    assert proxy.asked == []


def test_no_request_carries_credentials_of_netrc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(
        "".join(
            f"machine {host}\n  login somebody\n  password else\n"
            for host in (HOST, "127.0.0.1", "localhost")
        )
    )
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    calls: list[Call] = []
    with HTTPProxy() as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        for host, tls in (("localhost", None), (HOST, None), (HOST, authority.server(HOST))):
            with ScriptedServer(host=host, tls=tls) as server:
                client = server.client_with(ca_bundle=authority.bundle)
                assert Task("t", client=client).sync.result.result == "done"
                calls += server.calls()
    assert {call.headers["authorization"] for call in calls} == {f"Bearer {BEARER}"}
    assert len(calls) == 9
    assert all("proxy-authorization" not in one.headers for one in proxy.asked)
    assert len(proxy.asked) == 4


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_proxy_that_is_not_there(
    free_port: int, authority: Authority, encrypted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tls = authority.server(HOST) if encrypted else None
    with ScriptedServer(host=HOST, tls=tls) as server:
        client = server.client_with(proxy=f"http://{CREDENTIALS}@127.0.0.1:{free_port}", retries=1)
        with pytest.raises(RequenceUnreachableException) as caught:
            get_task("x", client=client)
    assert caught.value.message.startswith(f"the proxy http://127.0.0.1:{free_port} could not be reached: ")
    assert caught.value.hint == "check the network, and the proxy in the argument proxy"
    for text in [*texts_of(caught.value), repr(client), *(record.getMessage() for record in caplog.records)]:
        for secret in (PASSWORD, PACKED, CREDENTIALS):
            assert secret not in text
    assert "repetition 1 of 1" in caplog.text


@pytest.mark.parametrize("name", ["HTTP_PROXY", "REQUENCE_PROXY"])
def test_a_proxy_whose_name_is_unknown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://proxy.invalid:3128")
    with ScriptedServer(host=HOST) as server, pytest.raises(RequenceUnreachableException) as caught:
        get_task("x", client=server.client_with(retries=0))
    assert caught.value.message.startswith("the proxy http://proxy.invalid:3128 could not be reached: ")
    assert (caught.value.hint or "").endswith(f"the proxy in the environment variable {name}")


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("given", [None, "user:wrong-password"])
def test_a_proxy_that_refuses_its_user(authority: Authority, encrypted: bool, given: str | None) -> None:
    tls = authority.server(HOST) if encrypted else None
    with (
        ScriptedServer(host=HOST, tls=tls) as server,
        HTTPProxy(user="user", password=PASSWORD, echo=True) as proxy,
    ):
        url = proxy.url if given is None else proxy.url_for(given)
        with pytest.raises(RequenceUnreachableException) as caught:
            Task("t", client=server.client_with(proxy=url, ca_bundle=authority.bundle)).sync.finalized()
        assert server.calls() == []
    problem = "asks for a user and a password" if given is None else "refuses its user or password"
    assert caught.value.message == f"the proxy {proxy.url} {problem} (status 407)"
    assert "http://USER:PASSWORD@HOST:PORT" in (caught.value.hint or "")
    assert len(proxy.asked) == 1, "it does not get better by asking again"
    for text in texts_of(caught.value):
        assert "wrong-password" not in text
        assert b64encode(b"user:wrong-password").decode() not in text
        assert BEARER not in text


@pytest.mark.parametrize(("status", "asked"), [(403, 1), (503, 2)])
def test_a_proxy_that_opens_no_tunnel(authority: Authority, status: int, asked: int) -> None:
    tls = authority.server(HOST)
    with (
        ScriptedServer(host=HOST, tls=tls) as server,
        HTTPProxy(refuse=status) as proxy,
        pytest.raises(RequenceUnreachableException, match=f"does not connect to {HOST}.*status {status}"),
    ):
        get_task("x", client=server.client_with(proxy=proxy.url, retries=1))
    assert len(proxy.asked) == asked


def test_a_proxy_that_repeats_what_it_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(host=HOST) as server, HTTPProxy(refuse=502, echo=True) as proxy:
        client = server.client_with(proxy=proxy.url_for(CREDENTIALS), retries=0)
        with pytest.raises(
            RequenceUnreachableException, match=r"Proxy-Authorization: Basic \[proxy password\]"
        ) as caught:
            get_task("x", client=client)
    for text in [*texts_of(caught.value), *(record.getMessage() for record in caplog.records)]:
        for secret in (PASSWORD, PACKED, BEARER):
            assert secret not in text


def test_a_stream_that_the_proxy_refuses_from_the_beginning_ends_with_that() -> None:
    with (
        ScriptedServer(host=HOST) as server,
        HTTPProxy(user="user") as proxy,
        TaskWatcher("2026-01-01", client=server.client_with(proxy=proxy.url)) as watcher,
        pytest.raises(RequenceUnreachableException, match="asks for a user and a password"),
    ):
        list(watcher.sync.updates)
    assert len(proxy.asked) == 1


def test_a_stream_that_was_open_is_opened_again_through_the_proxy() -> None:
    with ScriptedServer(host=HOST) as server, HTTPProxy() as proxy:
        server.script("watch", Stream([event(1, "taskStart")], end="reset"))
        server.always("watch", from_position(event(1, "taskStart"), end(2, "done")))
        task = Task("t", client=server.client_with(proxy=proxy.url))
        assert [update.position for update in task.sync.updates] == [1, 2]
        assert len(server.calls("watch")) == 2
    assert [one.target for one in proxy.asked[2:]] == [proxy.asked[2].target] * len(server.calls("watch"))


def test_a_proxy_that_refuses_for_a_while_costs_a_stream_nothing_that_was_open() -> None:
    with ScriptedServer(host=HOST) as server, HTTPProxy() as proxy:
        cut = Gate()
        server.script("watch", Stream([event(1, "taskStart"), cut], end="reset"))
        server.always("watch", from_position(event(1, "taskStart"), end(2, "done")))
        updates = iter(Task("t", client=server.client_with(proxy=proxy.url)).sync.updates)
        assert next(updates).type == "taskStart"
        asked, proxy.refuse = len(proxy.asked), 407
        cut.open()
        proxy.wait_until(lambda: len(proxy.asked) > asked)
        proxy.refuse = None
        assert [update.type for update in updates] == ["taskEnd"]


def test_a_proxy_of_the_environment_that_cannot_be_used_is_an_error_not_a_way_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://user:pass-word@localhost:1080")
    with ScriptedServer(host=HOST) as server, pytest.raises(ConfigurationError) as caught:
        Task("t", client=server.client)
    assert caught.value.message == (
        "The proxy in the environment variable ALL_PROXY is a SOCKS proxy, which is not supported"
    )
    assert all("pass-word" not in text for text in texts_of(caught.value))


def test_an_answer_407_of_the_service_itself_is_the_services() -> None:
    with ScriptedServer() as server:
        server.always("get", Answer(407, "odd"))
        with pytest.raises(TaskException) as caught:
            get_task("x", client=server.client)
    assert (caught.value.message, caught.value.status_code) == ("odd", 407)
