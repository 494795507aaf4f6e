"""Starting a task over real sockets: once or not at all, whatever happens to the two requests."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import logging
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from tests.scripted_server import (
    Answer,
    Call,
    Gate,
    Lose,
    ScriptedServer,
    Step,
    Stream,
    check_nothing_is_left,
    prepared,
    report,
    started,
)

import requence.task.start as start_module
from requence import Client
from requence._token import encode_access_token
from requence._transport.io_thread import io_thread
from requence.exceptions import ConfigurationError
from requence.task import (
    RequenceUnreachableException,
    StartUncertainError,
    Task,
    TaskAbortedError,
    TaskAbortException,
    TaskException,
    TaskFailedError,
    TaskRefusedError,
    UnauthorizedError,
    get_task,
)

LOST: dict[str, Step] = {
    "reset, unread": Lose(before_body=True),
    "reset": Lose(),
    "closed": Lose(reset=False),
    "answer lost": Answer(lost=True),
    "answer cut": Answer(200, {"taskId": "task-1"}, length=1000),
    "503": Answer(503, "the gateway is busy"),
    "500": Answer(500, "a fault"),
}

ACCESSES: dict[str, Callable[[Task], Any]] = {
    "id": lambda task: task.sync.id,
    "url": lambda task: task.sync.url,
    "finalized": lambda task: task.sync.finalized(),
    "result": lambda task: task.sync.result,
    "wait": lambda task: task.sync.wait(5),
    "updates": lambda task: list(task.sync.updates),
}


async def _updates(task: Task) -> list[object]:
    return [update async for update in task.updates]


AWAITABLE_ACCESSES: dict[str, Callable[[Task], Awaitable[Any]]] = {
    "task_id": lambda task: task.task_id,
    "task_url": lambda task: task.task_url,
    "finalized": lambda task: task.finalized(),
    "result": lambda task: task.result,
    "wait": lambda task: task.wait(5),
    "task": lambda task: task,
    "updates": _updates,
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    check_nothing_is_left(caplog)


def test_a_start_is_two_requests(server: ScriptedServer) -> None:
    task = Task("t", client=server.client)
    assert task.sync.finalized() == task.sync.id == "task-1"
    assert (task.sync.url or "").endswith("/page/task-1")
    assert server.operations == ["prepare", "finalize"]


# Prepare may be repeated


@pytest.mark.parametrize("drop", [*LOST.values(), Answer(429), Answer(408)], ids=[*LOST, "429", "408"])
def test_prepare_is_repeated(server: ScriptedServer, drop: Step) -> None:
    server.script("prepare", drop)
    assert Task("t", client=server.client).sync.id == "task-1"
    assert server.operations == ["prepare", "prepare", "finalize"]


def test_prepare_is_not_repeated_for_ever(server: ScriptedServer) -> None:
    server.always("prepare", Answer(503, "the gateway is busy"))
    with pytest.raises(RequenceUnreachableException, match="the gateway is busy") as caught:
        _ = Task("t", client=server.client_with(retries=1)).sync.id
    assert caught.value.status == 503
    assert server.operations == ["prepare", "prepare"]


def test_the_service_says_when_to_prepare_again(server: ScriptedServer) -> None:
    server.script("prepare", Answer(503, "", {"Retry-After": "1"}))
    assert Task("t", client=server.client).sync.id == "task-1"
    first, second = server.calls("prepare")
    assert second.at - first.at >= 1


def test_a_service_that_is_not_there(server: ScriptedServer) -> None:
    server.go_away()
    task = Task("t", client=server.client_with(retries=1))
    for access in ACCESSES.values():
        with pytest.raises(RequenceUnreachableException, match="could not be reached") as caught:
            access(task)
        assert caught.value.status is None


# Finalize is never repeated blindly


@pytest.mark.parametrize(
    "status", ["pending", "RUNNING", "a status of tomorrow", "awaiting_delivery", "failed"]
)
@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_a_lost_finalize_that_arrived(server: ScriptedServer, lost: Step, status: str) -> None:
    server.script("finalize", lost)
    server.script("get", report(status))
    task = Task("t", client=server.client)
    assert task.sync.id == "task-1"
    assert task.sync.url is None
    assert server.operations == ["prepare", "finalize", "get"]


def test_the_result_of_a_task_whose_stream_was_lost_is_asked_for(server: ScriptedServer) -> None:
    server.script("finalize", Lose())
    server.script("get", report("pending"), report("running"), Answer(503))
    server.always("get", report("successful", result=7, nodesData=[{"alias": "ocr", "data": "text"}]))
    task = Task("t", {"mine": True}, client=server.client)
    result = task.sync.result
    assert (result.result, result.input, result.task_id) == (7, {"mine": True}, "task-1")
    assert result.get_node_data("ocr") == "text"
    [update] = task.sync.updates
    assert update.synthetic
    assert "watch" not in server.operations
    assert len(server.calls("finalize")) == 1


def test_the_failure_of_a_task_whose_stream_was_lost(server: ScriptedServer) -> None:
    server.script("finalize", Lose())
    server.script("get", report("running"))
    server.always("get", report("failed", statusText="broken"))
    with pytest.raises(TaskFailedError, match="broken"):
        _ = Task("t", client=server.client).sync.result


def test_asking_for_a_task_whose_stream_was_lost_has_an_end(server: ScriptedServer) -> None:
    server.script("finalize", Lose())
    server.script("get", report("running"))
    server.always("get", Answer(500))
    task = Task("t", client=server.client_with(patience=0.1, retries=0))
    with pytest.raises(RequenceUnreachableException, match="no contact"):
        _ = task.sync.result


def test_a_task_whose_stream_was_lost_is_acknowledged_too(server: ScriptedServer) -> None:
    server.script("finalize", Lose())
    server.script("get", report("running"), report("awaiting_delivery"))
    server.always("get", report("successful", result=7))
    task = Task("t", require_ack=True, client=server.client)
    assert task.sync.result.result == 7
    assert server.operations == ["prepare", "finalize", "get", "get", "ack", "get"]


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_a_lost_finalize_that_did_not_arrive(server: ScriptedServer, lost: Step) -> None:
    server.script("finalize", lost)
    server.script("get", report("IDLE"))
    task = Task("t", {"a": 1}, client=server.client)
    assert task.sync.result.result == "done"
    assert server.operations == ["prepare", "finalize", "get", "finalize", "watch"]
    assert server.calls("finalize")[-1].json["input"] == {"a": 1}


def test_a_repetition_that_is_refused_as_one(server: ScriptedServer) -> None:
    server.script("finalize", Lose(), Answer(409, "it was started already"))
    server.script("get", report("idle"))
    server.always("get", report("successful", result=7))
    task = Task("t", client=server.client)
    assert task.sync.id == "task-1"
    assert task.sync.result.result == 7
    assert len(server.calls("finalize")) == 2


def test_a_repetition_that_is_refused_for_another_reason(server: ScriptedServer) -> None:
    server.script("finalize", Lose(), Answer(400, "no input"))
    server.script("get", report("idle"))
    with pytest.raises(TaskRefusedError, match="no input"):
        _ = Task("t", client=server.client).sync.id


def test_a_repetition_that_is_lost_too(server: ScriptedServer) -> None:
    server.always("finalize", Lose())
    server.always("get", report("idle"))
    with pytest.raises(StartUncertainError) as caught:
        _ = Task("t", client=server.client).sync.id
    assert caught.value.task_id == "task-1"
    assert len(server.calls("finalize")) == 2


@pytest.mark.breaks_contract
@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (Answer(404, "no such task"), 1),
        (Answer(401, "who are you?"), 1),
        (Answer(200, "what?"), 1),
        (Answer(200, {"nodesData": []}), 1),
        (Answer(503), 3),
        (Answer(500), 3),
        (Lose(), 6),  # aiohttp by itself repeats a GET whose connection broke, once
    ],
    ids=["404", "401", "no JSON", "no status", "503", "500", "lost"],
)
def test_a_lost_finalize_of_which_nothing_is_known(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, answer: Step, requests: int
) -> None:
    monkeypatch.setattr(start_module, "_QUESTION_PAUSES", (0.02, 0.05))
    server.script("finalize", Answer(lost=True))
    server.always("get", answer)
    task = Task("my-template", client=server.client)
    for access in ACCESSES.values():
        with pytest.raises(StartUncertainError, match="Whether the task was started is not known") as caught:
            access(task)
        assert (caught.value.task_id, caught.value.task_template) == ("task-1", "my-template")
        assert "get_task('task-1')" in (caught.value.hint or "")
        assert isinstance(caught.value.__cause__, RequenceUnreachableException)
    assert task.known_id is None
    assert server.operations == ["prepare", "finalize", *["get"] * requests]


@pytest.mark.parametrize("status", ["running", "idle"])
def test_an_answer_to_finalize_that_comes_too_late(server: ScriptedServer, status: str) -> None:
    """The service acts on the request, and answers when nobody listens any more."""
    gate = Gate()
    server.script(
        "finalize", Answer(200, {"taskId": "task-1"}, when=gate), Answer(409, "it was started already")
    )
    server.always("get", report(status))
    task = Task("t", client=server.client_with(call_timeout=0.3))
    assert task.sync.id == "task-1"
    assert server.operations == ["prepare", "finalize", "get", *["finalize"] * (status == "idle")]
    gate.open()


def test_a_service_that_vanishes_during_the_start(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_module, "_QUESTION_PAUSES", (0.02, 0.05))

    def vanish(_: Call) -> Answer:
        threading.Thread(target=server.go_away).start()
        return Answer(when=Gate())

    server.script("finalize", vanish)
    task = Task("t", client=server.client)
    with pytest.raises(StartUncertainError, match=r"the connection to .* broke") as caught:
        _ = task.sync.id
    assert (caught.value.task_id, task.known_id) == ("task-1", None)
    assert len(server.calls("finalize")) == 1


def test_nothing_but_the_start_itself_is_repeated_by_the_handle(server: ScriptedServer) -> None:
    """However often it is asked, by however many, after an uncertain start."""
    server.script("finalize", Answer(lost=True))
    server.always("get", Answer(404))
    task = Task("t", client=server.client)
    for access in [*ACCESSES.values()] * 3:
        with pytest.raises(StartUncertainError):
            access(task)
    assert server.operations == ["prepare", "finalize", "get"]


def test_a_finalize_that_cannot_have_arrived_is_repeated(server: ScriptedServer) -> None:
    with ScriptedServer() as other:
        finalize_url = other.url.removesuffix("/api") + "/start-here/task-1"
    server.script("prepare", prepared(server, "task-1", finalizeUrl=finalize_url))
    with pytest.raises(RequenceUnreachableException, match="could not be reached"):
        _ = Task("t", client=server.client_with(retries=1)).sync.id
    assert server.operations == ["prepare"]  # nothing is uncertain, so nothing is asked


# Refusals


@pytest.mark.breaks_contract
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, TaskRefusedError),
        (404, TaskRefusedError),
        (409, TaskRefusedError),
        (413, TaskRefusedError),
        (401, UnauthorizedError),
        (403, UnauthorizedError),
        (302, TaskRefusedError),
    ],
)
@pytest.mark.parametrize("step", ["prepare", "finalize"])
async def test_a_refusal_is_raised_everywhere(
    server: ScriptedServer, step: Any, status: int, error: type[TaskException]
) -> None:
    server.always(step, Answer(status, "the input has no name", {"Location": "/api/task/prepare/t"}))
    task = Task("my-template", client=server.client)
    caught: list[TaskException] = []
    for access in AWAITABLE_ACCESSES.values():
        with pytest.raises(error) as raised:
            await access(task)
        caught.append(raised.value)
    for blocking in ACCESSES.values():
        with pytest.raises(error) as raised:
            await asyncio.to_thread(blocking, task)
        caught.append(raised.value)
    for one in caught:
        assert type(one) is error
        assert (str(one), one.status_code, one.task_template) == (
            "the input has no name",
            status,
            "my-template",
        )
        assert one.task_id == ("task-1" if step == "finalize" else None)
    assert len({id(one) for one in caught}) == len(caught)  # tracebacks do not pile up in one error
    assert server.operations == (["prepare"] if step == "prepare" else ["prepare", "finalize"])


async def test_a_failure_that_somebody_awaits_is_not_logged(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("prepare", Answer(400, "no such template"))
    tasks = [Task("t", client=server.client)]
    with pytest.raises(TaskRefusedError):
        await tasks[0].protect()  # which does not ask whether the task was started
    with pytest.raises(TaskRefusedError):
        await tasks.pop().result  # nothing but this wait keeps the handle
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.breaks_contract
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "Input data was truncated"),
        ("<html>", "JSON is malformed"),
        ("{", "Input data was truncated"),
        ("[]", "a list where an object was expected"),
        ("null", "a NoneType where an object was expected"),
        ({"finalizeUrl": "http://h"}, "taskId is missing"),
        ({"taskId": None, "finalizeUrl": "http://h"}, "taskId is missing"),
        ({"taskId": 5, "finalizeUrl": "http://h"}, "taskId is not a text"),
        ({"taskId": "", "finalizeUrl": "http://h"}, "taskId is not a text"),
        ({"taskId": "1"}, "finalizeUrl is missing"),
        ({"taskId": "1", "finalizeUrl": 5}, "finalizeUrl is not a text"),
        ({"taskId": "1", "finalizeUrl": "/task"}, "finalizeUrl is not a usable http URL"),
        ({"taskId": "1", "finalizeUrl": "http://[h"}, "finalizeUrl is not a usable http URL"),
        ({"taskId": "1", "finalizeUrl": "http://h", "fileUrls": "x"}, "fileUrls is of another type"),
        ({"taskId": "1", "finalizeUrl": "http://h", "limits": 5}, "limits is of another type"),
    ],
    ids=str,
)
async def test_an_answer_to_prepare_that_is_not_understood(
    server: ScriptedServer, body: Any, problem: str
) -> None:
    server.always("prepare", Answer(200, body))
    await check_not_understood(server, f"preparing the task is not understood: {problem}")
    assert server.operations == ["prepare"]


@pytest.mark.breaks_contract
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "Input data was truncated"),
        ("<html>", "JSON is malformed"),
        ("5", "a int where an object was expected"),
        ({}, "taskId is missing"),
        ({"urls": {}}, "taskId is missing"),
        ({"taskId": [], "urls": {}}, "taskId is not a text"),
        ({"taskId": "1", "urls": "x"}, "urls is of another type"),
        ({"taskId": "1", "urls": [1]}, "urls is of another type"),
    ],
    ids=str,
)
async def test_an_answer_to_finalize_that_is_not_understood(
    server: ScriptedServer, body: Any, problem: str
) -> None:
    """It may come from somebody between us and the service, or be cut: whether the task runs is asked for."""
    server.always("finalize", Answer(200, body))
    server.always("get", Answer(404))
    error = await check_not_understood(server, f"starting the task is not understood: {problem}")
    assert isinstance(error, StartUncertainError)
    assert error.task_id == "task-1"
    assert server.operations == ["prepare", "finalize", "get"]


def test_an_answer_to_finalize_about_another_task_gives_no_false_id(server: ScriptedServer) -> None:
    server.script("finalize", Answer(200, {"taskId": "somebody-else"}))
    server.script("get", report("running"))
    assert Task("t", client=server.client).sync.id == "task-1"
    server.script("finalize", Answer(200, {"taskId": "somebody-else"}))
    server.script("get", Answer(404))
    with pytest.raises(StartUncertainError, match="about another task") as caught:
        _ = Task("t", client=server.client).sync.id
    assert caught.value.task_id == "task-2"


def test_a_finalize_url_whose_host_can_be_none(server: ScriptedServer) -> None:
    url = f"http://{'a' * 64}.test/start"
    server.script("prepare", prepared(server, "task-1", finalizeUrl=url))
    with pytest.raises(RequenceUnreachableException, match="could not be reached: its host is no name"):
        _ = Task("t", client=server.client).sync.id


@pytest.mark.breaks_contract
@pytest.mark.parametrize(("status", "finalized"), [("running", 1), ("idle", 2)])
def test_an_answer_to_finalize_that_is_not_the_services(
    server: ScriptedServer, status: str, finalized: int
) -> None:
    server.script("finalize", Answer(200, "<html>Sign in to this network</html>"))
    server.script("get", report(status))
    assert Task("t", client=server.client).sync.id == "task-1"
    assert len(server.calls("finalize")) == finalized


async def check_not_understood(server: ScriptedServer, text: str) -> TaskException:
    task = Task("t", client=server.client)
    for access in AWAITABLE_ACCESSES.values():
        with pytest.raises(TaskException) as caught:
            await access(task)
        assert text in str(caught.value)
    with pytest.raises(TaskException) as caught:
        await asyncio.to_thread(lambda: task.sync.result)
    return caught.value


# Aborting before, during and after


async def test_an_abort_comes_before_an_answer_that_is_found_with_it(server: ScriptedServer) -> None:
    gate, busy = Gate(), threading.Event()
    server.script("prepare", Answer(200, prepared(server, "task-1").body, when=gate))
    task = Task("my-template", client=server.client)
    await server.until(lambda: len(server.calls("prepare")) == 1)
    io_thread().loop.call_soon_threadsafe(busy.wait, 10)
    operation = task.abort("changed my mind")
    gate.open()
    await asyncio.sleep(0.1)  # so that both are there when it looks
    busy.set()
    await operation
    with pytest.raises(TaskAbortedError):
        await task.task_id
    assert "finalize" not in server.operations


async def test_an_abort_before_prepare_is_answered_prevents_the_start(server: ScriptedServer) -> None:
    gate = Gate()

    def slowly(_: object) -> Answer:
        return Answer(200, prepared(server, "task-1").body, when=gate)

    server.script("prepare", slowly)
    task = Task("my-template", client=server.client)
    waiting = asyncio.ensure_future(task.result)
    await server.until(lambda: len(server.calls("prepare")) == 1)
    operation = task.abort("changed my mind")
    gate.open()
    await operation
    for awaitable in (waiting, *(access(task) for access in AWAITABLE_ACCESSES.values())):
        with pytest.raises(TaskAbortedError, match="Task aborted: changed my mind") as caught:
            await awaitable
        assert (caught.value.reason, caught.value.task_id) == ("changed my mind", "task-1")
    for blocking in ACCESSES.values():
        with pytest.raises(TaskAbortedError, match="Task aborted: changed my mind"):
            await asyncio.to_thread(blocking, task)
    assert server.operations == ["prepare", "abort"]
    assert task.known_id is None


def test_an_abort_right_after_the_constructor(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("prepare", lambda _: Answer(200, prepared(server, "task-1").body, when=gate))
    task = Task("t", client=server.client)
    aborting = threading.Thread(target=task.abort)
    aborting.start()
    server.wait_until(
        lambda: task._run._begun is not None and getattr(task._run._begun, "_abort", None) is not None
    )
    gate.open()
    aborting.join()
    with pytest.raises(TaskAbortedError, match="Task aborted"):
        _ = task.sync.id


async def test_the_service_need_not_know_a_task_that_was_never_started(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("prepare", lambda _: Answer(200, prepared(server, "task-1").body, when=gate))
    server.always("abort", Answer(404, "no such task"))
    task = Task("t", client=server.client)
    await server.until(lambda: len(server.calls("prepare")) == 1)
    operation = task.abort()
    gate.open()
    await operation
    with pytest.raises(TaskAbortedError):
        await task.task_id


async def test_an_abort_of_a_task_that_could_not_be_prepared(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("prepare", Answer(400, "no such template", when=gate))
    task = Task("t", client=server.client)
    operation = task.abort()
    gate.open()
    with pytest.raises(TaskRefusedError, match="no such template"):
        await operation
    with pytest.raises(TaskRefusedError, match="no such template"):
        await task.task_id
    assert server.operations == ["prepare"]


async def test_an_abort_while_finalize_is_under_way_that_comes_first(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("finalize", Answer(409, "it was aborted", when=gate))
    task = Task("t", client=server.client)
    await server.until(lambda: len(server.calls("finalize")) == 1)
    await task.abort("changed my mind")
    gate.open()
    for access in AWAITABLE_ACCESSES.values():
        with pytest.raises(TaskAbortedError, match="Task aborted: changed my mind") as caught:
            await access(task)
        assert caught.value.reason == "changed my mind"
    assert server.operations == ["prepare", "finalize", "abort"]


async def test_an_abort_while_finalize_is_under_way_that_comes_second(server: ScriptedServer) -> None:
    gate = Gate()

    def slowly(_: object) -> Answer:
        return Answer(200, started(server, "task-1").body, when=gate)

    server.script("finalize", slowly)
    task = Task("t", client=server.client)
    await server.until(lambda: len(server.calls("finalize")) == 1)
    await task.abort("changed my mind")
    gate.open()
    assert await task.task_id == "task-1"  # how it ended, its stream tells


async def test_an_abort_that_is_refused_while_finalize_is_under_way(server: ScriptedServer) -> None:
    gate = Gate()

    def slowly(_: object) -> Answer:
        return Answer(200, started(server, "task-1").body, when=gate)

    server.script("finalize", slowly)
    server.always("abort", Answer(404, "no such task"))
    task = Task("t", client=server.client)
    await server.until(lambda: len(server.calls("finalize")) == 1)
    with pytest.raises(TaskAbortException, match="no such task") as caught:
        await task.abort()
    assert (caught.value.task_id, caught.value.status_code) == ("task-1", 404)
    gate.open()
    assert (await task.result).result == "done"


async def test_an_aborted_task_is_not_finalized_again(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("finalize", Answer(lost=True))
    server.script("get", Answer(200, report("idle").body, when=gate))
    task = Task("t", client=server.client)
    await server.until(lambda: len(server.calls("get")) == 1)
    await task.abort("changed my mind")
    gate.open()
    with pytest.raises(TaskAbortedError, match="changed my mind"):
        await task.task_id
    assert len(server.calls("finalize")) == 1


# The branch


@pytest.mark.breaks_contract
def test_another_branch_is_warned_of_once(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    first, second = f"draft-{uuid4()}", f"draft-{uuid4()}"

    def warnings() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    def start(branch: str | None, **settings: Any) -> None:
        server.script("prepare", prepared(server, "task-1", branch=branch))
        Task("t", client=server.client, **settings).sync.finalized()

    start("live")
    start(None)
    start(first, suppress_branch_warning=True)
    assert warnings() == []
    start(first)
    start(first)
    assert [first in text for text in warnings()] == [True]
    start(second)
    start(first)
    assert [second in text for text in warnings()] == [False, True]


def test_a_service_that_breaks_down_has_not_refused_anything(server: ScriptedServer) -> None:
    server.always("prepare", Answer(500, "out of order"))
    task = Task("t", client=Client(server.access_token, retries=0))
    with pytest.raises(TaskException, match="out of order") as caught:
        task.sync.finalized()
    assert not isinstance(caught.value, TaskRefusedError)
    assert caught.value.status_code == 500


async def test_a_failed_abort_that_nobody_awaits_is_logged(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Under a loop the abort does not block, so its failure would otherwise be seen by nobody."""
    server.always("abort", Answer(400, "not this one"))
    task = Task("t", client=server.client)
    await task.finalized()
    task.abort("enough")
    async with asyncio.timeout(10):
        while "nobody awaited it: not this one" not in caplog.text:
            await asyncio.sleep(0.01)
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


