"""Files, streams and claim checks: what goes in, what comes out, and what a URL opens."""

from __future__ import annotations

import io
import json
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.local.api import Api, Connect
from tests.local.contract import fits

from requence.exceptions import ConfigurationError, UsageError
from requence.local import LocalServer, NodeContext, TaskTemplate, file_api

FRAMED = {"x-requence-stream-protocol": "framed"}
LIMIT = 200_000


def echo() -> TaskTemplate:
    template = TaskTemplate("echo")
    template.node("n")(lambda ctx: ctx.input)
    return template


def reader() -> TaskTemplate:
    """Says what is in the file that its input refers to."""
    template = TaskTemplate("reader")

    @template.node
    def read(ctx: NodeContext) -> str:
        with ctx.file(ctx.input) as content:
            return content.read().decode()

    return template


def checked() -> TaskTemplate:
    template = TaskTemplate("checked", {"type": "object", "required": ["text"], "minProperties": 2})
    template.node("n")(lambda ctx: len(ctx.input["text"]))
    return template


@pytest.fixture(scope="module")
def running() -> Iterator[LocalServer]:
    with LocalServer(echo(), reader(), checked(), max_file_size=LIMIT, max_payload_size=10_000) as server:
        yield server


@pytest.fixture
def api(running: LocalServer, connect: Connect) -> Api:
    return connect(running)


@pytest.fixture
def stranger() -> Iterator[httpx.Client]:
    """Has no token: whoever knows the URLs."""
    with httpx.Client(verify=False, timeout=20) as client:
        yield client


class Prepared:
    """A reserved task, and the places for its files."""

    def __init__(self, api: Api, template: str = "echo") -> None:
        answer = api.http.post(f"/task/prepare/{template}").json()
        assert fits("PreparedTask", answer)
        self.id: str = answer["taskId"]
        self.limits: dict[str, int] = answer["limits"]
        self.upload_url: str = answer["fileUrls"]["uploadUrl"]
        self.stream_url: str = answer["fileUrls"]["streamUrl"]


def uploaded(
    stranger: httpx.Client, url: str, content: bytes, mime: str = "text/plain", **headers: str
) -> dict[str, Any]:
    answer = stranger.post(url, content=content, headers={"Content-Type": mime, **headers})
    assert answer.status_code == 200, answer.text
    assert fits("UploadedFile", answer.json())
    received: dict[str, Any] = answer.json()
    return received


def registered(stranger: httpx.Client, url: str, mime: str = "text/csv", **headers: str) -> str:
    answer = stranger.post(url, headers={"Content-Type": mime, **headers})
    assert answer.status_code == 200, answer.text
    assert fits("RegisteredStream", answer.json())
    assert answer.json()["mime"] == mime
    return str(answer.json()["url"])


@pytest.mark.parametrize("content", [b"", b"hello", b"\0\xff" * 50_000, b"x" * LIMIT], ids=len)
@pytest.mark.parametrize("mime", ["application/pdf", "text/plain; charset=utf-8", "x"])
def test_a_file_comes_back_as_it_went_in(api: Api, stranger: httpx.Client, content: bytes, mime: str) -> None:
    prepared = Prepared(api)
    assert prepared.limits == {"maxPayloadSize": 10_000, "maxFileSize": LIMIT}
    answer = uploaded(stranger, prepared.upload_url, content, mime)
    assert (answer["mime"], answer["size"]) == (mime, len(content))
    for client in (stranger, api.http):
        back = client.get(answer["url"])
        assert (back.status_code, back.content, back.headers["content-type"]) == (200, content, mime)
        assert back.headers["content-length"] == str(len(content))


def test_without_a_media_type_it_is_just_bytes(api: Api, stranger: httpx.Client) -> None:
    answer = stranger.post(Prepared(api).upload_url, content=b"x", headers={"Content-Type": ""})
    assert answer.json()["mime"] == "application/octet-stream"


def test_a_browser_runs_nothing_of_it(api: Api, stranger: httpx.Client) -> None:
    html = b"<script>alert(1)</script>"
    prepared = Prepared(api)
    stream = registered(stranger, prepared.stream_url, "text/html")
    stranger.post(stream, content=html)
    for url in (uploaded(stranger, prepared.upload_url, html, "text/html")["url"], stream):
        headers = stranger.get(url).headers
        assert headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


