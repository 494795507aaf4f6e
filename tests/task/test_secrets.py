"""The access token is in nothing that an error, a log line, a repr or a pickle shows."""

from __future__ import annotations

import html
import json
import logging
import pickle
import socket
import threading
import traceback
from collections.abc import Callable

import pytest
from tests.scripted_server import BEARER, Answer, Lose, ScriptedServer, Stream, prepared

from requence import Client
from requence._token import encode_access_token
from requence.exceptions import RequenceError, StartUncertainError
from requence.task import Task, abort_task, get_task

ECHO = f"refused: Authorization: Bearer {BEARER} is not known".encode()


def prepare_fails(server: ScriptedServer, answer: Answer | Lose) -> Callable[[], object]:
    server.always("prepare", answer)
    return Task("t", client=quick(server)).sync.finalized


def finalize_fails(server: ScriptedServer, answer: Answer | Lose) -> Callable[[], object]:
    server.always("finalize", answer)
    server.always("get", Answer(404, ECHO))
    return Task("t", client=quick(server)).sync.finalized


def watch_fails(server: ScriptedServer, answer: Answer | Lose) -> Callable[[], object]:
    server.always("watch", answer)
    server.always("get", Answer(401, ECHO))
    return lambda: Task("t", client=quick(server)).sync.result


def watch_breaks_off(server: ScriptedServer, answer: Answer | Lose) -> Callable[[], object]:
    server.script("watch", Stream([b"no event"]))
    server.always("watch", answer)
    server.always("get", Answer(500, ECHO))
    return lambda: Task("t", client=quick(server)).sync.result


def get_fails(server: ScriptedServer, answer: Answer | Lose) -> Callable[[], object]:
    server.always("get", answer)
    return lambda: get_task("x", client=quick(server))


def abort_fails(server: ScriptedServer, answer: Answer | Lose) -> Callable[[], object]:
    server.always("abort", answer)
    return lambda: abort_task("x", client=quick(server))


def quick(server: ScriptedServer) -> Client:
    return Client(server.access_token, retries=0, patience=0.05)


AWKWARD = 'abc/def+ghi&jkl"mno='  # what JSON and HTML may write in another way
ECHOES = {
    "text": f"not known: {AWKWARD}".encode(),
    "JSON": json.dumps({"message": f"not known: {AWKWARD}"}).encode(),
    "JSON with \\/": json.dumps({"message": f"not known: {AWKWARD}"}).replace("/", "\\/").encode(),
    "JSON with \\u": json.dumps({"message": f"not known: {AWKWARD}"}).replace("+", "\\u002B").encode(),
    "other JSON": json.dumps({"given": [AWKWARD]}).replace("/", "\\/").encode(),
    "HTML": f"<html><body>not known: {html.escape(AWKWARD)}</body></html>".encode(),
}


@pytest.mark.parametrize("status", [401, 400, 503])
@pytest.mark.parametrize("echo", ECHOES)
def test_a_refusal_that_writes_the_bearer_in_another_way(echo: str, status: int) -> None:
    with ScriptedServer() as server:
        client = Client(encode_access_token(AWKWARD, server.url), retries=0)
        server.always("get", Answer(status, ECHOES[echo]))
        server.always("finalize", Answer(status, ECHOES[echo]))
        for ask in (lambda: get_task("x", client=client), Task("t", client=client).sync.finalized):
            with pytest.raises(RequenceError, match=r"\[access token\]") as caught:
                ask()
            for text in shown(caught.value):
                assert AWKWARD not in text
                assert "jkl" not in text


MALFORMED = {
    "header": b"HTTP/1.1 200 OK\r\nX-Echo %s\r\n\r\n",
    "status line": b"HTTP/1.1 4x0 %s\r\n\r\n",
    "control character": b"HTTP/1.1 200 OK\r\nX: a\0%s\r\n\r\n",
    "no HTTP": b"hello %s\r\n\r\n",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ%s\r\n",
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n",
    "coding": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 50\r\n\r\n%s......................",
    "long header": b"HTTP/1.1 200 OK\r\nX: %s" + b"x" * 70_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_an_answer_that_is_no_http_shows_nothing_of_what_was_sent(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedServer() as server, socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=answer_badly, args=[listener, MALFORMED[fault] % BEARER.encode()])
        answering.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/start?key=key-of-the-url"
        server.always("prepare", prepared(server, "task-1", finalizeUrl=url))
        server.always("get", Answer(404))
        with pytest.raises(StartUncertainError) as caught:
            Task("t", client=quick(server)).sync.finalized()
        answering.join()
    for text in (*shown(caught.value), *(record.getMessage() for record in caplog.records)):
        assert BEARER not in text
    for text in shown(caught.value):
        assert "key-of-the-url" not in text


def answer_badly(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        received = b""
        while b'"requireAck"' not in received:
            received += connection.recv(65536)
        connection.sendall(answer)


@pytest.mark.parametrize(
    "answer", [Answer(401, ECHO), Answer(400, ECHO), Answer(503, ECHO), Lose()], ids=repr
)
@pytest.mark.parametrize(
    "fails",
    [prepare_fails, finalize_fails, watch_fails, watch_breaks_off, get_fails, abort_fails],
    ids=lambda fails: fails.__name__,
)
def test_an_error_shows_no_token_anywhere_in_its_chain(
    fails: Callable[[ScriptedServer, Answer | Lose], Callable[[], object]],
    answer: Answer | Lose,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedServer() as server:
        ask = fails(server, answer)
        with pytest.raises(RequenceError) as caught:
            ask()
        token = server.access_token
    texts = shown(caught.value) + [record.getMessage() for record in caplog.records]
    for text in texts:
        assert BEARER not in text
        assert token not in text


def shown(error: BaseException) -> list[str]:
    """Returns everything that an error and those behind it can show."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    texts = [text for one in links for text in (str(one), repr(one), repr(one.args), repr(vars(one)))]
    return [*texts, *traceback.format_exception(error), repr(pickle.dumps(error))]
