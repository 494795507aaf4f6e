"""Abort, acknowledge, and who runs first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.local.api import Api, Connect

from requence.local import LocalServer, NodeContext, TaskTemplate


class Gate:
    """Handlers report here that they have started, and wait here to be let go."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.go = threading.Event()
        self.order: list[object] = []
        self.terminated = threading.Event()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def running(gate: Gate) -> Iterator[LocalServer]:
    polite, stubborn, coroutine, noted = (
        TaskTemplate(name) for name in ("polite", "stubborn", "coroutine", "noted")
    )

    @polite.node
    def wait(ctx: NodeContext) -> str:
        gate.started.release()
        while not ctx.terminated.wait(0.01):
            if gate.go.is_set():
                return "let go"
        gate.terminated.set()
        return "late"

    @stubborn.node
    def ignore(ctx: NodeContext) -> str:
        gate.started.release()
        gate.go.wait(20)
        gate.terminated.set()
        return "late"

    @coroutine.node
    async def sleep(ctx: NodeContext) -> None:
        gate.started.release()
        try:
            await asyncio.sleep(60)
        finally:
            gate.terminated.set()

    @noted.node
    def note(ctx: NodeContext) -> None:
        gate.order.append(ctx.input)

    with LocalServer(polite, stubborn, coroutine, noted, workers=1) as server:
        yield server
        gate.go.set()


@pytest.fixture
def api(running: LocalServer, connect: Connect) -> Api:
    return connect(running)


def last_of(api: Api, task_id: str) -> tuple[str, object]:
    events = list(api.watch(task_id))
    return events[-1].name, events[-1].payload.get("reason")


def test_abort_of_a_prepared_task_prevents_its_start(api: Api, gate: Gate) -> None:
    task_id = api.prepare("noted")
    assert api.post("abort", task_id, "nicht nötig".encode()).status_code == 200
    assert api.get(task_id)["status"] == "stopped"
    assert api.get(task_id)["statusText"] == "nicht nötig"
    assert api.finalize(task_id, 1).status_code == 409
    assert [event.name for event in api.watch(task_id)] == ["taskAborted"]
    assert gate.order == []


def test_abort_of_a_waiting_task_takes_it_out_of_the_queue(api: Api, gate: Gate) -> None:
    first = api.start("polite")
    assert gate.started.acquire(timeout=10)
    waiting, behind = api.start("noted", "aborted"), api.start("noted", "run")
    assert api.get(waiting)["status"] == "pending"
    api.post("abort", waiting)
    gate.go.set()
    assert last_of(api, behind) == ("taskEnd", None)
    assert gate.order == ["run"]
    assert last_of(api, waiting) == ("taskAborted", None)
    assert last_of(api, first) == ("taskEnd", None)


@pytest.mark.parametrize("template", ["polite", "stubborn", "coroutine"])
def test_abort_of_a_running_task_is_immediate_and_late_results_are_dropped(
    api: Api, gate: Gate, template: str
) -> None:
    task_id = api.start(template)
    assert gate.started.acquire(timeout=10)
    assert api.get(task_id)["status"] == "running"
    assert api.post("abort", task_id, b"enough").status_code == 200
    assert api.get(task_id)["status"] == "stopped"
    # The slot is free again, even while the stubborn handler still runs.
    assert last_of(api, api.start("noted", 1)) == ("taskEnd", None)
    gate.go.set()
    assert gate.terminated.wait(10)
    assert last_of(api, api.start("noted", 2)) == ("taskEnd", None)
    assert [event.name for event in api.watch(task_id)] == ["taskStart", "nodeStart", "taskAborted"]
    assert last_of(api, task_id) == ("taskAborted", "enough")
    assert api.get(task_id)["result"] is None


def test_abort_of_an_ended_task_changes_nothing(api: Api) -> None:
    task_id = api.start("noted")
    list(api.watch(task_id))
    assert api.post("abort", task_id, b"too late").status_code == 200
    assert api.get(task_id)["status"] == "successful"
    assert last_of(api, task_id) == ("taskEnd", None)


def test_a_reason_may_be_anything(api: Api) -> None:
    task_id = api.prepare("noted")
    assert api.post("abort", task_id, b"\xff\xfe" + b"long " * 100_000).status_code == 200
    name, reason = last_of(api, task_id)
    assert name == "taskAborted"
    assert isinstance(reason, str)
    assert reason.startswith("\ufffd\ufffdlong")
    assert len(reason) <= 64 * 1024


def succeeds(api: Api, gate: Gate) -> tuple[str, str]:
    return api.start("noted", ack=True), "successful"


def is_aborted(api: Api, gate: Gate) -> tuple[str, str]:
    task_id = api.start("polite", ack=True)
    assert gate.started.acquire(timeout=10)
    api.post("abort", task_id)
    return task_id, "stopped"


@pytest.mark.parametrize("outcome", [succeeds, is_aborted])
def test_the_final_status_waits_for_the_acknowledgement(
    api: Api, gate: Gate, outcome: Callable[[Api, Gate], tuple[str, str]]
) -> None:
    task_id, final = outcome(api, gate)
    for _ in range(2):  # whoever reconnects is told again
        assert list(api.watch(task_id))[-1].payload["requireAck"] is True
    assert api.get(task_id)["status"] == "awaiting_delivery"
    api.post("abort", task_id)
    assert api.get(task_id)["status"] == "awaiting_delivery"
    assert api.post("ack", task_id).status_code == 200
    assert api.get(task_id)["status"] == final


def test_an_acknowledgement_before_the_end_counts_for_nothing(api: Api, gate: Gate) -> None:
    task_id = api.start("polite", ack=True)
    assert gate.started.acquire(timeout=10)
    assert api.post("ack", task_id).status_code == 200
    gate.go.set()
    list(api.watch(task_id))
    assert api.get(task_id)["status"] == "awaiting_delivery"


def test_the_most_urgent_runs_first_and_equals_by_age(api: Api, gate: Gate) -> None:
    api.start("polite")
    assert gate.started.acquire(timeout=10)
    tasks = [
        api.start("noted", number, priority=priority) for number, priority in enumerate([10, 5, 0, 5, 0, 9])
    ]
    gate.go.set()
    for task_id in tasks:
        assert last_of(api, task_id) == ("taskEnd", None)
    assert gate.order == [2, 4, 1, 3, 5, 0]