def test_the_limits_count_and_so_does_the_cap_that_the_sender_asks_for(
    api: Api, stranger: httpx.Client
) -> None:
    url = Prepared(api).upload_url
    assert stranger.post(url, content=b"x" * (LIMIT + 1)).status_code == 413
    assert stranger.post(url, content=b"x" * 11, headers={"file-size": "10"}).status_code == 413
    assert uploaded(stranger, url, b"x" * 10, **{"file-size": "10"})["size"] == 10
    # A larger cap does not lift the limit.
    for cap in (str(LIMIT * 2), "9" * 5000):
        over = {"file-size": cap}
        assert stranger.post(url, content=b"x" * (LIMIT + 1), headers=over).status_code == 413
        assert stranger.post(url, content=b"x", headers=over).status_code == 200

    def unannounced() -> Iterator[bytes]:
        for _ in range(LIMIT // 1000 + 1):
            yield b"x" * 1000

    refused = stranger.post(url, content=unannounced())
    assert refused.status_code == 413
    assert str(LIMIT) in refused.text


@pytest.mark.parametrize("cap", ["", "-1", "1.5", "ten", "1e3"])
def test_a_cap_that_is_no_number_is_400(api: Api, stranger: httpx.Client, cap: str) -> None:
    prepared = Prepared(api)
    for url in (prepared.upload_url, prepared.stream_url):
        answer = stranger.post(url, content=b"", headers={"file-size": cap})
        assert (answer.status_code, answer.text[:9]) == (400, "file-size")


def test_a_body_without_an_end_is_not_read_for_ever(api: Api, running: LocalServer) -> None:
    path = Prepared(api).upload_url.removeprefix(running.url)
    with socket.create_connection(
        ("127.0.0.1", int(running.url.rsplit(":", 1)[1])), timeout=30
    ) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: {running.url[7:]}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        sent = 0
        with suppress(ConnectionError):  # the server hangs up
            while sent < 1000:
                connection.sendall(chunk)
                sent += 1
    assert sent < 200


def test_large_files_do_not_lie_in_memory(connect: Connect, stranger: httpx.Client) -> None:
    size = 48 * 2**20
    block = b"x" * 2**16

    def content() -> Iterator[bytes]:
        for _ in range(size // len(block)):
            yield block

    with LocalServer(echo()) as server:
        url = Prepared(connect(server)).upload_url
        tracemalloc.start()
        try:
            answer = stranger.post(url, content=content()).json()
            assert answer["size"] == size
            with stranger.stream("GET", answer["url"]) as back:
                assert sum(len(chunk) for chunk in back.iter_raw(2**16)) == size
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < size / 8


def test_a_key_opens_only_what_it_names(api: Api, stranger: httpx.Client, running: LocalServer) -> None:
    one, other = Prepared(api), Prepared(api)
    file = uploaded(stranger, one.upload_url, b"1")["url"]
    second = uploaded(stranger, one.upload_url, b"2")["url"]
    stream = registered(stranger, one.stream_url)
    upload_key, register_key, file_key, second_key, stream_key, other_key = (
        url.rsplit("/", 1)[1]
        for url in (one.upload_url, one.stream_url, file, second, stream, other.upload_url)
    )
    spliced = f"{second_key.split('.')[0]}.{file_key.split('.')[1]}"
    for method, path in [
        ("POST", f"/files/upload/{register_key}"),
        ("POST", f"/files/upload/{file_key}"),
        ("POST", f"/files/upload/{one.id}"),
        ("POST", f"/files/upload/{one.id}.{other_key.split('.')[1]}"),
        ("POST", f"/streams/register/{upload_key}"),
        ("POST", f"/streams/{file_key}"),
        ("POST", f"/streams/{register_key}"),
        ("GET", f"/streams/{file_key}"),
        ("GET", f"/files/{stream_key}"),
        ("GET", f"/files/{upload_key}"),
        ("GET", f"/files/{spliced}"),
        ("GET", f"/files/{file_key[:-1]}"),
        ("GET", f"/files/{file_key}0"),
        ("GET", f"/files/{file_key.upper()}"),
        ("GET", f"/files/{file_key.split('.')[0]}."),
        ("GET", "/files/."),
        ("GET", "/files/%2e%2e"),
        ("GET", "/files/%2e%2e%2fmeta"),
        ("GET", "/files/../files"),
        ("GET", f"/files/%00.{file_key.split('.')[1]}"),
        ("GET", "/files/%ff"),
        ("GET", "/files/é"),
    ]:
        # The token changes nothing: who has it still needs the key.
        for client in (stranger, api.http):
            answer = client.request(method, f"{running.url}{path}")
            assert (path, answer.status_code) == (path, 404)
            assert file_key not in answer.text


def test_keys_are_long_and_differ(api: Api) -> None:
    keys = {Prepared(api).upload_url.rsplit(".", 1)[1] for _ in range(20)}
    assert len(keys) == 20
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in keys)


def test_once_a_task_is_started_it_takes_no_more(api: Api, stranger: httpx.Client) -> None:
    prepared = Prepared(api)
    assert api.finalize(prepared.id).status_code == 200
    assert stranger.post(prepared.upload_url, content=b"x").status_code == 404
    assert stranger.post(prepared.stream_url).status_code == 404


def test_a_handler_reads_what_was_uploaded(api: Api, stranger: httpx.Client) -> None:
    prepared = Prepared(api, "reader")
    answer = uploaded(stranger, prepared.upload_url, "Grüße".encode())
    reference = {"__REQUENCE_type": "RequenceFile", **answer}
    assert api.finalize(prepared.id, reference).status_code == 200
    events = list(api.watch(prepared.id))
    assert events[0].payload["input"] == reference  # as it was sent
    assert events[-1].payload["result"] == "Grüße"


def test_a_sub_task_reads_the_files_of_the_task_at_the_top(connect: Connect, stranger: httpx.Client) -> None:
    outer = TaskTemplate("outer")
    outer.subtask("inner", reader())
    with LocalServer(outer) as server:
        api = connect(server)
        prepared = Prepared(api, "outer")
        answer = uploaded(stranger, prepared.upload_url, b"for both")
        assert api.finalize(prepared.id, answer).status_code == 200
        assert list(api.watch(prepared.id))[-1].payload["result"] == "for both"


def test_a_handler_reads_a_stream_that_is_complete(api: Api, stranger: httpx.Client) -> None:
    prepared = Prepared(api, "reader")
    url = registered(stranger, prepared.stream_url)
    assert stranger.post(url, content=iter([b"a,", b"b"])).status_code == 200
    reference = {"__REQUENCE_type": "RequenceStream", "url": url, "mime": "text/csv"}
    assert api.finalize(prepared.id, reference).status_code == 200
    assert list(api.watch(prepared.id))[-1].payload["result"] == "a,b"


@pytest.mark.parametrize(
    "reference",
    [
        None,
        {"__REQUENCE_type": "RequenceFile"},
        {"url": 5},
        {"url": "https://example.org/files/x.y"},
        {"url": "/etc/passwd"},
        {"url": "file:///etc/passwd"},
        {"url": "http://[/files/x.y"},
        "nonsense",
    ],
)
def test_what_is_no_file_of_this_server_fails_the_node(api: Api, reference: object) -> None:
    [*_, failed, ended] = api.run("reader", reference)
    assert (failed.name, ended.name) == ("nodeError", "taskError")
    assert failed.payload["error"]


def test_a_handler_is_tested_without_a_server() -> None:
    ctx = NodeContext("any", open_file=lambda reference: io.BytesIO(f"{reference}".encode()))
    with ctx.file(ctx.input) as content:
        assert content.read() == b"any"
    with pytest.raises(UsageError, match="open_file="):
        NodeContext("any").file("any")


# --- streams ---------------------------------------------------------------------------------------------


def frames(content: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while content:
        size = int.from_bytes(content[1:5], "big")
        assert len(content) >= 5 + size
        found.append((content[0], content[5 : 5 + size]))
        content = content[5 + size :]
    return found


def joined(found: list[tuple[int, bytes]]) -> bytes:
    return b"".join(payload for kind, payload in found if kind == 0)


@pytest.mark.parametrize("chunks", [[], [b"hi"], [b"a", b"", b"b" * 100_000]], ids=len)
def test_a_stream_comes_back_plain_and_framed(api: Api, stranger: httpx.Client, chunks: list[bytes]) -> None:
    url = registered(stranger, Prepared(api).stream_url)
    # The published client sends this type here; it does not count.
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert stranger.post(url, content=iter(chunks), headers=form).status_code == 200
    plain, framed = stranger.get(url), stranger.get(url, headers=FRAMED)
    assert plain.content == b"".join(chunks)
    assert "x-requence-stream-protocol" not in plain.headers
    assert plain.headers["content-type"] == framed.headers["content-type"] == "text/csv"
    assert framed.headers["x-requence-stream-protocol"] == "framed"
    found = frames(framed.content)
    assert found[-1] == (1, b"")
    assert [kind for kind, _ in found[:-1]] == [0] * (len(found) - 1)
    assert joined(found) == b"".join(chunks)


class Sending:
    """Sends the bytes of a stream piece by piece, as the test says."""

    def __init__(self, url: str) -> None:
        host, _, path = url.removeprefix("http://").partition("/")
        name, _, port = host.rpartition(":")
        self._connection = socket.create_connection((name, int(port)), timeout=20)
        self._connection.sendall(
            f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )

    def send(self, content: bytes) -> None:
        self._connection.sendall(b"%x\r\n%s\r\n" % (len(content), content))

    def end(self) -> bytes:
        self._connection.sendall(b"0\r\n\r\n")
        with self._connection:
            return self._connection.recv(1000)

    def break_off(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("headers", [{}, FRAMED], ids=["plain", "framed"])
def test_a_stream_is_read_while_it_arrives(api: Api, stranger: httpx.Client, headers: dict[str, str]) -> None:
    url = registered(stranger, Prepared(api).stream_url)
    with stranger.stream("GET", url, headers=headers) as answer:
        pieces = answer.iter_raw()
        sending = Sending(url)
        for piece in (b"one", b"two", b"three"):
            sending.send(piece)
            assert next(pieces).endswith(piece)  # before the next one was sent
        assert b" 200 " in sending.end()
        assert list(pieces) == ([frame_of(1)] if headers else [])


def frame_of(kind: int, payload: bytes = b"") -> bytes:
    return bytes([kind]) + len(payload).to_bytes(4, "big") + payload


def test_a_stream_that_breaks_off_says_so(api: Api, stranger: httpx.Client, connect: Connect) -> None:
    prepared = Prepared(api, "reader")
    url = registered(stranger, prepared.stream_url)
    with stranger.stream("GET", url, headers=FRAMED) as answer:
        pieces = answer.iter_raw()
        sending = Sending(url)
        sending.send(b"half")
        assert next(pieces) == frame_of(0, b"half")
        sending.break_off()
        assert list(pieces) == [frame_of(2, b"The sender broke off")]
    assert frames(stranger.get(url, headers=FRAMED).content) == [(0, b"half"), (2, b"The sender broke off")]
    # Plain bytes cannot say it, so the answer itself is incomplete.
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        stranger.get(url)
    assert stranger.post(url, content=b"again").status_code == 409
    # What is not complete is not given to a handler.
    assert api.finalize(prepared.id, {"url": url}).status_code == 200
    assert "not complete" in list(api.watch(prepared.id))[-1].payload["reason"]


def test_a_stream_over_its_limit_is_413_and_broken(api: Api, stranger: httpx.Client) -> None:
    url = registered(stranger, Prepared(api).stream_url, **{"file-size": "10"})
    assert stranger.post(url, content=b"x" * 11).status_code == 413
    [*_, last] = frames(stranger.get(url, headers=FRAMED).content)
    assert last == (2, b"The content is larger than 10 bytes")


def test_a_stream_is_sent_once(api: Api, stranger: httpx.Client) -> None:
    url = registered(stranger, Prepared(api).stream_url)
    sending = Sending(url)
    sending.send(b"first")
    with stranger.stream("GET", url) as answer:  # so the server has begun to take it
        assert next(answer.iter_raw()) == b"first"
        assert stranger.post(url, content=b"second").status_code == 409
        sending.end()
    assert stranger.post(url, content=b"third").status_code == 409
    assert stranger.get(url).content == b"first"


def test_a_silent_stream_shows_that_it_is_alive(
    api: Api, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_api, "_PAUSE_SECONDS", 0.02)
    url = registered(stranger, Prepared(api).stream_url)
    with stranger.stream("GET", url, headers=FRAMED) as answer:
        pieces = answer.iter_raw()
        assert [next(pieces), next(pieces)] == [frame_of(0), frame_of(0)]
        assert stranger.post(url, content=b"x").status_code == 200
        content = b"".join(pieces)
    assert joined(frames(content)) == b"x"


def test_readers_of_an_unfinished_stream_do_not_keep_the_server(
    connect: Connect, stranger: httpx.Client
) -> None:
    server = LocalServer(echo())
    with server:
        url = registered(stranger, Prepared(connect(server)).stream_url)
        with stranger.stream("GET", url, headers=FRAMED) as answer:
            begun = time.monotonic()
            server.__exit__(None, None, None)
            assert time.monotonic() - begun < 1
            assert answer.read() == frame_of(2, b"The server stops")


# --- what is kept ----------------------------------------------------------------------------------------


def test_files_lie_beside_the_database_and_come_back(
    tmp_path: Path, connect: Connect, stranger: httpx.Client
) -> None:
    db = tmp_path / "kept.db"
    with LocalServer(echo(), db=db) as server:
        prepared = Prepared(connect(server))
        kept = uploaded(stranger, prepared.upload_url, b"kept")["url"]
        whole = registered(stranger, prepared.stream_url)
        stranger.post(whole, content=b"whole")
        half = registered(stranger, prepared.stream_url)
        sending = Sending(half)
        with stranger.stream("GET", half) as answer:
            sending.send(b"half")
            assert next(answer.iter_raw()) == b"half"
            folder = tmp_path / "kept.db.files"
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert len(list(folder.iterdir())) == 3
    sending.break_off()
    (folder / "0123456789abcdef0123456789abcdef").write_bytes(b"left by a crash")
    with LocalServer(echo(), db=db):
        assert stranger.get(kept).content == b"kept"
        assert stranger.get(whole).content == b"whole"
        [first, last] = frames(stranger.get(half, headers=FRAMED).content)
        assert first == (0, b"half")
        assert last[0] == 2
        assert uploaded(stranger, prepared.upload_url, b"more")["size"] == 4
        assert len(list(folder.iterdir())) == 4


def test_a_stream_that_a_crash_cut_is_broken(
    tmp_path: Path, connect: Connect, stranger: httpx.Client
) -> None:
    """Also one whose bytes were all written, but not noted as such."""
    db = tmp_path / "kept.db"
    with LocalServer(echo(), db=db) as server:
        url = registered(stranger, Prepared(connect(server)).stream_url)
        stranger.post(url, content=b"all")
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE files SET size = NULL")
    with LocalServer(echo(), db=db):
        assert frames(stranger.get(url, headers=FRAMED).content) == [
            (0, b"all"),
            (2, b"The server stopped meanwhile"),
        ]


def test_files_of_tasks_that_are_gone_go(tmp_path: Path, connect: Connect, stranger: httpx.Client) -> None:
    db = tmp_path / "kept.db"
    with LocalServer(echo(), db=db) as server:
        url = uploaded(stranger, Prepared(connect(server)).upload_url, b"x")["url"]
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("DELETE FROM tasks")
    with LocalServer(echo(), db=db):
        assert stranger.get(url).status_code == 404
        assert list((tmp_path / "kept.db.files").iterdir()) == []


def test_files_are_removed_with_their_task(tmp_path: Path, connect: Connect, stranger: httpx.Client) -> None:
    folder = tmp_path / "kept.db.files"
    with LocalServer(echo(), db=tmp_path / "kept.db", retention=timedelta(hours=3)) as server:
        api = connect(server)
        gone, kept, idle = Prepared(api), Prepared(api), Prepared(api)
        urls = [uploaded(stranger, task.upload_url, task.id.encode())["url"] for task in (gone, kept, idle)]
        for task, url in zip((gone, kept), urls[:2], strict=True):
            assert api.finalize(task.id, {"url": url}).status_code == 200
            assert list(api.watch(task.id))[-1].name == "taskEnd"
        api.post("protect", kept.id)
        server.clock.advance(3 * 3600 + 61)
        assert [stranger.get(url).status_code for url in urls] == [404, 200, 404]
        assert [path.read_bytes() for path in folder.iterdir()] == [kept.id.encode()]
        server.reset()
        assert stranger.get(urls[1]).status_code == 404
        assert list(folder.iterdir()) == []


def test_who_reads_or_sends_a_stream_of_a_removed_task_is_told(
    connect: Connect, stranger: httpx.Client
) -> None:
    with LocalServer(echo()) as server:
        url = registered(stranger, Prepared(connect(server)).stream_url)
        sending = Sending(url)
        sending.send(b"half")
        with stranger.stream("GET", url, headers=FRAMED) as answer:
            pieces = answer.iter_raw()
            assert next(pieces) == frame_of(0, b"half")
            server.reset()
            assert list(pieces) == [frame_of(2, b"The stream was removed with its task")]
        assert b" 404 " in sending.end()
        assert stranger.get(url).status_code == 404


def test_without_a_file_nothing_is_left(
    tmp_path: Path, connect: Connect, stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with LocalServer(echo()) as server:
        uploaded(stranger, Prepared(connect(server)).upload_url, b"x")
        [folder] = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_an_upload_that_breaks_off_leaves_nothing(
    tmp_path: Path, connect: Connect, stranger: httpx.Client
) -> None:
    with LocalServer(echo(), db=tmp_path / "kept.db") as server:
        url = Prepared(connect(server)).upload_url
        folder = tmp_path / "kept.db.files"
        sending = Sending(url)
        sending.send(b"half")
        wait_until(lambda: folder.exists() and len(list(folder.iterdir())) == 1)
        sending.break_off()
        wait_until(lambda: not list(folder.iterdir()))


@pytest.mark.parametrize("way", ["reset", "started"])
def test_an_upload_that_ends_when_it_is_not_wanted_any_more(
    tmp_path: Path, connect: Connect, stranger: httpx.Client, way: str
) -> None:
    with LocalServer(echo(), db=tmp_path / "kept.db") as server:
        api = connect(server)
        prepared = Prepared(api)
        folder = tmp_path / "kept.db.files"
        sending = Sending(prepared.upload_url)
        sending.send(b"half")
        wait_until(lambda: folder.exists() and len(list(folder.iterdir())) == 1)
        if way == "reset":
            server.reset()
        else:
            assert api.finalize(prepared.id, None).status_code == 200
        sending.send(b"and half")
        assert b" 404 " in sending.end()
        assert list(folder.iterdir()) == []


def test_what_somebody_else_keeps_in_the_folder_stays(tmp_path: Path, connect: Connect) -> None:
    folder = tmp_path / "kept.db.files"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    with LocalServer(echo(), db=tmp_path / "kept.db"):
        assert sorted(path.name for path in folder.iterdir()) == ["mine", "mine.txt"]


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "kept.db.files").write_text("something else")
    with (
        pytest.raises(ConfigurationError, match=r"kept\.db\.files is no folder, but the files of tasks are"),
        LocalServer(echo(), db=tmp_path / "kept.db"),
    ):
        pass


def test_a_media_type_is_cut_where_it_can_be_sent(api: Api, stranger: httpx.Client) -> None:
    answer = uploaded(stranger, Prepared(api).upload_url, b"x", "text/plain;" + " " * 300 + "a=b")
    assert answer["mime"] == "text/plain;"
    assert stranger.get(answer["url"]).headers["content-type"] == "text/plain;"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit for the size of files")
def test_a_disk_that_takes_only_a_part_gives_no_whole_file(tmp_path: Path) -> None:
    """In a process of its own, whose files may have 100,000 bytes: more is written in part, then refused."""
    script = """
        import resource, signal, sys, httpx
        from requence._token import decode_access_token
        from requence.local import LocalServer, TaskTemplate

        template = TaskTemplate("t")
        template.node("n")(lambda ctx: 1)
        with LocalServer(template, db=sys.argv[1]) as server:
            bearer = decode_access_token(server.access_token, source="it").bearer
            client = httpx.Client(headers={"Authorization": f"Bearer {bearer}"})
            place = client.post(f"{server.url}/task/prepare/t").json()["fileUrls"]["uploadUrl"]
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            print(client.post(place, content=b"x" * 150_000).status_code)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "kept.db")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "503\n", done.stderr
    assert list((tmp_path / "kept.db.files").iterdir()) == []


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


# --- claim checks ----------------------------------------------------------------------------------------


def claim(stranger: httpx.Client, prepared: Prepared, value: object) -> dict[str, Any]:
    answer = uploaded(stranger, prepared.upload_url, json.dumps(value).encode(), "application/json")
    return {"__REQUENCE_type": "ClaimCheck", "url": answer["url"], "size": answer["size"]}


def test_a_claim_check_is_resolved_before_the_input_is_checked(api: Api, stranger: httpx.Client) -> None:
    large = {"text": "x" * 50_000, "more": True}
    prepared = Prepared(api, "checked")
    check = claim(stranger, prepared, large)
    assert api.finalize(prepared.id, check).status_code == 200
    events = list(api.watch(prepared.id))
    assert events[0].payload["input"] == large
    assert events[-1].payload["result"] == 50_000
    assert api.get(prepared.id)["input"] == large

    prepared = Prepared(api, "checked")
    refused = api.finalize(prepared.id, claim(stranger, prepared, {"more": True}))
    assert refused.status_code == 400
    assert "'text' is a required property" in refused.text


def test_any_of_the_four_values_may_be_one(api: Api, stranger: httpx.Client) -> None:
    prepared = Prepared(api)
    body = {"name": "A name", "input": [1], "priority": 3, "requireAck": True}
    checks = {name: claim(stranger, prepared, value) for name, value in body.items()}
    answer = api.http.post(f"/task/finalize/{prepared.id}", json=checks)
    assert answer.status_code == 200, answer.text
    [first, *_, last] = api.watch(prepared.id)
    assert (first.payload["name"], first.payload["input"]) == ("A name", [1])
    assert last.payload["requireAck"] is True


def test_deeper_ones_are_left_as_they_are(api: Api, stranger: httpx.Client) -> None:
    prepared = Prepared(api)
    inner = {"deep": [claim(stranger, prepared, 1)]}
    assert api.finalize(prepared.id, claim(stranger, prepared, inner)).status_code == 200
    assert list(api.watch(prepared.id))[-1].payload["result"] == inner


def test_a_claim_check_that_cannot_be_resolved_is_400(
    api: Api, stranger: httpx.Client, running: LocalServer
) -> None:
    prepared = Prepared(api)
    bad = uploaded(stranger, prepared.upload_url, b"{", "application/json")
    deep = uploaded(stranger, prepared.upload_url, b"[" * 300 + b"]" * 300, "application/json")
    for url in (
        "http://127.0.0.1:1/files/x.y",
        f"{running.url}/files/x.y",
        f"{running.url}/files/..",
        "http://[",
        "",
        bad["url"],
        deep["url"],
    ):
        check = {"__REQUENCE_type": "ClaimCheck", "url": url, "size": 1}
        answer = api.finalize(prepared.id, check)
        assert (answer.status_code, "laim check" in answer.text) == (400, True), answer.text
    check = claim(stranger, prepared, "high")
    answer = api.finalize(prepared.id, 1, name=check, requireAck=check)
    assert answer.status_code == 400
    assert "requireAck" in answer.text
    assert api.get(prepared.id)["status"] == "idle"


def test_a_claim_check_of_elsewhere_is_never_fetched(api: Api) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/files/x.y"
        assert (
            api.finalize(api.prepare("echo"), {"__REQUENCE_type": "ClaimCheck", "url": url}).status_code
            == 400
        )
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()


@pytest.mark.parametrize("framed", [True, False])
def test_a_stream_whose_content_is_gone_is_not_taken_for_an_empty_one(
    tmp_path: Path, connect: Connect, stranger: httpx.Client, framed: bool
) -> None:
    with LocalServer(echo(), db=tmp_path / "kept.db") as server:
        prepared = Prepared(connect(server))
        url = registered(stranger, prepared.stream_url)
        assert stranger.post(url, content=b"a,b").status_code == 200
        [content] = (tmp_path / "kept.db.files").iterdir()
        content.unlink()
        if framed:
            got = stranger.get(url, headers={"X-Requence-Stream-Protocol": "framed"}).content
            assert got[0] == 2  # truncated
            assert b"not here any more" in got
        else:
            with pytest.raises(httpx.RemoteProtocolError):
                stranger.get(url)
