"""`shared_stream=True`: one stream of all tasks tells every handle of a client how its task has ended."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.fake_clock import FakeClock
from tests.scripted_server import (
    Answer,
    Call,
    Gate,
    Lose,
    Operation,
    ScriptedServer,
    Step,
    Stream,
    end,
    event,
    from_position,
    prepared,
    report,
)

from requence import Client
from requence.task import (
    AckFailedError,
    StreamInterruptedError,
    Task,
    TaskAbortedError,
    TaskException,
    TaskFailedError,
    TaskNotFoundError,
    TaskWaitTimeout,
    UnauthorizedError,
)

NODE = {"id": "n1", "type": "service", "alias": "ocr"}


@pytest.fixture
def shared(server: ScriptedServer) -> Client:
    return server.client_with(shared_stream=True)


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with FakeClock.of_io_thread().standing() as clock:
        yield clock


def of(position: int, task: str, name: str, **payload: Any) -> bytes:
    return event(position, name, **{"taskId": task, "task_id": task, "rootTaskId": None, **payload})


def whole(task: str, first: int, result: Any, **payload: Any) -> list[bytes]:
    """All events of a task, in the numbering of the stream of all tasks."""
    return [
        of(first, task, "taskStart", input=task),
        of(first + 1, task, "nodeUpdate", node=NODE, data=result, output=None),
        of(first + 2, task, "taskEnd", result=result, **payload),
    ]


async def test_many_handles_share_one_stream(server: ScriptedServer, shared: Client) -> None:
    gate = Gate()
    log = [one for number in range(1, 51) for one in whole(f"task-{number}", 10 * number, number)]
    server.always("watch-all", Stream([gate, b"".join(log)], end="open"))
    tasks = [Task("t", client=shared) for _ in range(50)]
    waiters = [asyncio.ensure_future(task.result) for task in tasks]
    await asyncio.gather(*(task.task_id for task in tasks))
    await server.until(lambda: len(server.calls("watch-all")) == 1)
    gate.open()
    for result in await asyncio.gather(*waiters):
        number = int(result.task_id.partition("-")[2])
        assert (result.result, result.get_node_data("ocr"), result.input) == (
            number,
            number,
            f"task-{number}",
        )
    assert "watch" not in server.operations
    assert len(server.calls("watch-all")) == 1


def test_only_a_wait_opens_it(server: ScriptedServer, shared: Client) -> None:
    task = Task("t", client=shared)
    assert task.sync.finalized() == "task-1"
    assert task.sync.url is not None
    assert server.operations == ["prepare", "finalize"]


def test_it_is_closed_with_the_last_handle(server: ScriptedServer, shared: Client) -> None:
    server.always("watch-all", from_position(*whole("task-1", 1, "done"), end="open"))
    assert Task("t", client=shared).sync.result.result == "done"
    gc.collect()
    server.wait_until(lambda: server.calls("watch-all")[0].left)
    server.always("watch-all", from_position(*whole("task-2", 4, "again"), end="open"))
    assert Task("t", client=shared).sync.result.result == "again"
    assert "lastPosition" not in server.calls("watch-all")[1].json  # a stream of its own


def test_it_begins_before_the_task_by_the_clock_of_the_service(
    server: ScriptedServer, shared: Client
) -> None:
    theirs = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    step = prepared(server, "task-1")
    server.script("prepare", Answer(200, step.body, {"Date": format_datetime(theirs, usegmt=True)}))
    server.always("watch-all", from_position(*whole("task-1", 1, "done"), end="open"))
    assert Task("t", client=shared).sync.result.result == "done"
    [call] = server.calls("watch-all")
    since = datetime.fromisoformat(call.json["since"])
    assert timedelta() < theirs - since <= timedelta(seconds=10)


def test_its_end_may_come_before_anybody_waits(server: ScriptedServer, shared: Client) -> None:
    gate = Gate()
    server.always("watch-all", Stream([gate, *whole("task-2", 1, 2), *whole("task-1", 4, 1)], end="open"))
    first, second = Task("t", client=shared), Task("t", client=shared)
    by_id = {task.sync.id: task for task in (first, second)}
    gate.open()
    assert by_id["task-1"].sync.result.result == 1
    assert by_id["task-2"].sync.result.result == 2
    assert len(server.calls("watch-all")) == 1


@pytest.mark.parametrize("dated", [True, False], ids=["by its clock", "without a clock"])
async def test_a_task_that_ended_before_the_stream_was_open(
    server: ScriptedServer, shared: Client, clock: FakeClock, dated: bool
) -> None:
    """Nothing of it comes any more, so it is asked for, once the stream would show what comes."""
    server.always("get", report("successful", result=7, nodesData=[{"alias": "ocr", "data": "text"}]))
    if dated:
        with_date(server)
    waiting = asyncio.ensure_future(Task("t", client=shared).result)
    await server.until(lambda: len(server.calls("watch-all")) == 1)
    if dated:
        await asyncio.to_thread(clock.skip_to_timer, 9.9, 10.1)
    result = await waiting
    assert (result.result, result.get_node_data("ocr")) == (7, "text")
    assert server.operations == ["prepare", "finalize", "watch-all", "get"]


def test_a_task_of_which_only_the_end_was_seen_is_completed(server: ScriptedServer, shared: Client) -> None:
    server.always("watch-all", from_position(of(9, "task-1", "taskEnd", result="done"), end="open"))
    nodes = {"nodesData": [{"alias": "ocr", "data": "text"}], "nodesError": [{"alias": "x", "error": "no"}]}
    server.always("get", report("successful", result="done", input={"theirs": 1}, **nodes))
    result = Task("t", client=shared).sync.result
    assert (result.result, result.input) == ("done", {"theirs": 1})
    assert (dict(result.node_data), dict(result.node_error)) == ({"ocr": "text"}, {"x": "no"})


@pytest.mark.parametrize(
    ("name", "error"), [("taskError", TaskFailedError), ("taskAborted", TaskAbortedError)]
)
def test_other_ends(server: ScriptedServer, shared: Client, name: str, error: type[TaskException]) -> None:
    log = [*whole("task-1", 1, "done")[:2], of(3, "task-1", name, reason="so it is")]
    server.always("watch-all", from_position(*log, end="open"))
    with pytest.raises(error, match="so it is") as caught:
        _ = Task("t", client=shared).sync.result
    assert getattr(caught.value, "context").get_node_data("ocr") == "done"  # noqa: B009


def test_the_end_of_a_sub_task_is_not_the_end(server: ScriptedServer, shared: Client) -> None:
    inner = of(3, "inner", "taskEnd", rootTaskId="task-1", result="inner", requireAck=True)
    log = whole("task-1", 1, "done")
    last = of(4, "task-1", "taskEnd", result="done")
    server.always("watch-all", from_position(*log[:2], inner, last, end="open"))
    assert Task("t", client=shared).sync.result.result == "done"
    assert "ack" not in server.operations


def test_losses_and_replays(server: ScriptedServer, shared: Client) -> None:
    log = whole("task-1", 1, "done")
    server.script("watch-all", Lose(), Stream(log[:2], end="reset"), Answer(503), Stream(log[:2], end="cut"))
    server.always("watch-all", Stream(log, end="open"))
    result = Task("t", client=shared).sync.result
    assert (result.result, result.get_node_data("ocr")) == ("done", "done")
    assert [call.json.get("lastPosition") for call in server.calls("watch-all")] == [None, None, 2, 2, 2]


@pytest.mark.breaks_contract
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
async def test_a_damaged_end_is_asked_for(
    server: ScriptedServer, shared: Client, clock: FakeClock, caplog: pytest.LogCaptureFixture, late: bool
) -> None:
    damaged = b"id: 3\nevent: taskEnd\ndata: {half\n\n"
    with_date(server)
    server.always("watch-all", from_position(*whole("task-1", 1, "done")[:2], damaged, end="open"))
    server.script("get", *[report("running")] * late)
    server.always("get", report("successful", result=7))
    waiting = asyncio.ensure_future(Task("t", client=shared).result)
    while not server.calls("get"):
        await asyncio.to_thread(clock.move_on, 0.05)  # the pause before the stream is opened again
    if late:
        await asyncio.to_thread(clock.skip_to_timer, 9.9, 10.1)
    result = await waiting
    assert (result.result, result.get_node_data("ocr")) == (7, "done")
    assert any(
        "position 3" in record.getMessage() for record in caplog.records if record.levelno == logging.ERROR
    )


async def test_a_clock_that_is_wrong_hides_no_end(server: ScriptedServer, clock: FakeClock) -> None:
    """Where the stream begins later than the task, nothing of it is shown, and it is asked for again and again."""
    with_date(server, ahead=timedelta(hours=3))
    server.script("get", report("running"), report("running"))
    server.always("get", report("successful", result=7))
    client = server.client_with(shared_stream=True, call_timeout=1000)
    waiting = asyncio.ensure_future(Task("t", client=client).result)
    for number, seconds in enumerate((10, 30, 90), 1):
        await asyncio.to_thread(clock.skip_to_timer, seconds - 0.1, seconds + 0.1)
        await server.until(lambda count=number: len(server.calls("get")) == count)  # type: ignore[misc]
    assert (await waiting).result == 7


async def test_what_comes_with_the_last_end_says_nothing_of_the_next_stream(
    server: ScriptedServer, shared: Client, clock: FakeClock
) -> None:
    """Else the end of a later task would count as certain to be seen, where that stream begins too late for it."""
    log = b"".join([*whole("task-1", 1, 1), *whole("other", 4, 2)])
    server.script("watch-all", Stream([log], end="open"))
    first = Task("t", client=shared)
    assert (await first.result).result == 1
    late = format_datetime(datetime.now(UTC) + timedelta(hours=3), usegmt=True)
    server.script("prepare", Answer(200, prepared(server, "task-2").body, {"Date": late}))
    server.always("get", report("successful", result=7))
    waiting = asyncio.ensure_future(Task("t", client=shared).result)
    await asyncio.to_thread(clock.skip_to_timer, 9.9, 10.1)
    assert (await asyncio.wait_for(waiting, 10)).result == 7


def test_the_service_answers_while_only_the_stream_is_away(server: ScriptedServer) -> None:
    """As with a stream for each: that is contact, and who asks learns the end."""
    server.always("watch-all", Answer(503))
    server.script("get", report("running"))
    server.always("get", report("successful", result=7))
    client = server.client_with(shared_stream=True, patience=0.2)
    assert Task("t", client=client).sync.result.result == 7


def test_an_end_after_a_wait_that_failed_is_not_lost(server: ScriptedServer, shared: Client) -> None:
    gates = [Gate(), Gate()]
    server.script("watch-all", Answer(401, "the token is being renewed", when=gates[0]))
    log = [*whole("task-1", 1, 1), *whole("task-2", 4, 2)]
    server.always("watch-all", Stream([b"".join(log), gates[1]], end="open"))
    tasks = [Task("t", client=shared) for _ in range(2)]
    by_id = {task.sync.id: task for task in tasks}
    gates[0].open()
    with pytest.raises(UnauthorizedError):
        _ = by_id["task-1"].sync.result
    assert by_id["task-1"].sync.result.result == 1
    assert by_id["task-2"].sync.wait(10).result == 2  # its end came while nobody waited for it


def test_an_end_that_cannot_be_completed_is_told_as_it_was_seen(
    server: ScriptedServer, shared: Client, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("watch-all", from_position(of(9, "task-1", "taskEnd", result="done"), end="open"))
    server.always("get", Answer(403, "not you"))
    with_date(server)
    assert Task("t", client=shared).sync.result.result == "done"
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "What came before the end of task task-1 is not known: not you" in record.getMessage()


def with_date(server: ScriptedServer, *, ahead: timedelta = timedelta()) -> None:
    """Has the service tell its time, so that the stream begins before the task."""
    now = format_datetime(datetime.now(UTC) + ahead, usegmt=True)
    server.script("prepare", Answer(200, prepared(server, "task-1").body, {"Date": now}))


@pytest.mark.parametrize(
    ("answer", "error"),
    [(Answer(401, "no"), UnauthorizedError), (Answer(404, "no such thing"), TaskNotFoundError)],
    ids=["401", "404"],
)
async def test_a_token_that_may_not_watch_all(
    server: ScriptedServer, shared: Client, answer: Answer, error: type[TaskException]
) -> None:
    server.always("watch-all", answer)
    tasks = [Task("t", client=shared) for _ in range(3)]
    for outcome in await asyncio.gather(*(task.result for task in tasks), return_exceptions=True):
        assert type(outcome) is error
        assert isinstance(outcome, error)
        assert any("shared_stream=True" in note for note in outcome.__notes__)
    server.always("watch-all", from_position(*whole("task-1", 1, "done"), end="open"))
    by_id = {await task.task_id: task for task in tasks}
    assert (await by_id["task-1"].result).result == "done"  # waiting again is possible


def test_a_service_that_is_gone_for_good(server: ScriptedServer) -> None:
    client = server.client_with(shared_stream=True, patience=0.2, retries=0)
    server.always("watch-all", Stream(whole("task-1", 1, "done")[:1], end="open"))
    task = Task("t", client=client)
    with pytest.raises(TaskWaitTimeout):
        task.sync.wait(0.05)
    server.go_away()
    with pytest.raises(StreamInterruptedError):
        _ = task.sync.result


@pytest.mark.parametrize("answer", [Answer(200), Answer(500, "no")], ids=["confirmed", "failed"])
def test_the_acknowledgement(server: ScriptedServer, answer: Step) -> None:
    foreign = whole("other", 10, 1, requireAck=True)
    server.always("ack", answer)
    log = [*foreign, *whole("task-1", 20, "done", requireAck=True)]
    server.always("watch-all", from_position(*log, end="open"))
    task = Task("t", require_ack=True, client=server.client_with(shared_stream=True, retries=0))
    if answer == Answer(200):
        assert task.sync.result.result == "done"
    else:
        with pytest.raises(AckFailedError) as caught:
            _ = task.sync.result
        assert caught.value.result is not None
        server.always("ack", Answer(200))
        assert task.sync.result.result == "done"
    assert {call.path for call in server.calls("ack")} == {"/api/task/ack/task-1"}  # for no other task


@pytest.mark.parametrize("fault", ["ack", "get"])
def test_an_end_that_could_not_be_learnt_is_tried_again(
    server: ScriptedServer, shared: Client, fault: Operation
) -> None:
    """It was asked for, and the service tells only after the delivery how it was, which cannot be confirmed."""
    server.script("get", report("awaiting_delivery"))
    server.always("get", report("successful", result=7))
    server.always(fault, Answer(403, "not now"))
    task = Task("t", require_ack=True, client=shared)
    for _ in range(2):
        with pytest.raises(AckFailedError if fault == "ack" else TaskException, match="not now"):
            task.sync.wait(10)
    server.always("ack", Answer(200))
    server.always("get", report("successful", result=7))
    assert task.sync.wait(10).result == 7


def test_a_task_whose_start_was_answered_by_nobody(server: ScriptedServer, shared: Client) -> None:
    """The URL of its own stream is lost, but this stream is enough."""
    server.script("finalize", Answer(lost=True))
    server.always("get", report("running"))
    server.always("watch-all", from_position(*whole("task-1", 1, "done"), end="open"))
    assert Task("t", client=shared).sync.result.result == "done"


def test_updates_are_the_same_with_their_own_positions(server: ScriptedServer, shared: Client) -> None:
    own = (event(1, "taskStart", input=1), event(2, "nodeUpdate", node=NODE, data="x"), end(3, "done"))
    server.always("watch", from_position(*own))
    server.always("watch-all", from_position(*whole("task-1", 70, "done"), end="open"))
    task = Task("t", client=shared)
    updates = list(task.sync.updates)
    assert [(update.type, update.position) for update in updates] == [
        ("taskStart", 1),
        ("nodeUpdate", 2),
        ("taskEnd", 3),
    ]
    assert task.sync.result.result == "done"
    assert "watch-all" not in server.operations  # the outcome was known


def test_handles_that_are_dropped_leave_it(server: ScriptedServer, shared: Client) -> None:
    first, second = Task("t", client=shared), Task("t", client=shared)
    for task in (first, second):
        with pytest.raises(TaskWaitTimeout):
            task.sync.wait(0.05)
    del first, task
    gc.collect()
    assert not server.calls("watch-all")[0].left
    del second
    gc.collect()
    server.wait_until(lambda: server.calls("watch-all")[0].left)


def test_clients_and_tokens_do_not_share(server: ScriptedServer) -> None:
    def play(call: Call) -> Stream:
        return Stream([*whole("task-1", 1, 1), *whole("task-2", 4, 2)], end="open")

    server.always("watch-all", play)
    tasks = [
        Task("t", client=server.client_with(shared_stream=True, call_timeout=timeout)) for timeout in (10, 11)
    ]
    assert sorted(task.sync.result.result for task in tasks) == [1, 2]
    assert len(server.calls("watch-all")) == 2
