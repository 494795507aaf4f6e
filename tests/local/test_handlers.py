"""What handlers can do beside returning a value: yield, skip, retry, defer; and what they are given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.local.api import Api, Connect, outline
from tests.local.conftest import Serve
from tests.local.contract import fits

from requence.exceptions import ConfigurationError, UsageError
from requence.local import LocalServer, NodeContext, TaskTemplate


@pytest.fixture
def template() -> TaskTemplate:
    return TaskTemplate("t")


def plain(ctx: NodeContext) -> Iterator[Any]:
    yield from ctx.input


async def coroutine(ctx: NodeContext) -> AsyncIterator[Any]:
    for value in ctx.input:
        yield value


def wrapped_plain(ctx: NodeContext) -> Any:
    return plain(ctx)


def wrapped_coroutine(ctx: NodeContext) -> Any:
    return coroutine(ctx)


@pytest.mark.parametrize("handler", [plain, coroutine, wrapped_plain, wrapped_coroutine])
def test_a_generator_delivers_what_it_yields_and_hands_on_the_last(
    template: TaskTemplate, serve: Serve, handler: Callable[[NodeContext], Any]
) -> None:
    node = template.node("count")(handler)
    template.node("after", after=node)(lambda ctx: [ctx.input])
    api = serve(template)
    events = api.run("t", [1, 2, 3])
    assert outline(events)[1:7] == [
        "nodeStart count",
        *["nodeUpdate count"] * 3,
        "nodeEnd count",
        "nodeStart after",
    ]
    assert [
        event.payload["data"] for event in events if event.alias == "count" and event.name == "nodeUpdate"
    ] == [
        1,
        2,
        3,
    ]
    assert events[-1].payload["result"] == [3]
    # One that yields nothing has no data, so what follows it does not run.
    nothing = api.run("t", [])
    assert outline(nothing)[1:3] == ["nodeStart count", "nodeEnd count"]
    assert nothing[-1].name == "taskError"


@pytest.mark.parametrize("handler", [plain, coroutine])
def test_what_a_generator_yields_must_be_json(
    template: TaskTemplate, serve: Serve, handler: Callable[[NodeContext], Any]
) -> None:
    @template.node
    def bad(ctx: NodeContext) -> Any:
        return handler(NodeContext([1, {2}]))

    events = serve(template).run("t")
    assert outline(events) == ["taskStart", "nodeStart bad", "nodeUpdate bad", "nodeError bad", "taskError"]
    assert events[-1].payload["reason"] == "yield is of type set, which JSON cannot express"


def test_what_a_generator_returns_is_its_last_value(template: TaskTemplate, serve: Serve) -> None:
    @template.node
    def count(ctx: NodeContext) -> Generator[int, None, int]:
        yield 1
        return 2

    events = serve(template).run("t")
    assert [event.payload["data"] for event in events if event.name == "nodeUpdate"] == [1, 2]
    assert events[-1].payload["result"] == 2


@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_an_endless_generator_is_closed_when_the_task_is_aborted(
    template: TaskTemplate, serve: Serve, kind: str
) -> None:
    closed = threading.Event()

    def endless(ctx: NodeContext) -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async def endless_coroutine(ctx: NodeContext) -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    template.node("n")(endless if kind == "thread" else endless_coroutine)
    api = serve(template)
    task_id = api.start("t")
    events = api.watch(task_id)
    for _ in range(20):
        next(events)
    api.post("abort", task_id, b"enough")
    last = list(events)[-1]
    assert (last.name, last.payload["reason"]) == ("taskAborted", "enough")
    assert closed.wait(10)


def test_a_skipped_node_ends_without_data(template: TaskTemplate, serve: Serve) -> None:
    @template.node
    def choose(ctx: NodeContext) -> Any:
        if not ctx.input:
            ctx.skip()
        return "chosen"

    template.node("after", after=choose)(lambda ctx: ctx.input)
    template.node("beside")(lambda ctx: "beside")
    api = serve(template)
    events = api.run("t", False)
    mine = [name for name in outline(events) if name.endswith((" choose", " after"))]
    assert mine == ["nodeStart choose", "nodeEnd choose"]
    assert events[-1].payload["result"] == {"beside": "beside"}
    assert api.run("t", True)[-1].payload["result"] == {"after": "chosen", "beside": "beside"}


def test_a_task_whose_only_leaf_was_skipped_has_no_result(template: TaskTemplate, serve: Serve) -> None:
    template.node("n")(lambda ctx: ctx.skip())
    last = serve(template).run("t")[-1]
    assert (last.name, last.payload["result"]) == ("taskEnd", None)


def test_configuration_is_given_as_a_copy(template: TaskTemplate, serve: Serve) -> None:
    given = {"limit": [1]}

    @template.node(configuration=given)
    def n(ctx: NodeContext) -> Any:
        ctx.configuration["limit"].append(2)
        return ctx.configuration

    template.node("m", after=n)(lambda ctx: [ctx.input, ctx.configuration])
    given["limit"].append(99)
    api = serve(template)
    for _ in range(2):
        assert api.run("t")[-1].payload["result"] == [{"limit": [1, 2]}, None]


def test_a_retried_node_runs_again(template: TaskTemplate, serve: Serve) -> None:
    calls: list[int] = []

    @template.node
    def shaky(ctx: NodeContext) -> int:
        calls.append(1)
        ctx.to_output("attempt", len(calls))
        if len(calls) < 3:
            ctx.retry(100)
        return len(calls)

    template.node("after", after=shaky)(lambda ctx: ctx.input)
    events = serve(template, workers=1).run("t")
    assert outline(events) == [
        "taskStart",
        *["nodeStart shaky", "nodeUpdate shaky", "nodeDefer shaky"] * 2,
        "nodeStart shaky",
        *["nodeUpdate shaky"] * 2,
        "nodeEnd shaky",
        "nodeStart after",
        "nodeUpdate after",
        "nodeEnd after",
        "taskEnd",
    ]
    deferred = next(event for event in events if event.name == "nodeDefer")
    assert deferred.payload["reason"] == "Runs again in 100 ms"
    assert fits("NodeDeferEvent", deferred.payload)
    assert events[-1].payload["result"] == 3


@pytest.mark.parametrize("delay", [99, -1, 0, float("nan"), float("inf")])
def test_a_retry_at_a_time_that_cannot_be_fails_the_node(
    template: TaskTemplate, serve: Serve, delay: float
) -> None:
    template.node("n")(lambda ctx: ctx.retry(delay))
    assert "at least 100 ms" in serve(template).run("t")[-1].payload["reason"]


class Desk:
    """Templates whose node waits for somebody: where the keys go to, and how often the handler was called."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.came = threading.Semaphore(0)

    def template(self, kind: str = "thread") -> TaskTemplate:
        template = TaskTemplate("t")

        def ask(ctx: NodeContext) -> str:
            self.keys.append(ctx.defer("waits for a person"))
            self.came.release()
            return "dropped"

        async def ask_on_loop(ctx: NodeContext) -> str:
            return ask(ctx)

        node = template.node("ask")(ask if kind == "thread" else ask_on_loop)
        template.node("after", after=node)(lambda ctx: ["after", ctx.input])
        template.node("rescue", after=node.on_fail)(lambda ctx: ["rescue", ctx.input["error"]])
        return template

    def key(self) -> str:
        assert self.came.acquire(timeout=10)
        return self.keys[-1]


