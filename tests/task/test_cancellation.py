"""A wait that is cancelled, once or more often, harms neither the task nor other waiters nor the connections."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tests.scripted_server import Answer, Gate, ScriptedServer, Stream, check_nothing_is_left, end, event

from requence._transport.io_thread import io_thread
from requence._transport.session import session
from requence.exceptions import TaskWaitTimeout
from requence.task import Task, TaskAbortException, aio


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    check_nothing_is_left(caplog)


async def _first_update(task: Task) -> object:
    async for update in task:
        if update.type == "taskEnd":
            return update
    return None


WAITS: dict[str, Callable[[Task], Awaitable[Any]]] = {
    "task.result": lambda task: task.result,
    "task": lambda task: task,
    "task.wait()": lambda task: task.wait(),
    "task.wait(60)": lambda task: task.wait(60),
    "task.task_id": lambda task: task.task_id,
    "task.task_url": lambda task: task.task_url,
    "task.finalized()": lambda task: task.finalized(),
    "task.ref()": lambda task: task.ref(),
    "async for": _first_update,
}


async def in_use() -> tuple[int, int]:
    """Returns how many connections are in use, and how many places for calls are free."""

    async def look() -> tuple[int, int]:
        http = session()._http
        assert http.connector is not None
        free = [places._value for places in session()._places.values()]
        return len(http.connector._acquired), min(free, default=20)

    return await io_thread().run_async(look)


def cancel(waiting: asyncio.Future[Any], times: int) -> None:
    """Cancels as often, in the same breath or one after the other."""
    for _ in range(times):
        waiting.cancel()


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("wait", WAITS)
async def test_a_cancelled_wait_harms_nobody(server: ScriptedServer, wait: str, times: int) -> None:
    gates = Gate(), Gate()
    server.script("finalize", Answer(200, server_started(server), when=gates[0]))
    server.always("watch", Stream([event(1, "taskStart", input=None), gates[1], end(2, "done")]))
    task = Task("t", client=server.client)
    others = [asyncio.ensure_future(_await(way(task))) for way in WAITS.values()]
    cancelled = [asyncio.ensure_future(_await(WAITS[wait](task))) for _ in range(10)]
    await server.until(lambda: "finalize" in server.operations)
    for waiting in cancelled:
        cancel(waiting, times)
        await asyncio.sleep(0)
        cancel(waiting, times - 1)
    await asyncio.wait(cancelled)
    assert all(waiting.cancelled() for waiting in cancelled)
    gates[0].open()
    await server.until(lambda: "watch" in server.operations)
    again = [asyncio.ensure_future(_await(WAITS[wait](task))) for _ in range(10)]
    await asyncio.sleep(0)
    for waiting in again:
        cancel(waiting, times)
    await asyncio.wait(again)
    gates[1].open()
    assert [type(found).__name__ for found in await asyncio.gather(*others)] == [
        *["TaskResult"] * 4,
        *["str"] * 3,
        "TaskRef",
        "TaskEnd",
    ]
    assert server.operations.count("abort") == 0
    while await in_use() != (0, 20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_calls_that_are_cancelled_give_everything_back(server: ScriptedServer, times: int) -> None:
    """More of them than there are places, while the service does not answer."""
    gate = Gate()
    server.always("get", Answer(200, {"status": "running"}, when=gate))
    calls = [asyncio.ensure_future(aio.get_task("x", client=server.client)) for _ in range(60)]
    await server.until(lambda: len(server.calls("get")) == 20)
    for call in calls:
        cancel(call, times)
        await asyncio.sleep(0)
        cancel(call, times - 1)
    await asyncio.wait(calls)
    while await in_use() != (0, 20):
        await asyncio.sleep(0)
    gate.open()
    assert (await aio.get_task("x", client=server.client)).status == "running"


async def test_what_is_cancelled_tells_that_the_task_goes_on(server: ScriptedServer) -> None:
    server.always("watch", Stream([event(1, "taskStart", input=None)], end="open"))
    task = Task("t", client=server.client)
    url = await task.task_url
    note = f"Only the wait has ended: task task-1 ('t') still runs; look at {url}"
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.01):
            await task.result
    assert note in "".join(traceback.format_exception(caught.value))
    iteration = aiter(task.updates)
    await anext(iteration)
    waiting = asyncio.ensure_future(_await(anext(iteration)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await waiting
    assert cancelled.value.__notes__ == [note]
    await iteration.aclose()


async def test_before_the_start_is_confirmed_it_is_told_otherwise(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("finalize", Answer(200, server_started(server), when=gate))
    task = Task("t", client=server.client)
    waiting = asyncio.ensure_future(_await(task.task_id))
    await server.until(lambda: "finalize" in server.operations)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await waiting
    assert cancelled.value.__notes__ == ["Only the wait has ended: the start of a task of 't' goes on"]
    gate.open()
    assert await task.task_id == "task-1"


async def test_an_operation_forwards_its_cancellation(server: ScriptedServer) -> None:
    """It is the request itself that is cancelled then, not a wait; the task is left as it is."""
    gate = Gate()
    server.script("abort", Answer(when=gate), Answer(409, "no"))
    task = Task("t", client=server.client)
    await task.task_id
    operation = task.abort("enough")
    waiting = asyncio.ensure_future(_await(operation))
    await server.until(lambda: "abort" in server.operations)
    cancel(waiting, 2)
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert repr(operation) == "<abort of <Task 't' task-1>: cancelled>"
    gate.open()
    with pytest.raises(TaskAbortException, match="no"):
        await task.abort()
    while await in_use() != (0, 20):
        await asyncio.sleep(0)


def server_started(server: ScriptedServer) -> dict[str, Any]:
    root = server.url.removesuffix("/api")
    return {
        "taskId": "task-1",
        "urls": {"watch": f"{root}/follow-here/task-1", "show": f"{root}/page/task-1"},
    }


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def test_waits_that_have_ended_are_forgotten(server: ScriptedServer) -> None:
    """Who looks every second whether a task of days has ended leaves nothing behind each time."""
    gate = Gate()
    server.always("watch", Stream([event(1, "taskStart", input=None), gate, end(2, "done")]))
    task = Task("t", client=server.client)
    waiting = asyncio.ensure_future(_await(task.result))
    await server.until(lambda: "watch" in server.operations)
    ending = task._run.ending()
    left = len(ending._waiters)
    for _ in range(20):
        with pytest.raises(TaskWaitTimeout):
            await task.wait(0.001)
        with pytest.raises(TaskWaitTimeout):
            await asyncio.to_thread(task.sync.wait, 0.001)
        cancelled = asyncio.ensure_future(_await(task.result))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
    assert task._run.ending() is ending
    assert len(ending._waiters) == left
    gate.open()
    assert (await waiting).result == "done"
