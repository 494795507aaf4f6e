"""Following a task over real sockets, from a service that does everything a service and a network can do."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from tests.scripted_server import (
    BEARER,
    Answer,
    Call,
    Gate,
    Lose,
    ScriptedServer,
    Step,
    Stream,
    check_nothing_is_left,
    end,
    event,
    from_position,
    prepared,
    report,
    started,
)
from tests.stream.cut_scripts import short_pauses

from requence._client import Client
from requence._token import AccessToken
from requence._transport import api as api_module
from requence._transport.api import Api
from requence._transport.session import Answer as TransportAnswer
from requence._transport.session import Request
from requence.task import (
    AckFailedError,
    RequenceUnreachableException,
    StreamEventTooLarge,
    StreamInterruptedError,
    Task,
    TaskAbortedError,
    TaskException,
    TaskFailedError,
    TaskNotFoundError,
    TaskWaitTimeout,
    UnauthorizedError,
)
from requence.task.updates import TaskAborted, TaskEnd, TaskError, UnknownUpdate, Update

NODE = {"id": "n1", "type": "service", "alias": "ocr"}
FIRST = event(1, "taskStart", input={"a": 1})
SECOND = event(2, "nodeUpdate", node=NODE, data="text", output=None)
LAST = end(3, "done")
LOG = (FIRST, SECOND, LAST)


@pytest.fixture(scope="module", autouse=True)
def only_what_tests_make_is_collected() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    check_nothing_is_left(caplog)


def positions(updates: list[Update]) -> list[int | None]:
    return [update.position for update in updates]


def bodies(server: ScriptedServer) -> list[dict[str, Any]]:
    return [call.json for call in server.calls("watch")]


# Only a terminal update ends a stream


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "close-delimited"])
@pytest.mark.parametrize("half", [b"", SECOND[:25], SECOND[:-1]], ids=["whole", "half", "unended"])
@pytest.mark.parametrize("ending", ["close", "cut", "reset"])
def test_a_connection_that_ends_is_not_the_end(
    server: ScriptedServer, ending: Literal["close", "cut", "reset"], half: bytes, chunked: bool
) -> None:
    gate = Gate()
    server.script("watch", Stream([FIRST, gate, half], end=ending, chunked=chunked), from_position(*LOG))
    updates = iter(Task("t", client=server.client).sync.updates)
    seen = [next(updates)]
    gate.open()
    seen += updates
    assert positions(seen) == [1, 2, 3]
    assert isinstance(seen[-1], TaskEnd)
    assert not seen[-1].synthetic
    assert bodies(server) == [{"since": None}, {"since": None, "lastPosition": 1}]
    assert "get" not in server.operations  # what brings news need not be asked for


def test_the_position_is_renewed_in_each_request(server: ScriptedServer) -> None:
    server.script("watch", *(Stream([chunk]) for chunk in LOG))
    assert positions(list(Task("t", client=server.client).sync.updates)) == [1, 2, 3]
    assert bodies(server) == [
        {"since": None},
        {"since": None, "lastPosition": 1},
        {"since": None, "lastPosition": 2},
    ]


def test_positions_may_start_anywhere_and_have_gaps(server: ScriptedServer) -> None:
    log = (event(0, "taskStart"), event(70, "nodeEnd", node=NODE), end(9_000_000_000, "done"))
    server.script("watch", *(Stream([chunk]) for chunk in log))
    assert positions(list(Task("t", client=server.client).sync.updates)) == [0, 70, 9_000_000_000]
    assert bodies(server)[1:] == [{"since": None, "lastPosition": 0}, {"since": None, "lastPosition": 70}]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_passing_refusal_is_tried_again(server: ScriptedServer, status: int) -> None:
    server.script("watch", Answer(status, "not now"), from_position(*LOG))
    assert Task("t", client=server.client).sync.result.result == "done"
    assert bodies(server) == [{"since": None}] * 2


def test_the_service_says_when_to_come_again(server: ScriptedServer) -> None:
    server.script(
        "watch",
        Answer(429, "slowly", {"Retry-After": "1"}),
        Stream([b"retry: 700\n\n", FIRST]),
        Stream([LAST]),
    )
    assert Task("t", client=server.client).sync.result.result == "done"
    first, second, third = server.calls("watch")
    assert second.at - first.at >= 1
    assert third.at - second.at >= 0.7


@pytest.mark.parametrize(
    "drop",
    [
        Lose(),
        Lose(reset=False),
        Answer(lost=True),
        Stream(end="close"),
        Stream(end="cut"),
        Stream(end="reset"),
    ],
    ids=repr,
)
def test_a_drop_before_the_first_event(server: ScriptedServer, drop: Step) -> None:
    server.script("watch", drop, from_position(*LOG))
    assert positions(list(Task("t", client=server.client).sync.updates)) == [1, 2, 3]
    assert bodies(server) == [{"since": None}] * 2


def test_every_byte_on_its_own(server: ScriptedServer) -> None:
    log = b": hello\r\n\r\n" + b"".join(LOG).replace(b"\n", b"\r\n")
    server.script("watch", Stream([log[at : at + 1] for at in range(len(log))]))
    assert positions(list(Task("t", client=server.client).sync.updates)) == [1, 2, 3]


# Nothing twice


def test_a_replay_of_the_whole_log_drops_what_was_seen(server: ScriptedServer) -> None:
    server.script("watch", Stream([FIRST, SECOND]), Stream([FIRST, SECOND]), Stream([*LOG, LAST, FIRST]))
    assert positions(list(Task("t", client=server.client).sync.updates)) == [1, 2, 3]


@pytest.mark.parametrize("update_ids", [True, False])
def test_a_log_without_ids_gives_everything_once(server: ScriptedServer, update_ids: bool) -> None:
    def numbered(number: int) -> dict[str, Any]:
        return {"timestamp": f"2026-01-31T12:00:0{number}Z"} | (
            {"updateId": str(number)} if update_ids else {}
        )

    log = [
        event(None, "taskStart", **numbered(1)),
        *(event(None, "nodeUpdate", node=NODE, data="the same", **numbered(number)) for number in (2, 3)),
        event(None, "taskEnd", result="done", **numbered(4)),
    ]
    server.script("watch", Stream(log[:2]), Stream(log[:3]), Stream(log))
    updates = list(Task("t", client=server.client).sync.updates)
    assert [update.type for update in updates] == ["taskStart", "nodeUpdate", "nodeUpdate", "taskEnd"]
    assert positions(updates) == [None] * 4
    assert bodies(server) == [{"since": None}] * 3


def test_an_event_without_an_id_among_others_is_not_lost(server: ScriptedServer) -> None:
    between = event(None, "nodeUpdate", node=NODE, data="half way", output=None, updateId="b")
    server.script("watch", Stream([FIRST, between, between, FIRST]), Stream([between, SECOND, LAST]))
    updates = list(Task("t", client=server.client).sync.updates)
    assert [update.get("data") for update in updates] == [None, "half way", "text", None]


def test_what_comes_after_the_last_update_is_not_read(server: ScriptedServer) -> None:
    server.script("watch", Stream([b"".join([*LOG, end(4, "another"), event(5, "taskError")])]))
    task = Task("t", client=server.client)
    assert positions(list(task.sync.updates)) == [1, 2, 3]
    assert task.sync.result.result == "done"
    assert len(server.calls("watch")) == 1


def test_the_end_of_a_sub_task_is_not_the_end(server: ScriptedServer) -> None:
    inner = event(2, "taskEnd", taskId="inner", rootTaskId="task-1", result="inner", requireAck=True)
    server.script("watch", Stream([FIRST, inner, LAST]))
    task = Task("t", client=server.client)
    assert positions(list(task.sync.updates)) == [1, 2, 3]
    assert task.sync.result.result == "done"
    assert "ack" not in server.operations


# What ends a stream without a terminal update


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(400, "no such field"), TaskException),
        (Answer(401, "who are you?"), UnauthorizedError),
        (Answer(403, "not you"), UnauthorizedError),
        (Answer(404, "no such task"), TaskNotFoundError),
        (Answer(410, "no longer"), TaskNotFoundError),
        (Answer(307, "elsewhere", {"Location": "/elsewhere"}), TaskException),
        (Answer(204, "", {"Content-Type": "text/event-stream"}), TaskException),
        (Answer(200, {"status": "running"}), TaskException),
        (Answer(200, b"".join(LOG), {"Content-Type": "text/plain"}), TaskException),
        (Stream([FIRST], end="open", content_type="text/html"), TaskException),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
async def test_a_refused_stream_raises_at_once(
    server: ScriptedServer, answer: Answer | Stream, error: type[TaskException]
) -> None:
    server.always("watch", answer)
    task = Task("t", client=server.client)
    with pytest.raises(error) as caught:
        await task.result
    status = answer.status if isinstance(answer, Answer) else 200
    assert type(caught.value) is error
    assert (caught.value.status_code, caught.value.task_id) == (status, "task-1")
    if isinstance(answer, Answer) and status >= 400:
        assert str(caught.value) == answer.body
    with pytest.raises(error):
        [update async for update in task.updates]
    with pytest.raises(error):
        await asyncio.to_thread(lambda: task.sync.result)
    with pytest.raises(error):
        await asyncio.to_thread(lambda: list(task.sync.updates))
    assert await task.task_id == "task-1"
    assert len(server.calls("watch")) == 4


def test_an_error_body_that_never_ends_is_not_waited_for(server: ScriptedServer) -> None:
    body = Stream([b"no such task"], end="open", status=404, content_type="text/plain")
    server.always("watch", body)
    with pytest.raises(TaskNotFoundError, match="no such task"):
        _ = Task("t", client=server.client).sync.result


@pytest.mark.parametrize("ending", ["open", "close"])
def test_the_client_ends_the_stream_itself(server: ScriptedServer, ending: Literal["open", "close"]) -> None:
    server.script("watch", *[Stream(LOG, end=ending)] * 2)
    task = Task("t", client=server.client)
    assert task.sync.result.result == "done"
    assert positions(list(task.sync.updates)) == [1, 2, 3]
    if ending == "open":
        server.wait_until(lambda: [call.left for call in server.calls("watch")] == [True, True])


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (report("SUCCESSFUL", result=7), TaskEnd),
        (report("failed", statusText="broken"), TaskError),
        (report("Stopped", statusText="enough"), TaskAborted),
    ],
    ids=["successful", "failed", "stopped"],
)
def test_an_ended_task_whose_log_is_gone(server: ScriptedServer, answer: Answer, kind: type[Update]) -> None:
    assert isinstance(answer.body, dict)
    answer.body["nodesData"].append({"alias": "ocr", "data": "text"})
    server.always("watch", Stream())
    server.always("get", answer)
    task = Task("t", {"mine": True}, client=server.client)
    [update] = task.sync.updates
    assert isinstance(update, kind)
    assert update.synthetic
    assert update.context.get_node_data("ocr") == "text"
    assert update.context.input == {"mine": True}
    assert server.operations[2:] == ["watch", "get", "watch"]  # what was logged meanwhile is looked for
    if kind is TaskEnd:
        assert task.sync.result.result == 7
    elif kind is TaskError:
        with pytest.raises(TaskFailedError, match="broken"):
            _ = task.sync.result
    else:
        with pytest.raises(TaskAbortedError, match="Task aborted: enough"):
            _ = task.sync.result


@pytest.mark.parametrize(
    ("answer", "watches"),
    [
        (from_position(FIRST, end="reset"), 13),  # 11 times without anything new, after it was asked for
        (from_position(FIRST, b"id: 2\nevent: taskE", chunked=False), 13),
        (from_position(FIRST, chunked=False), 6),  # nothing tells whether that is an end
    ],
    ids=["reset", "half an event", "close-delimited"],
)
def test_an_ended_task_whose_log_breaks_off_each_time(
    server: ScriptedServer, answer: Step, watches: int
) -> None:
    server.always("watch", answer)
    server.always("get", report("successful", result=7))
    with short_pauses():
        assert Task("t", client=server.client).sync.result.result == 7
    assert len(server.calls("watch")) == watches


def test_an_ended_task_whose_stream_stays_silent(server: ScriptedServer) -> None:
    server.script("watch", Stream())
    server.always("watch", Stream(end="open"))
    server.always("get", report("successful", result=7))
    assert Task("t", client=server.client_with(call_timeout=0.2)).sync.result.result == 7


def test_updates_logged_before_the_service_was_asked_are_not_lost(server: ScriptedServer) -> None:
    server.script("watch", Stream(), from_position(*LOG))
    server.script("get", report("successful", result="done"))
    updates = list(Task("t", client=server.client).sync.updates)
    assert positions(updates) == [1, 2, 3]
    assert not updates[-1].synthetic


@pytest.mark.parametrize("answer", [Answer(500), Answer(503), Answer(200, "?"), Lose()], ids=repr)
def test_a_service_that_cannot_be_asked_now_is_followed_on(server: ScriptedServer, answer: Step) -> None:
    server.script("watch", Stream(), from_position(*LOG))
    server.always("get", answer)
    assert Task("t", client=server.client_with(retries=0)).sync.result.result == "done"


def test_a_task_that_the_service_forgot(server: ScriptedServer) -> None:
    server.always("watch", Stream())
    server.always("get", Answer(404, "no such task"))
    with pytest.raises(TaskNotFoundError, match="no such task"):
        _ = Task("t", client=server.client).sync.result


# Patience


def test_a_service_that_is_gone_for_good(server: ScriptedServer) -> None:
    server.script("watch", Stream([FIRST], end="open"))
    task = Task("t", client=server.client_with(patience=0.2, retries=0))
    updates = iter(task.sync.updates)
    assert next(updates).position == 1
    server.go_away()
    with pytest.raises(StreamInterruptedError, match="the task may still run") as caught:
        next(updates)
    assert isinstance(caught.value, RequenceUnreachableException)
    assert caught.value.position == 1
    assert caught.value.hint is not None
    assert "task-1" in caught.value.hint
    assert list(updates) == []
    with pytest.raises(StreamInterruptedError):
        _ = task.sync.result
    assert task.sync.id == "task-1"


def test_a_stream_that_is_never_served(server: ScriptedServer) -> None:
    server.always("watch", Answer(503))
    server.always("get", Answer(503))
    with pytest.raises(StreamInterruptedError) as caught:
        _ = Task("t", client=server.client_with(patience=0.1, retries=0)).sync.result
    assert (caught.value.status, caught.value.position) == (503, None)


def test_silence_on_an_open_stream_is_contact(server: ScriptedServer) -> None:
    gate, patience = Gate(), 0.2
    server.script("watch", Stream([FIRST, gate], end="reset"), Answer(503), from_position(*LOG))
    updates = iter(Task("t", client=server.client_with(patience=patience)).sync.updates)
    seen = [next(updates)]
    time.sleep(1.5 * patience)  # the silence itself is what is tested
    gate.open()
    seen += updates
    assert positions(seen) == [1, 2, 3]


def test_a_task_that_runs_is_followed_while_only_its_stream_is_away(server: ScriptedServer) -> None:
    server.always("watch", Answer(503))
    task = Task("t", client=server.client_with(patience=0.05))

    def back(call: Call) -> Answer:
        server.always("watch", from_position(*LOG))
        return report("running")

    server.script("get", back)
    assert positions(list(task.sync.updates)) == [1, 2, 3]
    assert len(server.calls("get")) == 1


def test_a_task_that_ended_while_its_stream_is_away(server: ScriptedServer) -> None:
    server.always("watch", Answer(503))
    server.always("get", report("successful", result=7))
    assert Task("t", client=server.client_with(patience=0.05)).sync.result.result == 7


# Events that are damaged, strange or too large


@pytest.mark.parametrize(
    "data",
    [b"{half", b"", b"[1]", b"null", b"NaN", b"[" * 100_000],
    ids=["half", "empty", "list", "null", "NaN", "deep"],
)
@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
def test_a_damaged_event_is_fetched_again_then_skipped(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, data: bytes, ids: bool
) -> None:
    damaged = (b"id: 2\n" if ids else b"") + b"event: nodeUpdate\ndata: " + data + b"\n\n"
    log = [event(1 if ids else None, "taskStart"), damaged, end(3 if ids else None, "done")]
    server.always("watch", from_position(*log))
    updates = list(Task("t", client=server.client).sync.updates)
    assert [update.type for update in updates] == ["taskStart", "taskEnd"]
    assert bodies(server) == [{"since": None}, {"since": None, "lastPosition": 1} if ids else {"since": None}]
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "nodeUpdate" in record.getMessage()
    assert "skipped" in record.getMessage()


def test_an_event_that_was_damaged_on_its_way_is_not_lost(server: ScriptedServer) -> None:
    server.script("watch", Stream([FIRST, b"id: 2\ndata: {\n\n", LAST]), from_position(*LOG))
    assert positions(list(Task("t", client=server.client).sync.updates)) == [1, 2, 3]


def test_several_damaged_events_are_skipped_one_by_one(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    log = (
        FIRST,
        b"id: 2\ndata: {\n\n",
        b"id: 3\ndata: }\n\n",
        event(4, "nodeEnd", node=NODE),
        end(5, "done"),
    )
    server.always("watch", from_position(*log))
    assert positions(list(Task("t", client=server.client).sync.updates)) == [1, 4, 5]
    assert [body.get("lastPosition") for body in bodies(server)] == [None, 1, 2]
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 2


def test_several_damaged_events_without_ids(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    log = [b"data: {\n\n", b"data: }\n\n", end(None, "done")]
    server.always("watch", Stream(log))
    [update] = Task("t", client=server.client).sync.updates
    assert isinstance(update, TaskEnd)
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 2


@pytest.mark.parametrize("position", [b"", b"id: 2\n"], ids=["no id", "id"])
async def test_a_damaged_last_update_fails_the_result(server: ScriptedServer, position: bytes) -> None:
    server.always("watch", Stream([FIRST, position + b"event: taskEnd\ndata: {\n\n"], end="open"))
    task = Task("t", client=server.client)
    with pytest.raises(TaskException, match=r"taskEnd.*its last update cannot be read"):
        await task.result
    updates = aiter(task)
    assert (await anext(updates)).position == 1
    with pytest.raises(TaskException, match="cannot be read"):
        await anext(updates)


def test_half_a_surrogate_pair_is_no_damage(server: ScriptedServer) -> None:
    server.always("watch", Stream([FIRST, end(2, "cut \ud83d")]))
    assert Task("t", client=server.client).sync.result.result == "cut \ud83d"


def test_unknown_events_are_passed_on(server: ScriptedServer) -> None:
    server.script(
        "watch",
        Stream(
            [
                FIRST,
                event(2, "nodeDance", node=NODE, steps=3),
                b'id: 3\ndata: {"hello": 1}\n\n',
                end(4, "done"),
            ]
        ),
    )
    _, dance, nameless, _ = Task("t", client=server.client).sync.updates
    assert isinstance(dance, UnknownUpdate)
    assert (dance.type, dance.position, dance.steps) == ("nodeDance", 2, 3)
    assert isinstance(nameless, UnknownUpdate)
    assert (nameless.type, nameless.hello) == ("message", 1)


def test_the_type_inside_an_event_wins_over_its_name(server: ScriptedServer) -> None:
    server.script("watch", Stream([event(1, "message", type="taskEnd", result="done")], end="open"))
    assert Task("t", client=server.client).sync.result.result == "done"


def test_ids_that_are_no_numbers_are_ignored(server: ScriptedServer) -> None:
    server.script(
        "watch", Stream([b"id: one\n" + event(None, "taskStart")]), Stream([b"id: -3\n" + end(None, 7)])
    )
    assert positions(list(Task("t", client=server.client).sync.updates)) == [None, None]
    assert bodies(server) == [{"since": None}] * 2


async def test_an_event_that_is_too_large(server: ScriptedServer) -> None:
    large = event(2, "nodeUpdate", node=NODE, data="x" * 5000, output=None)
    server.always("watch", Stream([FIRST, large, LAST]))
    task = Task("t", client=server.client_with(max_event_size=1000))
    updates = aiter(task)
    assert (await anext(updates)).position == 1
    with pytest.raises(StreamEventTooLarge) as caught:
        await anext(updates)
    assert (caught.value.position, caught.value.limit, caught.value.task_id) == (1, 1000, "task-1")
    assert caught.value.size > 1000
    with pytest.raises(StreamEventTooLarge):
        await task.result
    assert len(server.calls("watch")) == 2  # it would be as large the next time


# Tasks without a stream


@pytest.mark.parametrize("urls", [{}, None, {"watch": None, "show": None}, {"show": "http://page"}], ids=repr)
async def test_a_task_without_a_stream(server: ScriptedServer, urls: dict[str, Any] | None) -> None:
    server.script("finalize", started(server, "task-1", urls=urls))
    task = Task("t", client=server.client)
    assert await task.task_id == "task-1"
    page = (urls or {}).get("show")
    assert await task.task_url == page
    with pytest.raises(TaskException, match="named no stream") as caught:
        await task.result
    assert (caught.value.task_id, caught.value.task_url) == ("task-1", page)
    with pytest.raises(TaskException, match="named no stream"):
        [update async for update in task.updates]
    with pytest.raises(TaskException, match="named no stream"):
        await asyncio.to_thread(lambda: list(task.sync.updates))
    assert server.operations == ["prepare", "finalize"]


@pytest.mark.parametrize(
    "watch", ["ftp://h/x", "/relative", "http://[", "http://h:99999/", "http://u:p@h/", "http://h/ x"]
)
def test_a_stream_at_no_usable_url(server: ScriptedServer, watch: str) -> None:
    server.script("finalize", started(server, "task-1", urls={"watch": watch}))
    task = Task("t", client=server.client)
    assert task.sync.id == "task-1"  # the task runs, whatever is wrong with its stream
    with pytest.raises(TaskException, match=r"starting the task is not understood: urls\.watch"):
        _ = task.sync.result


# Many consumers


async def test_consumers_do_not_disturb_each_other(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch", Stream([FIRST, gate, SECOND, LAST]))
    task = Task("t", client=server.client)

    async def read() -> list[Update]:
        return [update async for update in task.updates]

    async def wait() -> Any:
        return (await task.result).result

    readers = [asyncio.create_task(read()) for _ in range(2)]
    waiters = [asyncio.create_task(wait()) for _ in range(3)]
    await server.until(lambda: len(server.calls("watch")) == 3)
    gate.open()
    for updates in await asyncio.gather(*readers):
        assert positions(updates) == [1, 2, 3]
    assert await asyncio.gather(*waiters) == ["done"] * 3
    assert positions(await read()) == [1, 2, 3]
    assert len(server.calls("watch")) == 4  # each reader has one of its own, those who wait share one


async def test_who_sees_the_end_first_settles_it_for_all(server: ScriptedServer) -> None:
    server.script("watch", Stream([FIRST], end="open"), Stream(LOG))
    task = Task("t", client=server.client)
    waiter = asyncio.ensure_future(task.result)
    await server.until(lambda: len(server.calls("watch")) == 1)
    assert positions([update async for update in task]) == [1, 2, 3]
    assert (await waiter).result == "done"
    await server.until(lambda: server.calls("watch")[0].left)


async def test_a_consumer_that_stops_early_closes_its_connection(server: ScriptedServer) -> None:
    server.always("watch", Stream([FIRST], end="open"))
    task = Task("t", client=server.client)
    async for _ in task:
        break
    await server.until(lambda: server.calls("watch")[0].left)

    def stop_early() -> None:
        for _ in task.sync.updates:
            return

    await asyncio.to_thread(stop_early)
    await server.until(lambda: server.calls("watch")[1].left)
    updates = aiter(task.updates)
    await anext(updates)
    await updates.aclose()
    await server.until(lambda: server.calls("watch")[2].left)
    assert [update async for update in updates] == []

    async def read() -> None:
        async for _ in task:
            pass

    reader = asyncio.create_task(read())
    await server.until(lambda: len(server.calls("watch")) == 4)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    del reader
    gc.collect()
    await server.until(lambda: server.calls("watch")[3].left)
    assert "abort" not in server.operations


async def test_a_handle_that_is_dropped_closes_the_shared_stream(server: ScriptedServer) -> None:
    server.always("watch", Stream([FIRST], end="open"))
    task = Task("t", client=server.client)
    waiting = asyncio.ensure_future(task.result)
    await server.until(lambda: len(server.calls("watch")) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    del waiting
    del task
    gc.collect()
    await server.until(lambda: server.calls("watch")[0].left)
    assert "abort" not in server.operations


async def test_whoever_waits_keeps_the_handle(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch", Stream([FIRST, gate, LAST]))

    async def begun() -> Task:
        task = Task("t", client=server.client)
        await task.finalized()
        return task

    async def wait() -> Any:
        return (await (await begun()).result).result

    waiter = asyncio.create_task(wait())
    await server.until(lambda: len(server.calls("watch")) == 1)
    gc.collect()
    gate.open()
    assert await waiter == "done"


async def test_a_wait_that_is_given_up_can_be_repeated(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch", Stream([FIRST, gate, SECOND, LAST]))
    task = Task("t", client=server.client)
    first = asyncio.ensure_future(task.result)
    await server.until(lambda: len(server.calls("watch")) == 1)
    first.cancel()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task.result, 0.05)
    again = asyncio.ensure_future(task.result)
    gate.open()
    assert (await again).result == "done"
    assert (await task).result == "done"
    assert len(server.calls("watch")) == 1


async def test_a_failed_acknowledgement_does_not_hide_why_the_task_failed(server: ScriptedServer) -> None:
    server.always("ack", Answer(404, "not this one"))
    server.always("watch", Stream([FIRST, event(2, "taskError", reason="the disk is full", requireAck=True)]))
    with pytest.raises(AckFailedError, match=r"the disk is full.*not this one") as caught:
        await Task("t", require_ack=True, client=server.client)
    assert isinstance(caught.value.failure, TaskFailedError)
    assert caught.value.failure.reason == "the disk is full"
    assert caught.value.result is None


async def test_consumers_of_one_iterator_share_its_updates(server: ScriptedServer) -> None:
    """Each update goes to one of them, none is lost and none comes twice."""
    many = [event(number, "nodeUpdate", node=NODE, data=number) for number in range(2, 300)]
    server.always("watch", Stream([FIRST, *many, event(300, "taskEnd", result=None)]))
    iterator = aiter(Task("t", client=server.client).updates)

    async def consume() -> list[int | None]:
        return [update.position async for update in iterator]

    taken = await asyncio.gather(*(consume() for _ in range(4)))
    assert sorted(position for share in taken for position in share if position) == list(range(1, 301))


async def test_a_limited_wait_leaves_the_task_alone(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch", Stream([FIRST, gate, SECOND, LAST]))
    task = Task("t", client=server.client)
    page = await task.task_url
    with pytest.raises(TaskWaitTimeout, match=r"not ended within 0\.05 seconds; it still runs") as caught:
        await task.wait(0.05)
    assert (caught.value.task_id, caught.value.task_url) == ("task-1", page)
    with pytest.raises(TaskWaitTimeout):
        await asyncio.to_thread(task.sync.wait, 0.05)
    gate.open()
    assert (await task.wait(10)).result == "done"
    assert server.operations == ["prepare", "finalize", "watch"]


async def test_a_reader_far_behind_loses_nothing(server: ScriptedServer) -> None:
    count = 5000
    log = [event(at, "nodeUpdate", node=NODE, data="x" * 200, output=None) for at in range(1, count)]
    server.always("watch", Stream([b"".join([*log, end(count, "done")])]))
    task = Task("t", client=server.client)
    updates = aiter(task.updates)
    first = await anext(updates)
    assert (await task.result).result == "done"  # while the reader reads nothing
    rest = [update async for update in updates]
    assert positions([first, *rest]) == list(range(1, count + 1))


# The acknowledgement


@pytest.mark.parametrize("last", ["taskEnd", "taskError", "taskAborted"])
async def test_the_outcome_is_acknowledged_once_before_it_is_told(server: ScriptedServer, last: str) -> None:
    gate = Gate()
    server.script("ack", Answer(503), Answer(when=gate))
    server.always("watch", Stream([FIRST, event(2, last, result="done", reason="so", requireAck=True)]))
    task = Task("t", require_ack=True, client=server.client)

    async def read() -> list[Update]:
        return [update async for update in task.updates]

    waiter = asyncio.ensure_future(task.result)
    readers = [asyncio.create_task(read()) for _ in range(2)]
    await server.until(lambda: len(server.calls("ack")) == 2 and len(server.calls("watch")) == 3)
    done, _ = await asyncio.wait({waiter, *readers}, timeout=0.1)
    assert not done
    gate.open()
    if last == "taskEnd":
        assert (await waiter).result == "done"
    else:
        with pytest.raises((TaskFailedError, TaskAbortedError)) as caught:
            await waiter
        assert getattr(caught.value, "reason", None) == "so"
    for updates in await asyncio.gather(*readers):
        assert positions(updates) == [1, 2]
    assert positions(await read()) == [1, 2]
    assert len(server.calls("ack")) == 2  # the one that was refused, and the one that was not
    [path] = {call.path for call in server.calls("ack")}
    assert path == "/api/task/ack/task-1"


def test_only_the_event_asks_for_an_acknowledgement(server: ScriptedServer) -> None:
    assert Task("t", require_ack=True, client=server.client).sync.result.result == "done"
    assert "ack" not in server.operations


@pytest.mark.parametrize(
    "answer", [Answer(500, "no"), Answer(503, "no"), Answer(404, "no"), Lose()], ids=repr
)
def test_an_acknowledgement_that_fails_keeps_the_result(server: ScriptedServer, answer: Step) -> None:
    server.always("ack", answer)
    server.always("watch", Stream([FIRST, end(2, "done", requireAck=True)]))
    task = Task("t", require_ack=True, client=server.client_with(retries=0))
    for _ in range(2):
        with pytest.raises(AckFailedError) as caught:
            _ = task.sync.result
        assert caught.value.result is not None
        assert caught.value.result.result == "done"
        assert caught.value.failure is None
        assert caught.value.task_id == "task-1"
        assert caught.value.__cause__ is not None
    assert positions(list(task.sync.updates)) == [1, 2]
    assert len(server.calls("ack")) == 3  # whoever asks again has it tried again
    server.always("ack", Answer(200))
    for _ in range(2):
        assert task.sync.result.result == "done"
    assert len(server.calls("ack")) == 4


def test_a_task_that_waits_for_its_delivery_when_its_log_is_gone(server: ScriptedServer) -> None:
    server.always("watch", Stream())
    server.script("get", report("AWAITING_DELIVERY"))
    server.always("get", report("successful", result=7))
    assert Task("t", require_ack=True, client=server.client).sync.result.result == 7
    assert server.operations[2:] == ["watch", "get", "watch", "ack", "get"]


# What goes on the wire


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

    async def exchange(self, request: Request, *, timeout: float) -> TransportAnswer:
        self.sent.append(request)
        return TransportAnswer(200, {}, json.dumps(next(self._answers)).encode())


@pytest.mark.parametrize("url", ["http://h/x", "HTTP://h/x", "ws://h/x", "//h/x", "https:///x"])
async def test_the_bearer_is_not_sent_without_encryption(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    wire = _Wire({"taskId": "1", "finalizeUrl": url})
    monkeypatch.setattr(api_module, "session", lambda: wire)
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