def deferred(api: Api, task_id: str) -> None:
    """Waits until the task says that its node is deferred."""
    for event in api.watch(task_id):
        if event.name == "nodeDefer":
            assert event.payload["reason"] == "waits for a person"
            return
    raise AssertionError("it was never deferred")


@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_a_deferred_node_is_ended_from_outside(connect: Connect, kind: str) -> None:
    desk = Desk()
    with LocalServer(desk.template(kind), workers=1) as server:
        api = connect(server)
        task_id = api.start("t")
        key = desk.key()
        deferred(api, task_id)
        assert api.get(task_id)["status"] == "running"
        other = api.start("t")  # a node that waits takes nobody's place
        deferred(api, other)
        server.act(key, result={"approved": True})
        events = list(api.watch(task_id))
        assert outline(events) == [
            "taskStart",
            "nodeStart ask",
            "nodeDefer ask",
            "nodeUpdate ask",
            "nodeEnd ask",
            "nodeStart after",
            "nodeUpdate after",
            "nodeEnd after",
            "taskEnd",
        ]
        assert events[-1].payload["result"] == {"after": ["after", {"approved": True}]}
        server.act(desk.key(), error="refused")
        assert list(api.watch(other))[-1].payload["result"] == {"rescue": ["rescue", "refused"]}
        for used in (key, "nonsense"):
            with pytest.raises(UsageError, match="Nothing waits for this key"):
                server.act(used)
        with pytest.raises(ConfigurationError, match="not both"):
            server.act(key, result=1, error="x")
        with pytest.raises(ConfigurationError, match="set"):
            server.act(key, result={1})


