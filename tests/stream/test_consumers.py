"""Everybody who reads a task's updates has a stream of their own, or shares the one that keeps nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from tests.scripted_server import (
    Answer,
    Gate,
    Lose,
    ScriptedServer,
    Stream,
    end,
    event,
    from_position,
    report,
)
from tests.stream.a_log import FIRST, LAST, LOG, NODE, SECOND

from requence.exceptions import ConfigurationError, UsageError
from requence.task import Task, TaskFailedError, Update
from requence.task.updates import TaskEnd


def long_log(count: int, *, filler: str = "x" * 200) -> list[bytes]:
    log = [event(at, "nodeUpdate", node=NODE, data=filler, output=None) for at in range(1, count)]
    return [*log, end(count, "done")]


# From a position


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_updates_after_a_position(server: ScriptedServer, position: int) -> None:
    server.always("watch", from_position(*LOG))
    task = Task("t", client=server.client)
    expected = [number for number in (1, 2, 3) if number > position]
    assert [update.position async for update in task.updates_after(position)] == expected

    def read() -> list[int | None]:
        return [update.position for update in task.sync.updates_after(position)]

    assert await asyncio.to_thread(read) == expected
    assert [call.json["lastPosition"] for call in server.calls("watch")] == [position] * 2


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_updates_after_a_position_of_a_service_that_replays_everything(
    server: ScriptedServer, position: int
) -> None:
    """Also the event at the position itself comes again, and so does one after it that has no id of its own."""
    between = event(None, "nodeUpdate", node=NODE, data="half way", output=None, updateId="b")
    server.script("watch", Stream([FIRST]), Stream([FIRST, between, FIRST]), Stream([FIRST, between, SECOND]))
    server.always("watch", Stream([FIRST, between, SECOND, LAST, LAST]))
    server.script("get", report("running"), report("running"))
    server.always("get", report("successful", result="done"))
    updates = list(Task("t", client=server.client).sync.updates_after(position))
    log = [(1, None), (1, "half way"), (2, "text"), (3, None)]
    expected = {0: log, 1: log[1:], 2: log[3:], 3: [(None, None)]}
    assert [(update.position, update.get("data")) for update in updates] == expected[position]
    assert updates[-1].synthetic is (position == 3)


def test_updates_after_a_position_survive_a_loss(server: ScriptedServer) -> None:
    server.script("watch", Stream([SECOND, b"id: 3\nevent: ta"], end="reset"), from_position(*LOG))
    updates = list(Task("t", client=server.client).sync.updates_after(1))
    assert [update.position for update in updates] == [2, 3]
    assert updates[0].context.get_node_data("ocr") == "text"
    assert [call.json["lastPosition"] for call in server.calls("watch")] == [1, 2]


@pytest.mark.parametrize(
    ("position", "answer", "last"),
    [
        (2, report("running"), 3),
        (2, Answer(200, {"status": "successful", "result": "done"}), 3),
        (3, Answer(200, {"status": "successful", "result": "done"}), None),
    ],
    ids=["before the end, asked too early", "before the end", "behind the end"],
)
def test_a_reader_who_begins_late_does_not_settle_half_an_outcome(
    server: ScriptedServer, position: int, answer: Answer, last: int | None
) -> None:
    """The result has the data of all nodes, also of those that the first to see the end has not seen.

    The service's report need not have them: it may be older than the end, or name none.
    """
    server.always("watch", from_position(*LOG))
    server.always("get", answer)
    task = Task("t", {"mine": 1}, client=server.client)
    assert [update.position for update in task.sync.updates_after(position)] == [last]
    result = task.sync.result
    assert (result.result, result.input, result.get_node_data("ocr")) == ("done", {"a": 1}, "text")


async def test_a_reader_who_begins_late_does_not_settle_for_those_who_wait(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("watch", Stream([FIRST, gate, SECOND, LAST]))
    server.always("watch", from_position(*LOG))
    task = Task("t", client=server.client)
    waiting = asyncio.ensure_future(task.result)
    await server.until(lambda: len(server.calls("watch")) == 1)
    assert [update.position async for update in task.updates_after(2)] == [3]
    gate.open()
    assert (await waiting).get_node_data("ocr") == "text"


@pytest.mark.parametrize("answer", [Answer(403, "not you"), Answer(503)], ids=repr)
def test_a_reader_who_begins_late_while_the_task_cannot_be_asked_for(
    server: ScriptedServer, answer: Answer
) -> None:
    server.always("watch", from_position(*LOG[:2], end(3, "done", requireAck=True)))
    server.always("get", answer)
    task = Task("t", client=server.client_with(patience=1))
    assert [update.position for update in task.sync.updates_after(2)] == [3]
    assert len(server.calls("ack")) == 1
    assert task.sync.result.get_node_data("ocr") == "text"  # from a stream of its own
    assert server.operations[2:] == ["watch", "ack", "watch"]  # an end that has arrived is not asked for


def test_updates_after_the_last_one_are_the_end_alone(server: ScriptedServer) -> None:
    server.always("watch", from_position(*LOG))
    server.always("get", report("successful", result="done"))
    [update] = Task("t", client=server.client).sync.updates_after(3)
    assert isinstance(update, TaskEnd)
    assert (update.synthetic, update.result) == (True, "done")


@pytest.mark.parametrize("position", [-1, 1.5, True, "1", None], ids=repr)
def test_a_wrong_position_is_refused(server: ScriptedServer, position: Any) -> None:
    task = Task("t", client=server.client)
    with pytest.raises(ConfigurationError, match="position must be"):
        task.updates_after(position)
    with pytest.raises(ConfigurationError, match="position must be"):
        task.sync.updates_after(position)


# Pace and memory


def test_a_slow_reader_of_100_000_updates_gets_them_all_in_flat_memory(server: ScriptedServer) -> None:
    count = 100_000
    body = b"".join(long_log(count, filler="x" * 20))
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    server.always("watch", Stream(pieces))
    updates = iter(Task("t", client=server.client).sync.updates)
    next(updates)
    expected, peaks = 2, list[int]()
    tracemalloc.start()
    try:
        for _ in range(4):
            tracemalloc.reset_peak()
            for update in updates:
                assert update.position == expected
                expected += 1
                if expected % 25_000 == 0:
                    break
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert [update.position for update in updates] == list(range(expected, count + 1))
    assert max(peaks) < 1.5 * min(peaks) + 2**20, peaks
    assert max(peaks) < 16 * 2**20, peaks  # far from the 100,000 updates, of about 1 KiB each


def test_only_waiting_for_the_result_keeps_no_updates(server: ScriptedServer) -> None:
    body = b"".join(long_log(20_000))
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    server.always("watch", Stream(pieces))
    task = Task("t", client=server.client)
    task.sync.finalized()
    tracemalloc.start()
    try:
        assert task.sync.result.result == "done"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20, peak


def test_contexts_share_their_node_data(server: ScriptedServer) -> None:
    """A thousand nodes, a thousand snapshots: copies would take a million references."""
    count = 1000
    nodes = [{"id": f"n{number}", "type": "service", "alias": f"node {number}"} for number in range(count)]
    log = [event(at, "nodeUpdate", node=node, data=at, output=None) for at, node in enumerate(nodes, 1)]
    server.always("watch", Stream([b"".join([*log, end(count + 1)])]))
    task = Task("t", client=server.client)
    task.sync.finalized()
    tracemalloc.start()
    try:
        updates = list(task.sync.updates)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 5 * 2**20, held
    for at, update in enumerate(updates[:-1], 1):
        assert len(update.context.node_data) == at
        assert update.context.get_node_data(f"node {at - 1}") == at
        assert update.context.get_node_data(f"node {at}", "not yet") == "not yet"
    assert list(updates[-1].context.node_data) == [f"node {number}" for number in range(count)]


async def test_a_stopped_reader_disturbs_nobody(server: ScriptedServer) -> None:
    server.always("watch", Stream([b"".join(long_log(5000))]))
    task = Task("t", client=server.client)
    stopped = [aiter(task.updates) for _ in range(3)]
    for reader in stopped:
        await anext(reader)
    assert [update.position async for update in task][-1] == 5000
    assert (await task.result).result == "done"
    for reader in stopped:
        await reader.aclose()


# Cancelled waits


async def test_a_wait_that_is_cancelled_twice_leaves_no_connection_behind(server: ScriptedServer) -> None:
    server.always("watch", Stream([FIRST], end="open"))
    task = Task("t", client=server.client)
    for number in range(1, 4):
        reader = asyncio.ensure_future(anext(aiter(task.updates_after(1))))
        await server.until(lambda seen=number: len(server.calls("watch")) == seen)  # type: ignore[misc]
        reader.cancel()
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        del reader
        gc.collect()
    await server.until(lambda: all(call.left for call in server.calls("watch")))


async def test_many_idle_waits_need_no_threads(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch", Stream([FIRST, gate, *LOG[1:]]))
    task = Task("t", client=server.client)
    waiting = [asyncio.ensure_future(task.result) for _ in range(100)]
    reading = [asyncio.ensure_future(_all(task)) for _ in range(20)]
    await server.until(lambda: len(server.calls("watch")) == 21)
    names = [thread.name for thread in threading.enumerate()]
    ours = [name for name in names if name.startswith(("requence-io", "requence-callback"))]
    assert sorted(ours) == ["requence-io", "requence-io-worker"]
    gate.open()
    assert {(await result).result for result in waiting} == {"done"}
    assert [await positions for positions in reading] == [[1, 2, 3]] * 20


async def _all(task: Task) -> list[int | None]:
    return [update.position async for update in task]


def test_many_tasks_use_few_connections_again(server: ScriptedServer) -> None:
    """Started one after the other, each needs one more for its stream, which is closed with its last update."""
    server.always("watch", from_position(*LOG))
    for _ in range(20):
        assert Task("t", client=server.client).sync.result.result == "done"
    calls = {call.connection for call in server.calls() if call.operation != "watch"}
    assert len(calls) <= 21
    for _ in range(20):
        Task("t", client=server.client).sync.finalized()
    later = {call.connection for call in server.calls("prepare")[20:]}
    assert len(later) <= 2


# on_update


class Told:
    """An `on_update` that writes down what it is given, and can be made to wait."""

    def __init__(self) -> None:
        self.updates: list[Update] = []
        self.threads: set[str] = set()
        self.go_on = threading.Event()
        self.go_on.set()
        self._changed = threading.Condition()

    def __call__(self, update: Update) -> None:
        self.go_on.wait(20)
        with self._changed:
            self.threads.add(threading.current_thread().name)
            self.updates.append(update)
            self._changed.notify_all()

    def until(self, count: int) -> list[int | None]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.updates) >= count, timeout=10), self.updates
            return [update.position for update in self.updates]


def test_on_update_shares_its_stream_with_the_result(server: ScriptedServer) -> None:
    server.always("watch", from_position(*LOG))
    told = Told()
    task = Task("t", client=server.client, on_update=told)
    assert task.sync.result.result == "done"
    assert told.until(3) == [1, 2, 3]
    assert told.threads == {"requence-callback"}
    assert told.updates[1].context.get_node_data("ocr") == "text"
    assert len(server.calls("watch")) == 1


def test_on_update_starts_by_itself_and_outlives_its_handle(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch", Stream([FIRST, gate, SECOND, LAST]))
    told = Told()
    Task("t", client=server.client, on_update=told)
    assert told.until(1) == [1]
    gc.collect()
    gate.open()
    assert told.until(3) == [1, 2, 3]


def test_a_slow_on_update_holds_nobody_up_and_misses_nothing(server: ScriptedServer) -> None:
    count = 5000
    server.always("watch", from_position(*long_log(count)))
    told = Told()
    told.go_on.clear()
    task = Task("t", client=server.client, on_update=told)
    assert task.sync.result.result == "done"  # while the callback has not returned once
    assert told.updates == []
    told.go_on.set()
    assert told.until(count) == list(range(1, count + 1))
    assert len(server.calls("watch")) == 2  # who waited got a stream that waits for no callback


def test_a_failing_on_update_is_logged_and_called_on(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("watch", from_position(*LOG))
    told = Told()

    def on_update(update: Update) -> None:
        told(update)
        raise ValueError("a fault in the callback")

    assert Task("t", client=server.client, on_update=on_update).sync.result.result == "done"
    assert told.until(3) == [1, 2, 3]
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in records][:1] == ["on_update has failed"]
    assert "a fault in the callback" in str(records[0].exc_info)


def test_an_on_update_that_returns_a_coroutine_is_told_of(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("watch", from_position(*LOG))

    async def later(update: Update) -> None: ...

    Task("t", client=server.client, on_update=lambda update: later(update))
    check_until(lambda: len(caplog.records) >= 3)
    assert "give the coroutine function itself" in str(caplog.records[0].exc_info)


def test_an_on_update_that_exits_ends_nothing(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("watch", from_position(*LOG))
    told = Told()

    def on_update(update: Update) -> None:
        told(update)
        raise SystemExit(3)

    assert Task("t", client=server.client, on_update=on_update).sync.result.result == "done"
    assert told.until(3) == [1, 2, 3]
    assert Task("t", client=server.client).sync.result.result == "done"
    assert any("on_update has failed" in record.getMessage() for record in caplog.records)


async def test_a_coroutine_on_update_that_cancels_itself_is_called_on(server: ScriptedServer) -> None:
    server.always("watch", from_position(*LOG))
    seen: list[int | None] = []
    done = asyncio.Event()

    async def on_update(update: Update) -> None:
        seen.append(update.position)
        if isinstance(update, TaskEnd):
            done.set()
        raise asyncio.CancelledError

    Task("t", client=server.client, on_update=on_update)
    await asyncio.wait_for(done.wait(), 10)
    assert seen == [1, 2, 3]


def test_a_handle_whose_callback_belongs_to_its_owner_is_collected(server: ScriptedServer) -> None:
    server.always("watch", from_position(*LOG))

    class Owner:
        def __init__(self) -> None:
            self.types: list[str] = []
            self.task = Task("t", client=server.client, on_update=self.note)

        def note(self, update: Update) -> None:
            self.types.append(update.type)

    owner = Owner()
    assert owner.task.sync.result.result == "done"
    gone = weakref.ref(owner.task)
    del owner
    check_until(lambda: gc.collect() >= 0 and gone() is None)


def check_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.001)


async def test_a_coroutine_on_update_runs_on_the_loop_of_its_maker(server: ScriptedServer) -> None:
    server.always("watch", from_position(*LOG))
    seen: list[tuple[int | None, asyncio.AbstractEventLoop]] = []
    done = asyncio.Event()

    async def on_update(update: Update) -> None:
        await asyncio.sleep(0)
        seen.append((update.position, asyncio.get_running_loop()))
        if isinstance(update, TaskEnd):
            done.set()

    task = Task("t", client=server.client, on_update=on_update)
    assert (await task.result).result == "done"
    await asyncio.wait_for(done.wait(), 10)
    here = asyncio.get_running_loop()
    assert seen == [(1, here), (2, here), (3, here)]


def test_an_on_update_whose_loop_has_ended(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    server.always("watch", Stream([FIRST, gate, SECOND, LAST]))
    seen: list[int | None] = []

    async def on_update(update: Update) -> None:
        seen.append(update.position)

    async def main() -> Task:
        task = Task("t", client=server.client, on_update=on_update)
        while not seen:
            await asyncio.sleep(0.001)
        return task

    task = asyncio.run(main())
    gate.open()
    assert task.sync.result.result == "done"
    server.wait_until(lambda: True)
    assert seen == [1]


def test_a_callback_may_use_the_sdk(server: ScriptedServer) -> None:
    """On a thread of its own it may block on another task, which may need the resolver."""
    server.always("watch", from_position(*LOG))
    results: list[Any] = []
    done = threading.Event()

    def on_update(update: Update) -> None:
        if isinstance(update, TaskEnd):
            results.append(Task("t", client=server.client).sync.result.result)
            done.set()

    Task("t", client=server.client, on_update=on_update)
    assert done.wait(10)
    assert results == ["done"]


@pytest.mark.parametrize("fault", [Answer(401, "no"), Answer(404, "no such task")], ids=repr)
def test_an_on_update_that_cannot_be_served_is_logged(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, fault: Answer
) -> None:
    server.always("watch", fault)
    told = Told()
    task = Task("t", client=server.client, on_update=told)
    with pytest.raises(Exception, match="no"):
        _ = task.sync.result
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert any(line.startswith("on_update is given no more updates of task task-1") for line in lines)
    assert told.updates == []


def test_on_update_of_a_task_that_is_refused(server: ScriptedServer) -> None:
    server.always("finalize", Answer(400, "bad input"))
    told = Told()
    task = Task("t", client=server.client, on_update=told)
    with pytest.raises(Exception, match="bad input"):
        task.sync.finalized()
    assert told.updates == []
    assert "watch" not in server.operations


def test_on_update_sees_losses_through(server: ScriptedServer) -> None:
    server.script(
        "watch", Lose(), Stream([FIRST], end="reset"), Stream([FIRST, SECOND, LAST[:20]], end="cut")
    )
    server.always("watch", from_position(*LOG[:2], event(3, "taskError", reason="broken")))
    told = Told()
    task = Task("t", client=server.client, on_update=told)
    with pytest.raises(TaskFailedError, match="broken"):
        _ = task.sync.result
    assert told.until(3) == [1, 2, 3]


def test_wrong_callbacks_are_refused_at_once(server: ScriptedServer) -> None:
    async def on_update(update: Update) -> None: ...

    with pytest.raises(ConfigurationError, match="on_update must be a function"):
        Task("t", client=server.client, on_update=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="on_update is a coroutine function"):
        Task("t", client=server.client, on_update=on_update)
    assert server.calls() == []
