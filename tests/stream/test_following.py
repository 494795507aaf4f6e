"""Following a task over real sockets, from a service that does everything a service and a network can do."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any, Literal

import pytest
from tests.scripted_server import (
    Answer,
    Call,
    Gate,
    Lose,
    ScriptedServer,
    Step,
    Stream,
    end,
    event,
    from_position,
    report,
    started,
)
from tests.stream.a_log import FIRST, LAST, LOG, NODE, SECOND, bodies, positions
from tests.stream.cut_scripts import short_pauses

from requence.task import (
    RequenceUnreachableException,
    StreamInterruptedError,
    Task,
    TaskAbortedError,
    TaskException,
    TaskFailedError,
    TaskNotFoundError,
    UnauthorizedError,
)
from requence.task.updates import TaskAborted, TaskEnd, TaskError, Update

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


@pytest.mark.breaks_contract
@pytest.mark.parametrize("update_ids", [True, False])
def test_a_log_without_ids_gives_everything_once(server: ScriptedServer, update_ids: bool) -> None:
    def numbered(number: int) -> dict[str, Any]:
        return {"timestamp": f"2026-01-31T12:00:0{number}Z"} | (
            {"updateId": str(number) if update_ids else ...}
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


@pytest.mark.breaks_contract
@pytest.mark.parametrize("update_id", ["", None, 7], ids=repr)
def test_an_update_id_that_is_none_tells_no_events_apart(server: ScriptedServer, update_id: Any) -> None:
    log = [
        event(None, "taskStart", updateId=update_id),
        *(event(None, "nodeUpdate", node=NODE, data=number, updateId=update_id) for number in (1, 2)),
        event(None, "taskEnd", result="done", updateId=update_id),
    ]
    server.script("watch", Stream(log[:2]), Stream(log))
    updates = list(Task("t", client=server.client).sync.updates)
    assert [update.get("data") for update in updates] == [None, 1, 2, None]


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


@pytest.mark.breaks_contract
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
    # What was logged meanwhile is looked for, and once and again what a proxy that closes cleanly may withhold.
    assert server.operations[2:] == ["watch", "get", "watch", "watch", "watch"]
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


@pytest.mark.parametrize("closes", [1, 2, 3])
def test_an_ended_task_behind_a_proxy_that_closes_cleanly(server: ScriptedServer, closes: int) -> None:
    """An answer that was ended properly, without one event, need not be all that the service had to say."""
    server.script("watch", Stream([FIRST]), *[Stream()] * closes)
    server.always("watch", from_position(*LOG))
    server.always("get", report("successful", result="done"))
    updates = list(Task("t", client=server.client).sync.updates)
    assert positions(updates) == [1, 2, 3]
    assert not updates[-1].synthetic


def test_an_ended_task_whose_stream_is_only_kept_alive(server: ScriptedServer) -> None:
    """Signs of life are no updates: what there is to say is in the log."""
    gates = [Gate() for _ in range(200)]
    comments = [piece for gate in gates for piece in (gate, b": keep-alive\n\n")]
    server.script("watch", Stream())
    server.always("watch", Stream(comments, end="open"))
    server.always("get", report("successful", result=7))
    task = Task("t", client=server.client_with(call_timeout=0.5))
    waiting = threading.Thread(target=lambda: task.sync.result)
    waiting.start()
    opened = 0
    while waiting.is_alive() and opened < len(gates):
        gates[opened].open()
        opened += 1
        waiting.join(0.05)
    waiting.join()
    assert opened < len(gates), "it waited as long as there were comments"
    assert task.sync.result.result == 7


def test_an_ended_task_whose_stream_is_refused_from_then_on(server: ScriptedServer) -> None:
    server.script("watch", Stream())
    server.always("watch", Answer(503))
    server.always("get", report("successful", result=7))
    with short_pauses():
        assert Task("t", client=server.client_with(patience=None)).sync.result.result == 7
    assert len(server.calls("watch")) == 12


def test_an_ended_task_whose_stream_stays_silent(server: ScriptedServer) -> None:
    server.script("watch", Stream())
    server.always("watch", Stream(end="open"))
    server.always("get", report("successful", result=7))
    assert Task("t", client=server.client_with(call_timeout=0.2)).sync.result.result == 7


@pytest.mark.parametrize("status", [404, 410])
def test_an_ended_task_whose_log_is_gone_from_then_on(server: ScriptedServer, status: int) -> None:
    server.script("watch", Stream([FIRST]), Stream())
    server.always("watch", Answer(status, "the log is gone"))
    server.always("get", report("successful", result=7))
    first, last = Task("t", client=server.client).sync.updates
    assert (first.position, last.synthetic, last.get("result")) == (1, True, 7)
    assert server.operations[2:] == ["watch", "watch", "get", "watch"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_once_the_end_is_known_is_an_error(
    server: ScriptedServer, status: int
) -> None:
    server.script("watch", Stream())
    server.always("watch", Answer(status, "who are you?"))
    server.always("get", report("successful", result=7))
    with pytest.raises(UnauthorizedError, match="who are you"):
        _ = Task("t", client=server.client).sync.result


def test_updates_logged_before_the_service_was_asked_are_not_lost(server: ScriptedServer) -> None:
    server.script("watch", Stream(), from_position(*LOG))
    server.script("get", report("successful", result="done"))
    updates = list(Task("t", client=server.client).sync.updates)
    assert positions(updates) == [1, 2, 3]
    assert not updates[-1].synthetic


@pytest.mark.breaks_contract
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


def test_a_task_that_ended_long_before_the_patience_is_over(server: ScriptedServer) -> None:
    """Who cannot open its stream asks now and then."""
    server.always("watch", Answer(503))
    server.always("get", report("successful", result=7))
    with short_pauses():
        assert Task("t", client=server.client_with(patience=None)).sync.result.result == 7
    assert server.operations.index("get") == 2 + 8


def test_a_task_that_ended_while_its_stream_is_away(server: ScriptedServer) -> None:
    server.always("watch", Answer(503))
    server.always("get", report("successful", result=7))
    assert Task("t", client=server.client_with(patience=0.05)).sync.result.result == 7


# Tasks without a stream


@pytest.mark.breaks_contract
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


@pytest.mark.timeout(30)
def test_a_damaged_chunk_is_noticed_at_once(server: ScriptedServer) -> None:
    """Bytes that are no HTTP, in the middle of a stream: the connection is of no more use, whoever closes it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    whole = b"".join((FIRST, end(2, "done")))
    answers = [
        head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        head + b"Content-Length: %d\r\n\r\n" % len(whole) + whole,
    ]

    def answer_all(listener: socket.socket) -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                received = b""
                while b"lastPosition" not in received and b"since" not in received:
                    received += connection.recv(65536)
                connection.sendall(answer)
                while connection.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=answer_all, args=[listener])
        answering.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/follow"
        server.script("finalize", started(server, "task-1", urls={"watch": url}))
        server.always("get", report("running"))
        assert Task("t", client=server.client).sync.result.result == "done"
        answering.join()