def test_a_deferred_node_is_ended_over_http_without_a_token(connect: Connect) -> None:
    desk = Desk()
    with LocalServer(desk.template()) as server:
        api = connect(server)
        task_id = api.start("t")
        url = f"{server.url}/act/{desk.key()}"
        for body, text in [
            ("{", "not JSON"),
            ("[]", "must be like"),
            ('{"result": 1, "error": "x"}', "must be like"),
        ]:
            answer = httpx.post(url, content=body)
            assert (answer.status_code, text in answer.text) == (400, True)
        assert httpx.post(f"{server.url}/act/nonsense", json={"result": 1}).status_code == 404
        assert httpx.post(url, json={"result": [1]}).status_code == 200
        assert list(api.watch(task_id))[-1].payload["result"] == {"after": ["after", [1]]}
        assert httpx.post(url, json={"error": "too late"}).status_code == 404


def test_the_key_is_in_no_update_and_on_no_page(connect: Connect) -> None:
    desk = Desk()
    with LocalServer(desk.template()) as server:
        api = connect(server)
        task_id = api.prepare("t")
        show = api.finalize(task_id).json()["urls"]["show"]
        key = desk.key()
        deferred(api, task_id)
        server.act(key)
        assert key not in str(list(api.watch(task_id)))
        assert key not in api.http.get(show).text
        assert key not in api.http.get(f"/task/{task_id}").text


def test_a_node_can_be_ended_before_its_handler_is_done(template: TaskTemplate, connect: Connect) -> None:
    keys: list[str] = []
    came, told = threading.Event(), threading.Event()

    @template.node
    def ask(ctx: NodeContext) -> str:
        keys.append(ctx.defer())
        came.set()
        assert ctx.terminated.wait(10)
        told.set()
        return "late"

    with LocalServer(template) as server:
        api = connect(server)
        task_id = api.start("t")
        assert came.wait(10)
        server.act(keys[0], result="early")
        events = list(api.watch(task_id))
        assert events[-1].payload["result"] == "early"
        assert told.wait(10)
        assert "nodeDefer ask" not in outline(events)


def test_a_deferred_node_of_an_aborted_task_waits_no_more(connect: Connect) -> None:
    desk = Desk()
    with LocalServer(desk.template()) as server:
        api = connect(server)
        task_id = api.start("t")
        key = desk.key()
        deferred(api, task_id)
        api.post("abort", task_id, b"no more")
        assert list(api.watch(task_id))[-1].payload["reason"] == "no more"
        with pytest.raises(UsageError):
            server.act(key)


