"""The access token is in nothing that an error, a log line, a repr or a pickle shows."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable

import pytest
from tests.scripted_server import BEARER, Answer, Lose, ScriptedServer, Stream

from requence import Client
from requence.exceptions import RequenceError
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
    links: list[BaseException] = []
    link: BaseException | None = caught.value
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or link.__context__
    shown = [
        text for error in links for text in (str(error), repr(error), repr(error.args), repr(vars(error)))
    ]
    shown += traceback.format_exception(caught.value)
    shown += [record.getMessage() for record in caplog.records]
    shown.append(repr(pickle.dumps(caught.value)))
    assert len(links) >= 1
    for text in shown:
        assert BEARER not in text
        assert token not in text
