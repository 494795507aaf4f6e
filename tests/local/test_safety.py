"""Who is let in, and what hostile requests come to: an answer or a closed connection, never a dead server."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator

import httpx
import pytest
from tests.conftest import greeting
from tests.local.api import Api

from requence._token import decode_access_token, encode_access_token
from requence.exceptions import ConfigurationError
from requence.local import LocalServer
from requence.local.address import Address


@pytest.fixture(scope="module")
def running() -> Iterator[LocalServer]:
    with LocalServer(greeting()) as server:
        yield server


def raw(server: LocalServer, request: bytes) -> bytes:
    """Sends bytes as they are; returns what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=20) as connection:
        answer = b""
        with contextlib.suppress(OSError):  # the server hangs up before it has read everything
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65_536):
                answer += chunk
        return answer


def asked(server: LocalServer, path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {server.url[7:]}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def status(answer: bytes) -> int | None:
    return int(answer.split(b" ", 2)[1]) if answer else None


@pytest.fixture
def alive(running: LocalServer, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After the test the server works as before, and had no error."""
    yield
    with Api(running.access_token) as api:
        assert api.run("my-template", {})[-1].name == "taskEnd"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/static/../../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static/page.css/..",
        "//static/page.css",
        "/tasks/../static/page.css",
        "/task//types/python",
        "/task/types/python/",
        "/tasks/%00",
        "/tasks/" + "%2e%2e%2f" * 20,
        "/files/%ff%fe",
        "/é",
        "/%",
        "/" + "a" * 60_000,
        "*",
        "http://evil.example/task/x",
    ],
    ids=lambda path: str(path)[:30],
)
def test_tricks_with_paths_find_nothing(running: LocalServer, path: str) -> None:
    answer = raw(running, asked(running, path))
    assert status(answer) in (400, 401, 404)
    assert b"Traceback" not in answer
    assert b"root:" not in answer


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize(
    ("request_text", "statuses"),
    [
        (b"", {None}),
        (b"\0\0\0\0\r\n\r\n", {400}),
        (b"GET / HTTP/9.9\r\n\r\n", {400, 403}),
        (b"GET / HTTP/1.1\r\n\r\n", {400}),  # no host
        (b"GET /" + b"a" * 10_000_000 + b" HTTP/1.1\r\n\r\n", {400, None}),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 100_000 + b"\r\n", {400, 403, None}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 10_000_000 + b"\r\n\r\n", {400, None}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", {400, 403}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", {400}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", {400}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", {400}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {400, 403}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400, None}),  # TLS
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 403}),
    ],
    ids=lambda value: str(value[:40]) if isinstance(value, bytes) else "",
)
def test_what_is_no_request_is_refused(
    running: LocalServer, request_text: bytes, statuses: set[int | None]
) -> None:
    assert status(raw(running, request_text)) in statuses


@pytest.mark.usefixtures("alive")
def test_a_request_in_the_body_of_another_is_not_one(running: LocalServer) -> None:
    """Both ways to tell a length at once: whichever a proxy in between believes."""
    bearer = decode_access_token(running.access_token, source="the server").bearer
    hidden = asked(running, "/task/types/python", f"Authorization: Bearer {bearer}")
    request = asked(
        running,
        "/task/prepare/x",
        f"Content-Length: {len(hidden) + 5}",
        "Transfer-Encoding: chunked",
        method="POST",
    )
    answer = raw(running, request + b"0\r\n\r\n" + hidden)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"TypedDict" not in answer
    assert b"my_template" not in answer


@pytest.mark.usefixtures("alive")
def test_many_connections_that_say_nothing_do_no_harm(running: LocalServer) -> None:
    address = ("127.0.0.1", int(running.url.rsplit(":", 1)[1]))
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(socket.create_connection(address, timeout=20))
            connection.sendall(b"GET / HTTP/1.1\r\nHo")
        with Api(running.access_token) as api:
            assert api.run("my-template", {})[-1].name == "taskEnd"


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "GET", "POST", "TRACE", "CONNECT"])
def test_no_other_site_may_read_an_answer(running: LocalServer, method: str) -> None:
    headers = ("Origin: https://evil.example", "Access-Control-Request-Method: POST")
    answer = raw(running, asked(running, "/task/prepare/my-template", *headers, method=method)).lower()
    assert answer
    assert b"access-control-" not in answer


# --- the network -------------------------------------------------------------------------------


@pytest.fixture
def open_server(caplog: pytest.LogCaptureFixture) -> Iterator[LocalServer]:
    with LocalServer(greeting(), host="0.0.0.0", allow_network=True) as server:
        yield server


def test_it_takes_an_explicit_word_and_warns(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigurationError, match="this machine only") as refused:
        LocalServer(greeting(), host="0.0.0.0").__enter__()
    assert "allow_network=True" in str(refused.value.hint)
    assert caplog.records == []
    with LocalServer(greeting(), host="0.0.0.0", allow_network=True) as server:
        [warning] = caplog.records
        assert warning.levelno == logging.WARNING
        assert "OPEN TO OTHER MACHINES" in warning.getMessage()
        assert server.access_token not in warning.getMessage()
    caplog.clear()
    with LocalServer(greeting(), allow_network=True):  # allowed, and not used
        assert caplog.records == []


@pytest.mark.parametrize("host", ["192.0.2.7", "192.0.2.7:8080", "[2001:db8::7]:80", "localhost:1234"])
def test_in_a_network_it_gives_urls_as_it_was_asked(open_server: LocalServer, host: str) -> None:
    """Behind a container's port mapping, only the client knows the address."""
    with Api(open_server.access_token) as api:
        answer = api.http.post("/task/prepare/my-template", headers={"Host": host}).json()
        assert answer["finalizeUrl"].startswith(f"http://{host}/task/finalize/")
        assert answer["fileUrls"]["uploadUrl"].startswith(f"http://{host}/files/upload/")
        body: dict[str, object] = {"name": None, "input": {}, "priority": 5, "requireAck": False}
        started = api.http.post(
            f"/task/finalize/{answer['taskId']}", json=body, headers={"Host": host}
        ).json()
        assert started["urls"]["watch"].startswith(f"http://{host}/")
        assert started["urls"]["show"].startswith(f"http://{host}/")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:80", "a@192.0.2.7", "192.0.2.7/x", "[::1"]
)
def test_in_a_network_foreign_names_are_still_refused(open_server: LocalServer, host: str) -> None:
    with Api(open_server.access_token) as api:
        assert api.http.get("/task/x", headers={"Host": host}).status_code == 403


def test_in_a_network_it_works_from_this_machine(open_server: LocalServer) -> None:
    assert open_server.url.startswith("http://127.0.0.1:")
    with Api(open_server.access_token) as api:
        assert api.run("my-template", {})[-1].name == "taskEnd"
    bearer = decode_access_token(open_server.access_token, source="the server").bearer
    by_name = encode_access_token(bearer, open_server.url.replace("127.0.0.1", "localhost"))
    with Api(by_name) as api:
        assert api.run("my-template", {})[-1].name == "taskEnd"


def test_the_port_counts_on_this_machine_and_80_need_not_be_named() -> None:
    assert Address("127.0.0.1", 80).accepts("127.0.0.1")
    assert Address("localhost", 80).accepts("localhost:80")
    assert not Address("127.0.0.1", 8080).accepts("127.0.0.1")
    assert not Address("127.0.0.1", 8080).accepts("192.0.2.7:8080")
    assert Address("::", 8080, in_network=True).url == "http://[::1]:8080"


def test_the_table_of_pages_and_files_tells_nothing_to_strangers(running: LocalServer) -> None:
    with Api(running.access_token) as api, httpx.Client(base_url=running.url, verify=False) as stranger:
        task_id = api.start("my-template", {})
        for path in (f"/tasks/{task_id}", f"/tasks/{task_id}?key=", f"/tasks/{task_id}?key={'0' * 32}"):
            answer = stranger.get(path)
            assert (answer.status_code, answer.text) == (404, "There is nothing here")
