"""`flush`: waiting until all starts of the process are decided."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fake_clock import FakeClock
from tests.scripted_server import (
    Answer,
    Gate,
    ScriptedServer,
    Stream,
    check_nothing_is_left,
    event,
    prepared,
    report,
)

import requence
from requence.exceptions import ConfigurationError, RequenceError, TaskWaitTimeout
from requence.task import Task, TaskRefusedError, aio
from requence.task.starts import StartOutcome, Starts


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    requence.flush()
    with ScriptedServer() as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    check_nothing_is_left(caplog)


def test_it_waits_for_every_start(server: ScriptedServer) -> None:
    tasks = [Task("t", client=server.client) for _ in range(50)]
    assert requence.flush() == []
    assert all(task.known_id for task in tasks)
    assert requence.flush() == []


async def test_it_returns_what_has_failed(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    """Also of handles that nobody has kept; what it returns is not logged."""
    gate = Gate()
    server.script("finalize", Answer(400, "the input does not fit"))
    server.script(
        "prepare",
        prepared(server, "task-1"),
        prepared(server, "task-2"),
        Answer(404, "no such template", when=gate),
    )
    kept = Task("one", client=server.client)
    await server.until(lambda: "finalize" in server.operations)
    Task("two", client=server.client)
    Task("three", client=server.client)
    await server.until(lambda: len(server.calls("prepare")) == 3)
    flushing = asyncio.ensure_future(aio.flush())
    await asyncio.sleep(0)
    await aio.get_task("x", client=server.client)  # begun later, so the flush waits by now
    gate.open()
    entries = await flushing
    assert [(entry.error.message, type(entry.error)) for entry in entries] == [
        ("the input does not fit", TaskRefusedError),
        ("no such template", TaskRefusedError),
    ]
    (first, error), second = entries
    assert repr(first) == "<Task 'one', not started>"
    assert isinstance(error, TaskRefusedError)
    assert error.task_template == "one"
    with pytest.raises(TaskRefusedError, match="no such template"):
        await second.task.task_id
    assert await aio.flush() == []
    del entries, first, second, kept, error
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_start_that_takes_longer_goes_on(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("finalize", Answer(200, {"taskId": "task-1"}, when=gate))
    task = Task("t", client=server.client)
    server.wait_until(lambda: "finalize" in server.operations)
    [(same, error)] = requence.flush(timeout=0.01)
    assert isinstance(error, TaskWaitTimeout)
    assert error.message == ("The start has taken more than 0.01 seconds; its start is not confirmed yet")
    gate.open()
    assert requence.flush(timeout=None) == []
    assert task.known_id == same.known_id == "task-1"


async def test_what_it_could_not_wait_for_is_logged_when_it_fails(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the flush itself was given up."""
    gates = Gate(), Gate()
    server.script("finalize", Answer(400, "no", when=gates[0]), Answer(400, "nor this", when=gates[1]))
    Task("one", client=server.client)
    await server.until(lambda: len(server.calls("finalize")) == 1)
    assert len(await aio.flush(0.01)) == 1
    gates[0].open()
    Task("two", client=server.client)
    await server.until(lambda: len(server.calls("finalize")) == 2)
    flushing = asyncio.ensure_future(aio.flush())
    await asyncio.sleep(0)
    await aio.get_task("x", client=server.client)  # begun later, so the flush waits by now
    flushing.cancel()
    await asyncio.wait({flushing})
    gates[1].open()
    while len(caplog.records) < 2:
        await asyncio.sleep(0.001)
    assert [record.getMessage() for record in caplog.records] == [
        "The task 'one' was not started: no",
        "The task 'two' was not started: nor this",
    ]
    assert [entry.error.message for entry in await aio.flush()] == ["no", "nor this"]


@pytest.mark.parametrize("shared", [True, False], ids=["shared stream", "own stream"])
def test_its_entries_are_the_handles_that_there_are(server: ScriptedServer, shared: bool) -> None:
    """And one that goes takes nothing away from the other."""
    gate = Gate()
    server.script("finalize", Answer(200, server_started(server), when=gate))
    log = [event(1, "taskStart", taskId="task-1", input=None), event(2, "taskEnd", taskId="task-1", result=7)]
    server.always("watch-all", Stream(log, end="open"))
    server.always("watch", Stream(log))
    task = Task("t", client=server.client_with(shared_stream=shared))
    server.wait_until(lambda: "finalize" in server.operations)
    [entry] = requence.flush(0.01)
    assert entry.task is task
    del entry
    gc.collect()
    gate.open()
    assert task.sync.wait(10).result == 7


def test_the_handle_of_an_entry_serves_where_the_first_has_gone(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("finalize", Answer(200, server_started(server), when=gate))
    server.always("get", report("running"))
    log = [event(1, "taskStart", taskId="task-1", input=None), event(2, "taskEnd", taskId="task-1", result=7)]
    server.always("watch", Stream(log))
    Task("t", client=server.client_with(shared_stream=True))
    server.wait_until(lambda: "finalize" in server.operations)
    [entry] = requence.flush(0.01)
    gate.open()
    assert entry.task.sync.wait(10).result == 7


def server_started(server: ScriptedServer) -> dict[str, Any]:
    root = server.url.removesuffix("/api")
    return {
        "taskId": "task-1",
        "urls": {"watch": f"{root}/follow-here/task-1", "show": f"{root}/page/task-1"},
    }


async def test_its_twin(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("finalize", Answer(400, "no", when=gate))
    task = Task("t", client=server.client)
    flushing = asyncio.ensure_future(aio.flush())
    await server.until(lambda: "finalize" in server.operations)
    assert not flushing.done()
    gate.open()
    [entry] = await flushing
    assert entry.error.message == "no"
    assert entry.task.known_id is task.known_id is None


async def test_it_waits_for_at_most_five_seconds(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("finalize", Answer(200, {"taskId": "task-1"}, when=gate))
    with FakeClock.of_io_thread().standing() as clock:
        task = Task("t", client=server.client_with(call_timeout=100))
        await server.until(lambda: "finalize" in server.operations)
        flushing = asyncio.ensure_future(aio.flush())
        await asyncio.to_thread(clock.skip_to_timer, 4.9, 5.1)
        [entry] = await flushing
        assert isinstance(entry.error, TaskWaitTimeout)
    gate.open()
    assert await task.task_id == "task-1"


@pytest.mark.parametrize("timeout", [-1, "5", float("nan"), True])
def test_the_timeout_is_a_number_of_seconds(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout must be"):
        requence.flush(timeout)


class _Run:
    def __init__(self) -> None:
        self.start = StartOutcome()


def test_only_the_latest_failures_are_kept_for_it(server: ScriptedServer) -> None:
    """For programs that never flush. Their inputs are not kept at all."""
    kept = Starts[_Run]()
    runs = [_Run() for _ in range(1200)]

    async def fail_often() -> list[tuple[_Run, RequenceError]]:
        for run in runs:
            kept.has_failed(run, RequenceError("no"))
        return (await kept.settled(0))[0]

    failed = asyncio.run(fail_often())
    assert [run for run, _ in failed] == runs[200:]


def test_a_failed_start_keeps_no_input(server: ScriptedServer) -> None:
    server.script("finalize", Answer(400, "no"))
    task = Task("t", {"text": "x" * 1_000_000}, client=server.client)
    [entry] = requence.flush()
    reachable = [entry.task._run.of, task._run._begun]
    assert not any("xxxx" in repr(referent) for thing in reachable for referent in gc.get_referents(thing))
