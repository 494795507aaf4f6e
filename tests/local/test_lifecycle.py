"""Who gets a place, how tasks end at any moment, and what is removed when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.local.api import Api, Connect, outline

from requence.local import LocalServer, NodeContext, TaskTemplate

DAY = 86_400.0


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer(workers=1) as server:
        yield server


@pytest.fixture
def api(server: LocalServer, connect: Connect) -> Api:
    return connect(server)


def known(api: Api, task_id: str) -> bool:
    return api.http.get(f"/task/{task_id}").status_code == 200


def test_places_are_for_handlers_not_for_tasks(connect: Connect) -> None:
    """Of two tasks of two nodes, the urgent one overtakes between the nodes of the other."""
    order: list[str] = []
    came, go = threading.Semaphore(0), threading.Semaphore(0)
    template = TaskTemplate("t")

    @template.node
    def first(ctx: NodeContext) -> Any:
        order.append(f"{ctx.input} first")
        came.release()
        go.acquire(timeout=10)
        return ctx.input

    @template.node(after=first)
    def second(ctx: NodeContext) -> None:
        order.append(f"{ctx.input} second")

    with LocalServer(template, workers=1) as server:
        api = connect(server)
        slow = api.start("t", "slow", priority=5)
        assert came.acquire(timeout=10)
        equal = api.start("t", "equal", priority=5)
        urgent = api.start("t", "urgent", priority=0)
        assert api.get(urgent)["status"] == "pending"
        go.release(3)
        for task_id in (slow, equal, urgent):
            assert list(api.watch(task_id))[-1].name == "taskEnd"
    assert order == [
        "slow first",
        "urgent first",
        "urgent second",
        "slow second",
        "equal first",
        "equal second",
    ]


def test_abort_while_a_retry_is_pending(server: LocalServer, api: Api) -> None:
    calls: list[int] = []

    def again(ctx: NodeContext) -> None:
        calls.append(1)
        ctx.retry(3_600_000)

    server.stub("t", again)
    task_id = api.start("t")
    next(event for event in api.watch(task_id) if event.name == "nodeDefer")
    api.post("abort", task_id, b"no more")
    server.clock.advance(3600)
    assert outline(list(api.watch(task_id))) == [
        "taskStart",
        "nodeStart stub",
        "nodeDefer stub",
        "taskAborted",
    ]
    server.stub("t", result=1)
    assert api.run("t")[-1].name == "taskEnd"  # whatever the clock has begun has come to its end by now
    assert calls == [1]


def test_abort_while_a_node_waits_for_its_place(server: LocalServer, api: Api) -> None:
    came, go = threading.Event(), threading.Event()

    def hold(ctx: NodeContext) -> None:
        came.set()
        go.wait(10)

    server.stub("block", hold)
    called: list[int] = []
    server.stub("t", lambda ctx: called.append(1))
    block = api.start("block")
    assert came.wait(10)
    task_id = api.start("t")
    api.post("abort", task_id)
    go.set()
    assert list(api.watch(block))[-1].name == "taskEnd"
    assert api.run("t")[-1].name == "taskEnd"
    assert called == [1]
    assert outline(list(api.watch(task_id))) == ["taskAborted"]


def test_a_task_goes_a_week_after_its_end(server: LocalServer, api: Api) -> None:
    server.stub("t", result=1)
    keys: list[str] = []
    server.stub("waits", lambda ctx: keys.append(ctx.defer()))
    old, kept = api.start("t"), api.start("t")
    waiting = api.start("waits")
    undelivered = api.start("t", ack=True)
    for task_id in (old, kept, undelivered):
        list(api.watch(task_id))
    next(event for event in api.watch(waiting) if event.name == "nodeDefer")
    api.post("protect", kept)
    server.clock.advance(7 * DAY - 120)
    assert known(api, old)
    young = api.start("t")
    list(api.watch(young))
    server.clock.advance(300)
    assert not known(api, old)
    assert api.http.post(f"/task/watch/{old}", json={"since": None}).status_code == 404
    assert all(known(api, task_id) for task_id in (kept, young, waiting, undelivered))
    assert [task.task_id for task in server.started()] == [kept, waiting, undelivered, young]
    # Its updates are gone, too, while positions stay what they are.
    with api.watch_all() as everything:
        first = next(everything)
    assert first.payload["task_id"] == kept
    assert first.position > 1
    # Delivered at last, it is over for good.
    api.post("ack", undelivered)
    server.clock.advance(300)
    assert not known(api, undelivered)
    server.act(keys[0])
    assert list(api.watch(waiting))[-1].name == "taskEnd"


def test_a_task_that_is_never_started_goes_after_an_hour(server: LocalServer, api: Api) -> None:
    server.stub("t", result=1)
    idle, aborted, protected = (api.prepare("t") for _ in range(3))
    api.post("abort", aborted)
    api.post("protect", protected)
    server.clock.advance(3500)
    assert known(api, idle)
    late = api.prepare("t")
    server.clock.advance(200)
    assert not known(api, idle)
    assert api.finalize(idle).status_code == 404
    assert known(api, aborted)  # this one has ended, which is told for a week
    assert known(api, protected)
    assert api.finalize(late).status_code == 200


def test_sub_tasks_stay_as_long_as_the_task_at_the_top(connect: Connect) -> None:
    inner, outer = TaskTemplate("inner"), TaskTemplate("outer")
    inner.node("n")(lambda ctx: 1)
    outer.subtask("sub", inner)
    with LocalServer(outer, retention=timedelta(hours=2)) as server:
        api = connect(server)
        gone, kept = api.start("outer"), api.start("outer")
        for task_id in (gone, kept):
            list(api.watch(task_id))
        api.post("protect", kept)
        assert len(server.started("inner")) == 2
        server.clock.advance(2 * 3600 + 61)
        assert [task.task_id for task in server.started("outer")] == [kept]
        [left] = server.started("inner")
        with api.watch_all() as everything:
            assert next(everything).payload["task_id"] in (kept, left.task_id)


def test_retention_can_be_switched_off_and_counts_over_restarts(tmp_path: Path, connect: Connect) -> None:
    template = TaskTemplate("t")
    template.node("n")(lambda ctx: 1)
    with LocalServer(template, db=tmp_path / "t.db", retention=None) as server:
        api = connect(server)
        task_id = api.start("t")
        list(api.watch(task_id))
        server.clock.advance(1000 * DAY)
        assert known(api, task_id)
    with LocalServer(template, db=tmp_path / "t.db", retention=timedelta(hours=3)) as server:
        assert known(connect(server), task_id)
        server.clock.advance(3 * 3600 + 61)
        assert not known(connect(server), task_id)


def test_a_follower_of_a_removed_task_is_let_go(server: LocalServer, api: Api) -> None:
    server.stub("t", result=1)
    prepared = api.prepare("t")
    with api.http.stream("POST", f"/task/watch/{prepared}", json={"since": None}) as answer:
        assert answer.status_code == 200
        server.clock.advance(3700)
        assert answer.read() == b""
