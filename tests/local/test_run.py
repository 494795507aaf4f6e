"""How tasks walk through their graphs: order, shapes of input, failures, ends."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from tests.local.api import Api, Connect, data_of, outline
from tests.local.conftest import Serve

from requence.local import LocalServer, NodeContext, TaskTemplate


@pytest.fixture
def template() -> TaskTemplate:
    return TaskTemplate("t")


@pytest.fixture
def api(template: TaskTemplate, connect: Connect) -> Iterator[Any]:
    """Starts the server at the first use, when the test has declared its nodes."""
    servers: list[LocalServer] = []

    class Lazy:
        def __getattr__(self, name: str) -> Any:
            if not servers:
                servers.append(LocalServer(template).__enter__())
                self.__dict__["client"] = connect(servers[0])
            return getattr(self.__dict__["client"], name)

    yield Lazy()
    for server in servers:
        server.__exit__(None, None, None)


def test_the_events_of_a_task_in_order_and_in_full(template: TaskTemplate, api: Api) -> None:
    @template.node
    def first(ctx: NodeContext) -> dict[str, Any]:
        return {"seen": ctx.input}

    @template.node("last", after=first)
    async def second(ctx: NodeContext) -> Any:
        return ctx.input["seen"]

    task_id = api.prepare("t")
    assert api.finalize(task_id, ["ä", 1], name="Ünique").status_code == 200
    events = list(api.watch(task_id))

    assert outline(events) == [
        "taskStart",
        "nodeStart first",
        "nodeUpdate first",
        "nodeEnd first",
        "nodeStart last",
        "nodeUpdate last",
        "nodeEnd last",
        "taskEnd",
    ]
    assert [event.position for event in events] == list(range(1, 9))
    assert {event.payload["taskId"] for event in events} == {task_id}
    assert {event.payload["name"] for event in events} == {"Ünique"}
    assert len({event.payload["updateId"] for event in events}) == 8
    times = [event.payload["timestamp"] for event in events]
    assert times == sorted(times)
    assert all(time.endswith("Z") and datetime.fromisoformat(time) for time in times)
    node = events[1].payload["node"]
    assert node == {"id": node["id"], "type": "service", "alias": "first"}
    assert {event.payload["node"]["id"] for event in events if event.alias == "first"} == {node["id"]}
    assert events[0].payload["input"] == ["ä", 1]
    assert events[2].payload["data"] == {"seen": ["ä", 1]}
    assert events[2].payload["output"] is None
    assert {key: events[-1].payload[key] for key in ("result", "exit", "requireAck")} == {
        "result": ["ä", 1],
        "exit": None,
        "requireAck": False,
    }
    assert api.get(task_id) == {
        "status": "successful",
        "statusText": "Ended successfully",
        "input": ["ä", 1],
        "result": ["ä", 1],
        "nodesData": [{"alias": "first", "data": {"seen": ["ä", 1]}}, {"alias": "last", "data": ["ä", 1]}],
        "nodesError": [],
        "taskTemplate": "t",
        "name": "Ünique",
        "branch": "live",
    }


def test_the_edge_decides_the_shape_of_the_input(template: TaskTemplate, api: Api) -> None:
    @template.node
    def one(ctx: NodeContext) -> int:
        return 1

    @template.node
    def two(ctx: NodeContext) -> int:
        raise ValueError("no two")

    @template.node(after=one)
    def single(ctx: NodeContext) -> Any:
        return [ctx.input]

    @template.node(after=[one])
    def listed(ctx: NodeContext) -> Any:
        return ctx.input

    @template.node(after=two.on_fail)
    def rescue(ctx: NodeContext) -> Any:
        return ctx.input

    @template.node(after=[one, two.on_fail, single])
    def mixed(ctx: NodeContext) -> Any:
        return ctx.input

    template.exit(after=[mixed, two.on_fail])
    events = api.run("t")
    failure = {"node": "two", "error": "no two"}
    assert data_of(events, "single") == [1]
    assert data_of(events, "listed") == {"one": 1}
    assert data_of(events, "rescue") == failure
    assert data_of(events, "mixed") == {"one": 1, "two": failure, "single": [1]}
    assert events[-1].payload["result"] == {"mixed": data_of(events, "mixed"), "two": failure}


def test_what_a_handler_is_given(template: TaskTemplate, api: Api, caplog: pytest.LogCaptureFixture) -> None:
    @template.node
    def change(ctx: NodeContext) -> list[int]:
        ctx.input["list"].append(99)
        ctx.task_input["list"].append(98)
        return [1]

    @template.node(after=change)
    def look(ctx: NodeContext) -> dict[str, Any]:
        ctx.input.append(2)
        ctx.debug.warn("seen", 1, None)
        return {
            "task_input": ctx.task_input,
            "node_data": dict(ctx.node_data),
            "missing": ctx.node_data.get("look"),
            "task_id": ctx.task_id,
            "terminated": ctx.terminated.is_set(),
            "thread": threading.current_thread().name,
        }

    task_id = api.start("t", {"list": []})
    events = list(api.watch(task_id))
    assert data_of(events, "look") == {
        "task_input": {"list": []},  # what another handler changed, only that handler saw
        "node_data": {"change": [1]},
        "missing": None,
        "task_id": task_id,
        "terminated": False,
        "thread": "requence-local-node-look",
    }
    assert ("requence.local.t", 30, "seen 1 None") in caplog.record_tuples


def test_nodes_without_a_common_edge_run_side_by_side(template: TaskTemplate, api: Api) -> None:
    meeting = threading.Barrier(3, timeout=10)

    def meet(ctx: NodeContext) -> int:
        meeting.wait()
        return 1

    for alias in ("a", "b", "c"):
        template.node(alias)(meet)
    assert api.run("t")[-1].payload["result"] == {"a": 1, "b": 1, "c": 1}


def test_an_unconnected_failure_ends_the_task(template: TaskTemplate, api: Api) -> None:
    cancelled = threading.Event()

    @template.node
    async def slow(ctx: NodeContext) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    @template.node
    def bad(ctx: NodeContext) -> None:
        raise ValueError("it cannot be")

    @template.node(after=bad)
    def never(ctx: NodeContext) -> None:
        raise AssertionError("must not run")

    events = api.run("t")
    assert outline(events)[-2:] == ["nodeError bad", "taskError"]
    assert events[-2].payload["error"] == "it cannot be"
    assert events[-1].payload["reason"] == "it cannot be"
    assert "nodeStart never" not in outline(events)
    assert cancelled.wait(10)
    state = api.get(events[0].payload["taskId"])
    assert (state["status"], state["statusText"]) == ("failed", "it cannot be")
    assert state["nodesError"] == [{"alias": "bad", "error": "it cannot be"}]


def test_a_failure_goes_on_where_it_is_connected(template: TaskTemplate, api: Api) -> None:
    @template.node
    def bad(ctx: NodeContext) -> None:
        ctx.abort("given up")

    @template.node(after=bad)
    def proud(ctx: NodeContext) -> str:
        return "unreached"

    @template.node(after=[bad, proud])
    def both(ctx: NodeContext) -> str:
        return "unreached"

    @template.node(after=bad.on_fail)
    def humble(ctx: NodeContext) -> str:
        return f"after: {ctx.input['error']}"

    events = api.run("t")
    assert outline(events) == [
        "taskStart",
        "nodeStart bad",
        "nodeError bad",
        "nodeStart humble",
        "nodeUpdate humble",
        "nodeEnd humble",
        "taskEnd",
    ]
    # Two leaves, of which one was reached: the shape of the result does not depend on the way taken.
    assert events[-1].payload["result"] == {"humble": "after: given up"}


def test_an_exit_that_is_never_reached_fails_the_task(template: TaskTemplate, api: Api) -> None:
    @template.node
    def bad(ctx: NodeContext) -> None:
        raise ValueError

    @template.node(after=bad)
    def report(ctx: NodeContext) -> None: ...

    @template.node(after=bad.on_fail)
    def rescue(ctx: NodeContext) -> None: ...

    template.exit(after=[report, rescue])
    last = api.run("t")[-1]
    assert last.name == "taskError"
    assert last.payload["reason"] == 'The task ran out of nodes before its exit, which waits for "report".'


class Strange:
    def __repr__(self) -> str:
        return "Strange"


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class LeavingError(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)


def looped() -> list[object]:
    values: list[object] = []
    values.append(values)
    return values


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"a": [1, {2}]}, 'result["a"][1] is of type set, which JSON cannot express'),
        ({"n": float("nan")}, 'result["n"] is nan, which JSON cannot express'),
        ({"a": {1: 2}}, 'result["a"] has the key 1 of type int; JSON keys are text'),
        (Strange(), "result is of type Strange, which JSON cannot express"),
        (looped(), "result[0] contains itself, which JSON cannot express"),
        (deep(201), "result is nested deeper than 200 levels"),
    ],
    ids=["set", "nan", "key", "object", "loop", "deep"],
)
@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_a_value_that_is_not_json_fails_the_node_and_is_located(
    template: TaskTemplate, api: Api, value: object, error: str, kind: str
) -> None:
    async def coroutine(ctx: NodeContext) -> object:
        return value

    def function(ctx: NodeContext) -> object:
        return value

    template.node("n")(function if kind == "thread" else coroutine)
    events = api.run("t")
    assert outline(events)[1:3] == ["nodeStart n", "nodeError n"]
    assert events[2].payload["error"] == error


def test_values_that_are_json_arrive_as_such(template: TaskTemplate, api: Api) -> None:
    @template.node
    def n(ctx: NodeContext) -> object:
        return {"tuple": (1, 2.5), "text": "\ud800 \u2028 \0", "deep": deep(150), "none": None, "big": 10**30}

    result = api.run("t", deep(190))[-1].payload["result"]
    assert result == {
        "tuple": [1, 2.5],
        "text": "\ud800 \u2028 \0",
        "deep": deep(150),
        "none": None,
        "big": 10**30,
    }


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (ValueError("plain"), "plain"),
        (KeyError("k"), "KeyError: 'k'"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (StopIteration("s"), "s"),
        (MuteError(), "MuteError"),
        (LeavingError(), "LeavingError"),
        (asyncio.CancelledError(), "CancelledError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_whatever_a_handler_raises_the_server_lives_on(
    template: TaskTemplate, api: Api, raised: BaseException, error: str, kind: str
) -> None:
    async def coroutine(ctx: NodeContext) -> None:
        raise raised

    def function(ctx: NodeContext) -> None:
        raise raised

    template.node("n")(function if kind == "thread" else coroutine)
    events = api.run("t")
    assert outline(events)[-2:] == ["nodeError n", "taskError"]
    assert error in events[-2].payload["error"]
    assert api.run("t")[-1].name == "taskError"


def test_a_function_that_returns_a_coroutine_is_awaited(template: TaskTemplate, api: Api) -> None:
    async def later(value: int) -> int:
        await asyncio.sleep(0)
        return value

    template.node("n")(lambda ctx: later(5))
    assert api.run("t")[-1].payload["result"] == 5


def test_what_was_delivered_before_skipping_stays(serve: Serve) -> None:
    t = TaskTemplate("t")

    @t.node
    def first(ctx: NodeContext) -> None:
        ctx.to_output("side", 1)
        ctx.skip()

    @t.node(after=first.output("side"))
    def follows(ctx: NodeContext) -> int:
        return int(ctx.input) + 1

    assert serve(t).run("t")[-1].payload["result"] == 2


@pytest.mark.parametrize("way", ["gather", "wait_for", "group", "alone"])
@pytest.mark.parametrize(
    ("error", "reason"), [(SystemExit(3), "SystemExit: 3"), (KeyboardInterrupt(), "KeyboardInterrupt")]
)
def test_a_task_of_a_handler_cannot_end_the_server(
    template: TaskTemplate, api: Api, way: str, error: BaseException, reason: str
) -> None:
    async def inner() -> None:
        await asyncio.sleep(0)
        raise error

    @template.node
    async def leave(ctx: NodeContext) -> list[int]:
        match "stay" if ctx.input == "stay" else way:
            case "gather":
                await asyncio.gather(inner(), asyncio.sleep(0))
            case "wait_for":
                await asyncio.wait_for(inner(), 10)
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(inner())
            case "alone":
                await asyncio.create_task(inner())
            case _:
                pass
        return list(await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2)))

    told = api.run("t")[-1].payload["reason"]
    assert told == reason
    assert api.run("t", "stay")[-1].payload["result"] == [1, 2]


def test_a_task_of_a_handler_that_is_cancelled_at_once_is_closed(template: TaskTemplate, api: Api) -> None:
    async def inner() -> None:
        await asyncio.sleep(60)

    @template.node
    async def cancel(ctx: NodeContext) -> list[bool]:
        early, late = asyncio.create_task(inner()), asyncio.create_task(inner())
        early.cancel()
        await asyncio.sleep(0)
        late.cancel()
        await asyncio.wait([early, late])
        return [early.cancelled(), late.cancelled(), "inner" in repr(late)]

    assert api.run("t")[-1].payload["result"] == [True, True, True]


@pytest.mark.parametrize("way", ["exit", "stop"])
def test_a_handler_that_disturbs_the_event_loop_does_not_end_the_server(
    template: TaskTemplate, api: Api, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    @template.node
    async def disturb(ctx: NodeContext) -> str:
        loop = asyncio.get_running_loop()
        if way == "exit":
            loop.call_soon(sys.exit, 3)
        else:
            loop.stop()
        await asyncio.sleep(0.01)
        return "done"

    assert api.run("t")[-1].payload["result"] == "done"
    assert api.run("t")[-1].payload["result"] == "done"
    assert "the local server goes on" in caplog.text