async def test_a_failed_abort_that_is_awaited_is_raised_not_logged(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("abort", Answer(400, "not this one"))
    task = Task("t", client=server.client)
    await task.finalized()
    operation = task.abort("enough")
    for _ in range(2):
        with pytest.raises(TaskAbortException, match="not this one"):
            await operation
    assert "failed: not this one" in repr(operation)
    del operation
    assert not caplog.records


@pytest.mark.parametrize("size", [2**20 - 100, 3 * 2**20])
def test_a_large_input_is_sent_as_it_is(server: ScriptedServer, size: int) -> None:
    text = "é" * (size // 2)
    Task("t", {"text": text}, client=server.client).sync.finalized()
    [call] = server.calls("finalize")
    assert call.json["input"] == {"text": text}
    assert int(call.headers["content-length"]) == len(call.body)
    assert call.headers["content-type"] == "application/json"


def test_what_default_makes_of_an_input_is_sent(server: ScriptedServer) -> None:
    Task("t", {"price": Decimal("0.10")}, client=server.client, default=str).sync.finalized()
    [call] = server.calls("finalize")
    assert call.json["input"] == {"price": "0.10"}
    with pytest.raises(ConfigurationError, match=r"^input\.price is a Decimal, .* and `default` failed"):
        Task("t", {"price": Decimal("0.10")}, client=server.client, default=ord)
    assert len(server.calls("prepare")) == 1


def test_an_endless_refusal_is_cut(server: ScriptedServer) -> None:
    """A body is read for its message; it must not fill the memory."""
    server.always("prepare", Stream([b"x" * 65536] * 2000, content_type="text/plain", status=404))
    with pytest.raises(TaskRefusedError) as caught:
        Task("t", client=server.client).sync.finalized()
    assert len(caught.value.message) <= 2000


def test_an_answer_that_comes_a_byte_at_a_time_is_given_up() -> None:
    """Each byte ends a silence, so only the time for the whole answer tells that nothing comes of it."""

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                connection.sendall(b" ")
                time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        dripping = threading.Thread(target=drip, args=[listener])
        dripping.start()
        token = encode_access_token("t", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(RequenceUnreachableException, match="in time"):
            Task("t", client=Client(token, call_timeout=0.2, retries=0)).sync.finalized()
        dripping.join()


def test_a_finalize_that_is_put_off_is_sent_again_as_the_service_asks(server: ScriptedServer) -> None:
    """429 says that nothing was done, so there is no doubt about what has happened."""
    server.script("finalize", Answer(429, "later", {"Retry-After": "0"}))
    task = Task("t", client=server.client)
    assert task.sync.id == "task-1"
    assert len(server.calls("finalize")) == 2
    assert not server.calls("get")


def test_a_finalize_that_is_always_put_off_is_no_riddle(server: ScriptedServer) -> None:
    server.always("finalize", Answer(429, "too busy"))
    with pytest.raises(TaskException, match="too busy") as caught:
        Task("t", client=server.client_with(retries=1)).sync.finalized()
    assert not isinstance(caught.value, StartUncertainError | TaskRefusedError)
    assert caught.value.status_code == 429
    assert len(server.calls("finalize")) == 2


def test_an_abort_before_the_start_is_not_reported_as_a_failure(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    server.script("prepare", dataclasses.replace(prepared(server, "task-1"), when=gate))

    async def abort() -> None:
        task = Task("t", client=server.client)
        operation = task.abort("changed my mind")
        del task
        gc.collect()
        gate.open()
        await operation

    asyncio.run(abort())
    assert not caplog.records


@pytest.mark.parametrize("client", ["AGEA", 5, Client])
def test_a_client_is_a_client(client: Any) -> None:
    for call in (lambda: Task("t", client=client), lambda: get_task("x", client=client)):
        with pytest.raises(ConfigurationError, match=r"client must be a requence\.Client"):
            call()


# Nobody looked


def _errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def _through_the_io_thread() -> None:
    """Returns when the I/O thread has done what it was told before."""


@pytest.mark.parametrize("kept", [True, False], ids=["kept until it has failed", "dropped at once"])
def test_a_failure_that_nobody_asks_for_is_logged_once(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, kept: bool
) -> None:
    gate = Gate()
    server.script("prepare", Answer(401, "this token was revoked", when=gate))
    task: Task | None = Task("monthly-report", client=server.client)
    server.wait_until(lambda: "prepare" in server.operations)
    if not kept:
        task = None
    gate.open()
    if task is not None:
        with pytest.raises(UnauthorizedError):
            task.sync.protect()  # which does not ask whether the task was started
        assert _errors(caplog) == []
        task = None
        gc.collect()  # the error's traceback holds the handle
    server.wait_until(lambda: bool(_errors(caplog)))
    io_thread().run(_through_the_io_thread)
    [error] = _errors(caplog)
    assert error == (
        "The task 'monthly-report' was not started: this token was revoked "
        "(check the access token, and what it is allowed to do)"
    )
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.name == "requence.task"


@pytest.mark.parametrize("access", ACCESSES)
def test_a_failure_that_somebody_has_met_is_not_logged(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, access: str
) -> None:
    server.script("finalize", Answer(400, "no"))
    task = Task("t", client=server.client)
    with pytest.raises(TaskRefusedError):
        ACCESSES[access](task)
    del task
    gc.collect()
    io_thread().run(_through_the_io_thread)
    assert _errors(caplog) == []
