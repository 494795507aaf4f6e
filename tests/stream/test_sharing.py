"""Any number of readers and waiters of one task: each sees everything, and nobody disturbs another."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from tests.scripted_server import (
    Answer,
    Gate,
    ScriptedServer,
    Stream,
    end,
    event,
    started,
)
from tests.stream.a_log import FIRST, LAST, LOG, NODE, SECOND, positions

from requence.task import (
    AckFailedError,
    Task,
    TaskFailedError,
    TaskWaitTimeout,
)
from requence.task.updates import Update


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


@pytest.mark.parametrize("limit", [0.1, None], ids=["wait(0.1)", "result"])
async def test_a_handle_that_is_dropped_before_the_task_was_started_is_not_followed(
    server: ScriptedServer, limit: float | None
) -> None:
    gate = Gate()
    server.script("finalize", Answer(200, started(server, "task-1").body, when=gate))
    server.always("watch", Stream([FIRST, LAST]))
    task = Task("t", client=server.client)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task.wait(limit), 0.1 if limit is None else 10)
    start = task._run.start
    del task
    gc.collect()
    gate.open()
    await start.wait()
    assert (await Task("t", client=server.client).result).task_id == "task-2"
    assert [call.path.partition("?")[0] for call in server.calls("watch")] == ["/follow-here/task-2"]


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
