"""Events are held against the contract before they are in the log; by a strict server all that it sends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from tests.conftest import greeting
from tests.local.api import Api, Connect

from requence.local import LocalServer
from requence.local import app as _app
from requence.local import events as events_module
from requence.local.contract import ContractViolationError, check_event
from requence.local.events import Draft, Event
from requence.local.graph import NodePlan
from requence.local.state import LoggedTask

# What the tests put something else into: names that the module has imported for itself.
app_module: Any = _app


def an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: LoggedTask) -> str:
        return '{"status":5}'

    monkeypatch.setattr(LoggedTask, "to_json", wrong)


def a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app_module._STATUS, app_module.UnknownTaskError, 410)


def a_media_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_html(content: str, media_type: str) -> Response:
        return Response(content, media_type="text/html")

    monkeypatch.setattr(app_module, "Response", as_html)


@pytest.mark.parametrize(
    ("breaks", "task", "text"),
    [
        (an_answer, "own", "get_task, status 200: not a TaskState: status: 5 is not of type 'string'"),
        (a_status, "unknown", "get_task, status 410: not in x-local-statuses"),
        (a_media_type, "own", "get_task, status 200: the media type 'text/html' is none of application/json"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_500_and_in_the_log(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    breaks: Callable[[pytest.MonkeyPatch], None],
    task: str,
    text: str,
) -> None:
    breaks(monkeypatch)
    for strict in (True, False):
        with LocalServer(greeting(), strict=strict) as server:
            api = connect(server)
            own = api.prepare("my-template")
            answer = api.http.get(f"/task/{own if task == 'own' else task}")
        assert (answer.status_code == 500) is strict
        assert (text in answer.text) is strict
        assert (text in caplog.text) is strict
        caplog.clear()


@pytest.mark.parametrize("name", ["taskStart", "nodeStart"])
def test_an_event_that_breaks_the_contract_is_not_sent(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    whole = app_module.frame

    def framed(event: Event) -> Iterator[bytes]:
        if event.name != name:
            yield from whole(event)
        else:
            yield b'id: %d\nevent: %s\ndata: {"taskId":5}\n\n' % (event.position, event.name.encode())

    with LocalServer(greeting()) as server:
        api = connect(server)
        task_id = api.start("my-template", {})
        list(api.watch(task_id))
        monkeypatch.setattr(app_module, "frame", framed)
        seen: list[str] = []
        with caplog.at_level(logging.ERROR), pytest.raises(httpx.RemoteProtocolError):
            seen.extend(event.name for event in api.watch(task_id))
    assert seen == ([] if name == "taskStart" else ["taskStart"])  # what came before it was sent
    assert f"of task {task_id} breaks the contract: watch_task" in caplog.text


@pytest.mark.parametrize("strict", [True, False])
def test_an_event_that_breaks_the_contract_does_not_get_into_the_log(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    def node_end(node: NodePlan) -> Draft:
        return Draft("nodeEnd", {"node": {"id": 5}})

    monkeypatch.setattr(events_module, "node_end", node_end)
    with LocalServer(greeting(), strict=strict) as server:
        api = connect(server)
        events = api.run("my-template", {})
    assert "nodeEnd" not in [event.name for event in events]
    assert events[-1].name == "taskError"
    assert "watch_task, event nodeEnd: not a NodeEndEvent: node: 'type'" in events[-1].payload["reason"]


def test_what_keeps_to_it_passes(shared_server: LocalServer) -> None:
    with Api(shared_server.access_token) as api:
        assert api.run("my-template", {})[-1].name == "taskEnd"
        assert api.http.get("/task/unknown").status_code == 404


def test_an_event_of_an_unknown_name_is_told() -> None:
    with pytest.raises(ContractViolationError, match="there are no events named 'taskOver'"):
        check_event("watch_task", "taskOver", {})
