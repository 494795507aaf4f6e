"""The outcome of a task that asks for it is acknowledged before it is told."""

from __future__ import annotations

import asyncio

import pytest
from tests.scripted_server import (
    Answer,
    Gate,
    Lose,
    ScriptedServer,
    Step,
    Stream,
    end,
    event,
    report,
)
from tests.stream.a_log import FIRST, positions

from requence.task import (
    AckFailedError,
    Task,
    TaskAbortedError,
    TaskFailedError,
)
from requence.task.updates import Update


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
    assert server.operations[2:] == ["watch", "get", *["watch"] * 3, "ack", "get"]