@pytest.mark.parametrize("by", ["abort", "stop"])
def test_what_a_deferred_handler_has_left_running_is_told(
    template: TaskTemplate, connect: Connect, by: str
) -> None:
    contexts: list[NodeContext] = []

    @template.node
    def ask(ctx: NodeContext) -> None:
        contexts.append(ctx)
        ctx.defer("waits for a person")

    with LocalServer(template) as server:
        api = connect(server)
        task_id = api.start("t")
        deferred(api, task_id)
        assert not contexts[0].terminated.is_set()
        if by == "abort":
            api.post("abort", task_id, b"no more")
            assert contexts[0].terminated.wait(10)
    assert contexts[0].terminated.is_set()


def test_a_deferral_for_no_readable_reason_fails_the_node(template: TaskTemplate, serve: Serve) -> None:
    reason: Any = 5
    ask = template.node("ask")(lambda ctx: ctx.defer(reason))
    template.node("rescue", after=ask.on_fail)(lambda ctx: ctx.input["error"])
    result = serve(template).run("t")[-1].payload["result"]
    assert result == {"rescue": "ctx.defer takes a text as its reason, not int"}


def test_a_handler_that_fails_after_deferring_has_failed(template: TaskTemplate, connect: Connect) -> None:
    keys: list[str] = []

    @template.node
    def ask(ctx: NodeContext) -> None:
        keys.append(ctx.defer())
        raise ValueError("the mail could not be sent")

    with LocalServer(template) as server:
        api = connect(server)
        assert api.run("t")[-1].payload["reason"] == "the mail could not be sent"
        with pytest.raises(UsageError):
            server.act(keys[0])


def test_deferred_nodes_and_retries_outlive_the_server(tmp_path: Path, connect: Connect) -> None:
    desk = Desk()
    calls = threading.Semaphore(0)
    again = threading.Event()

    def served() -> tuple[TaskTemplate, TaskTemplate]:
        shaky = TaskTemplate("shaky")

        @shaky.node
        def n(ctx: NodeContext) -> str:
            calls.release()
            if not again.is_set():
                ctx.retry(300)
            return "at last"

        return desk.template(), shaky

    with LocalServer(*served(), db=tmp_path / "t.db") as server:
        api = connect(server)
        asked, retried = api.start("t"), api.start("shaky")
        key = desk.key()
        deferred(api, asked)
        assert calls.acquire(timeout=10)
        next(event for event in api.watch(retried) if event.name == "nodeDefer")
    again.set()
    with LocalServer(*served(), db=tmp_path / "t.db") as server:
        api = connect(server)
        assert list(api.watch(retried))[-1].payload["result"] == "at last"
        server.act(key, result="answered")
        events = list(api.watch(asked))
        assert events[-1].payload["result"] == {"after": ["after", "answered"]}
        assert outline(events).count("nodeStart ask") == 1
    assert len(desk.keys) == 1


def test_an_interrupted_handler_defers_with_the_same_key(tmp_path: Path, connect: Connect) -> None:
    keys: list[str] = []
    came = threading.Semaphore(0)

    def served(stays: bool) -> TaskTemplate:
        template = TaskTemplate("t")

        @template.node
        def ask(ctx: NodeContext) -> None:
            keys.append(ctx.defer())
            came.release()
            if stays:
                ctx.terminated.wait(20)

        return template

    with LocalServer(served(True), db=tmp_path / "t.db") as server:
        task_id = connect(server).start("t")
        assert came.acquire(timeout=10)
    with LocalServer(served(False), db=tmp_path / "t.db") as server:
        assert came.acquire(timeout=10)
        assert keys[0] == keys[1]
        server.act(keys[0], result=1)
        assert list(connect(server).watch(task_id))[-1].payload["result"] == 1


async def test_handlers_can_be_tested_without_a_server(template: TaskTemplate) -> None:
    @template.node
    async def n(ctx: NodeContext) -> str:
        ctx.to_output("pdf", 1)
        return ctx.defer("x", timeout=5)

    assert len(await n(NodeContext(configuration={"a": 1}))) > 20
    with pytest.raises(Exception, match=r"runs again in 0\.2 s"):
        NodeContext().retry(200)
    await asyncio.sleep(0)
