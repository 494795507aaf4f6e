"""Stubs, what was started, the clock, and making a server as new."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from tests.local.api import Api, Connect, outline

from requence.exceptions import ConfigurationError, TaskFailedError, UsageError
from requence.local import LocalServer, NodeContext, StartedTask, TaskTemplate
from requence.task import Task, abort_task, protect_task


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def api(server: LocalServer, connect: Connect) -> Api:
    return connect(server)


def until(api: Api, task_id: str, name: str) -> None:
    """Waits for an update of a task."""
    assert any(event.name == name for event in api.watch(task_id))


def test_a_stub_gives_a_result(server: LocalServer) -> None:
    server.stub("invoice", result={"total": 5})
    task = Task("invoice", {"number": 1}, client=server.client)
    assert task.sync.result.result == {"total": 5}
    server.stub("invoice", result=None)  # the later one counts
    assert Task("invoice", client=server.client).sync.result.result is None


def test_a_stub_fails(server: LocalServer) -> None:
    server.stub("invoice", error="no paper")
    with pytest.raises(TaskFailedError) as caught:
        _ = Task("invoice", client=server.client).sync.result
    assert caught.value.reason == "no paper"


@pytest.mark.parametrize(
    ("more", "last"),
    [({}, ("taskEnd", 2)), ({"result": 3}, ("taskEnd", 3)), ({"error": "no"}, ("taskError", "no"))],
    ids=["alone", "before a result", "before an error"],
)
def test_a_stub_gives_updates(server: LocalServer, api: Api, more: Any, last: tuple[str, Any]) -> None:
    server.stub("invoice", updates=[1, 2], **more)
    events = api.run("invoice")
    data = [event.payload["data"] for event in events if event.name == "nodeUpdate"]
    assert data == ([1, 2, 3] if "result" in more else [1, 2])
    assert (events[-1].name, events[-1].payload.get("result", events[-1].payload.get("reason"))) == last


def test_a_stub_can_be_any_handler(server: LocalServer, api: Api) -> None:
    async def later(ctx: NodeContext) -> AsyncIterator[Any]:
        yield ctx.input

    def at_once(ctx: NodeContext) -> Any:
        return ctx.input

    for fn in (at_once, later):
        server.stub("invoice", fn)
        assert api.run("invoice", 7)[-1].payload["result"] == 7


def test_what_contradicts_itself_is_refused(server: LocalServer) -> None:
    wrong: list[dict[str, Any]] = [
        {"result": 1, "error": "x"},
        {"result": {1}},
        {"updates": [1, float("nan")]},
        {"delay": -1},
        {"delay": float("nan")},
    ]
    for arguments in wrong:
        with pytest.raises(ConfigurationError):
            server.stub("invoice", **arguments)
    with pytest.raises(ConfigurationError, match="either a function or"):
        server.stub("invoice", lambda ctx: 1, result=1)
    with pytest.raises(ConfigurationError):
        server.stub("", result=1)


def test_an_unknown_template_is_told_with_those_that_there_are(server: LocalServer, api: Api) -> None:
    assert "This server has: none" in api.http.post("/task/prepare/x").text
    server.stub("invoice", result=1)
    server.stub("order", result=1)
    answer = api.http.post("/task/prepare/invoise")
    assert answer.status_code == 404
    assert answer.text == 'There is no task template named "invoise". This server has: "invoice", "order"'


def test_a_stub_of_a_served_template_keeps_its_input_schema(connect: Connect) -> None:
    template = TaskTemplate("t", {"type": "object"})
    template.node("n")(lambda ctx: "real")
    with LocalServer(template) as server:
        api = connect(server)
        server.stub("t", result="stubbed")
        assert api.run("t", {})[-1].payload["result"] == "stubbed"
        assert api.finalize(api.prepare("t"), 5).status_code == 400
        server.reset()
        assert api.run("t", {})[-1].payload["result"] == "real"


def template(name: str, result: object) -> TaskTemplate:
    made = TaskTemplate(name, {"type": "object"})
    made.node("n")(lambda ctx: result)
    return made


def test_more_templates_are_served_until_the_reset(connect: Connect) -> None:
    outer = TaskTemplate("outer")
    outer.subtask("sub", template("inner", "of the sub task"))
    with LocalServer(template("order", "first")) as server:
        api = connect(server)
        server.serve(outer, template("invoice", 1))
        assert api.run("outer", {})[-1].payload["result"] == "of the sub task"
        assert api.run("invoice", {})[-1].payload["result"] == 1
        assert "invoice.py" in api.http.get("/task/types/python").json()
        server.serve(template("order", "second"))  # the later one counts
        assert api.run("order", {})[-1].payload["result"] == "second"
        server.reset()
        assert api.run("order", {})[-1].payload["result"] == "first"
        answer = api.http.post("/task/prepare/invoice")
        assert answer.text.endswith('This server has: "order"')


def test_a_stub_stays_in_the_place_of_a_template_that_comes_later(server: LocalServer, api: Api) -> None:
    server.stub("invoice", result="stubbed")
    server.serve(template("invoice", "real"))
    assert api.run("invoice", {})[-1].payload["result"] == "stubbed"
    assert api.finalize(api.prepare("invoice"), 5).status_code == 400  # by the template's schema


def test_what_cannot_be_served_is_refused(server: LocalServer) -> None:
    with pytest.raises(ConfigurationError, match="has no nodes"):
        server.serve(TaskTemplate("empty"))
    with pytest.raises(ConfigurationError, match='Two templates have the name "a"'):
        server.serve(template("a", 1), template("a", 2))
    with pytest.raises(ConfigurationError, match="serve takes TaskTemplates, not str"):
        server.serve("a")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_open_streams_are_told(server: LocalServer, api: Api) -> None:
    server.stub("invoice", lambda ctx: ctx.terminated.wait(20))
    task_id = api.start("invoice")
    assert server.open_streams() == []
    events = api.watch(task_id)
    next(events)
    with api.watch_all() as everything:
        next(everything)
        assert server.open_streams() == [task_id, None]
    until_open(server, [task_id])
    abort_task(task_id=task_id, client=server.client)
    assert list(events)[-1].name == "taskAborted"
    until_open(server, [])


def until_open(server: LocalServer, streams: list[str | None]) -> None:
    """Waits until these streams are open: the server learns a moment later that a reader has left."""
    deadline = time.monotonic() + 10
    while server.open_streams() != streams:
        assert time.monotonic() < deadline, server.open_streams()
        time.sleep(0.005)


def test_all_tasks_are_aborted_and_their_handlers_waited_for(server: LocalServer, api: Api) -> None:
    cleaned: list[str] = []

    def in_a_thread(ctx: NodeContext) -> None:
        ctx.terminated.wait(20)
        cleaned.append("thread")

    async def on_the_loop(ctx: NodeContext) -> None:
        try:
            await asyncio.sleep(20)
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("loop")

    server.stub("thread", in_a_thread)
    server.stub("loop", on_the_loop)
    server.stub("done", result=1)
    server.stub("later", result=1, delay=3600)
    api.run("done")
    for name in ("thread", "loop", "later"):
        until(api, api.start(name), "nodeStart")
    assert server.abort_all("It is late") == []
    assert sorted(cleaned) == ["loop", "thread"]
    assert [task.status for task in server.started()] == ["successful", "stopped", "stopped", "stopped"]
    last = list(api.watch(server.started("later")[0].task_id))[-1]
    assert (last.name, last.payload["reason"]) == ("taskAborted", "It is late")


def test_a_handler_that_does_not_end_is_named(server: LocalServer, api: Api) -> None:
    let_go = threading.Event()
    server.stub("invoice", lambda ctx: let_go.wait(20))
    until(api, api.start("invoice"), "nodeStart")
    assert server.abort_all(timeout=0) == ["requence-local-node-stub"]
    let_go.set()
    assert server.abort_all() == []


def test_a_handler_does_not_wait_for_itself(server: LocalServer) -> None:
    server.stub("invoice", lambda ctx: server.abort_all())
    with pytest.raises(TaskFailedError, match="A handler cannot wait for itself"):
        _ = Task("invoice", client=server.client).sync.result


def test_what_was_started_is_told(server: LocalServer) -> None:
    server.stub("invoice", lambda ctx: ctx.terminated.wait(20) if ctx.input == "wait" else 1)
    server.stub("order", result=1)
    first = Task("invoice", "wait", name="One", priority=9, client=server.client)
    second = Task("invoice", {"a": 1}, client=server.client)
    other = Task("order", client=server.client)
    ids = [task.sync.id for task in (first, second, other)]
    assert second.sync.result.result == other.sync.result.result == 1
    abort_task(task_id=ids[0], client=server.client)
    protect_task(task_id=ids[1], client=server.client)
    assert server.started("invoice") == [
        StartedTask(ids[0], "invoice", "wait", "One", 9, "stopped", aborted=True, protected=False),
        StartedTask(ids[1], "invoice", {"a": 1}, None, 5, "successful", aborted=False, protected=True),
    ]
    assert [task.template for task in server.started()] == ["invoice", "invoice", "order"]
    assert server.started("nothing") == []


def test_reset_makes_the_server_as_new(server: LocalServer, api: Api) -> None:
    told = threading.Event()
    came = threading.Event()

    def wait(ctx: NodeContext) -> None:
        came.set()
        ctx.terminated.wait(20)
        told.set()

    server.stub("invoice", wait)
    token = server.access_token
    task_id = api.start("invoice")
    assert came.wait(10)
    with api.watch_all() as everything:
        position = next(everything).position
    events = api.watch(task_id)
    assert [next(events).name, next(events).name] == ["taskStart", "nodeStart"]
    server.reset()
    assert list(events) == []  # the stream of a task that is gone ends
    assert told.wait(10)
    assert server.started() == []
    assert api.http.get(f"/task/{task_id}").status_code == 404
    assert api.http.post("/task/prepare/invoice").status_code == 404
    assert server.access_token == token
    server.stub("invoice", result=1)
    fault = server.faults.status(503, operation="prepare")
    server.reset()
    server.stub("invoice", result=1)
    api.run("invoice")
    assert fault.struck == 0
    with api.watch_all() as everything:
        assert next(everything).position > position


def test_the_clock_lets_a_retry_come_at_once(server: LocalServer, api: Api) -> None:
    calls: list[int] = []

    def shaky(ctx: NodeContext) -> int:
        calls.append(1)
        if len(calls) < 3:
            ctx.retry(3_600_000)
        return len(calls)

    server.stub("invoice", shaky)
    task_id = api.start("invoice")
    for count in (1, 2):
        events = api.watch(task_id)
        for _ in range(count):
            assert any(event.name == "nodeDefer" for event in events)
        server.clock.advance(3599)
        assert len(calls) == count
        server.clock.advance(1)
    assert list(api.watch(task_id))[-1].payload["result"] == 3


def test_the_clock_lets_a_deferral_run_out(server: LocalServer, api: Api) -> None:
    keys: list[str] = []
    server.stub("invoice", lambda ctx: keys.append(ctx.defer("a person", timeout=3600)))
    task_id = api.start("invoice")
    until(api, task_id, "nodeDefer")
    server.clock.advance(3599)
    assert api.get(task_id)["status"] == "running"
    server.clock.advance(1)
    assert list(api.watch(task_id))[-1].payload["reason"] == "Nobody has acted in time"
    with pytest.raises(UsageError):
        server.act(keys[0])


def test_the_clock_lets_a_delayed_stub_go_on(server: LocalServer, api: Api) -> None:
    before = server.clock.now()
    server.stub("invoice", result=1, delay=3600)
    task_id = api.start("invoice")
    until(api, task_id, "nodeStart")
    server.clock.advance(3600)
    events = list(api.watch(task_id))
    assert outline(events)[-1] == "taskEnd"
    # Times of updates are by this clock, too.
    assert events[-1].payload["timestamp"] >= (before + timedelta(hours=1)).isoformat()[:19]


def test_the_clock_goes_on_only(server: LocalServer) -> None:
    for seconds in (-1, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError):
            server.clock.advance(seconds)


@pytest.mark.parametrize("seconds", [1e12, 1e300, 86_400 * 366 * 8000])
def test_the_clock_does_not_go_where_no_calendar_goes(seconds: float) -> None:
    with LocalServer() as server:
        before = server.clock.now()
        with pytest.raises(ConfigurationError, match="The clock cannot be moved on by"):
            server.clock.advance(seconds)
        assert server.clock.now() - before < timedelta(minutes=1)
        server.stub("t", result=1)
        assert Task("t", client=server.client).sync.result.result == 1


@pytest.mark.parametrize("delay", [-1, 1e9, float("nan"), float("inf")])
def test_the_delay_of_a_stub_is_a_year_at_most(delay: float) -> None:
    with LocalServer() as server, pytest.raises(ConfigurationError, match="from 0 seconds to a year"):
        server.stub("t", result=1, delay=delay)


def test_a_stub_can_end_at_an_exit_with_a_name(server: LocalServer, api: Api) -> None:
    server.stub("invoice", result={"total": 1}, exit="approved")
    last = api.run("invoice")[-1].payload
    assert (last["exit"], last["result"]) == ("approved", {"total": 1})
    server.stub("invoice", error="no paper", exit="approved")
    assert api.run("invoice")[-1].payload["reason"] == "no paper"
    with pytest.raises(ConfigurationError, match="exit"):
        server.stub("invoice", result=1, exit="")


def test_timers_that_are_not_needed_any_more_are_let_go(server: LocalServer, api: Api) -> None:
    keys: list[str] = []
    server.stub("approval", lambda ctx: keys.append(ctx.defer("a person", timeout=86_400)))
    for number in range(300):
        task_id = api.start("approval")
        assert any(event.name == "nodeDefer" for event in islice(api.watch(task_id), 3))
        server.act(keys[number])
    assert server._runtime is not None
    assert server._runtime.call(lambda engine: len(engine.clock._timers)) < 150
