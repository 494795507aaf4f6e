"""Sub tasks: tasks that a node of another task starts and waits for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from tests.local.api import Api, Connect, Received, data_of, outline
from tests.local.conftest import Serve
from tests.local.contract import fits

from requence.local import LocalServer, NodeContext, TaskTemplate


class Family:
    """A template that runs another one as a sub task, and what its handlers do."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.left = threading.Semaphore(0)
        self.inner = TaskTemplate("inner", {"type": "object"})

        @self.inner.node
        def work(ctx: NodeContext) -> Any:
            match ctx.input["do"]:
                case "fail":
                    ctx.abort("inner trouble")
                case "wait":
                    self.started.release()
                    ctx.terminated.wait(20)
                    self.left.release()
                case _:
                    pass
            ctx.to_output("worked", [ctx.input["do"]])

        self.inner.exit("good", after=work.output("worked"))
        self.inner.exit("other", after=work)

        self.outer = TaskTemplate("outer")
        first = self.outer.node("first")(lambda ctx: ctx.input)
        self.sub = self.outer.subtask("sub", self.inner, after=first)


def subtask_of(api: Api, task_id: str) -> tuple[str, list[Received]]:
    """Returns the sub task of a task and what the stream of all tasks says about it so far."""
    seen: list[Received] = []
    with api.watch_all() as everything:
        for event in everything:
            if event.payload["rootTaskId"] == task_id:
                seen.append(event)
                if event.name == "nodeStart":
                    return event.payload["taskId"], seen
    raise AssertionError("there is no sub task")


def test_the_result_of_a_sub_task_is_the_data_of_its_node(serve: Serve) -> None:
    family = Family()
    family.outer.node("after", after=family.sub.output("good"))(lambda ctx: ctx.input)
    family.outer.node("never", after=family.sub.output("other"))(lambda ctx: ctx.input)
    api = serve(family.outer)  # the inner template is served by itself
    task_id = api.start("outer", {"do": "run"})
    events = list(api.watch(task_id))
    assert outline(events) == [
        "taskStart",
        "nodeStart first",
        "nodeUpdate first",
        "nodeEnd first",
        "nodeStart sub",
        "nodeUpdate sub",
        "nodeEnd sub",
        "nodeStart after",
        "nodeUpdate after",
        "nodeEnd after",
        "taskEnd",
    ]
    assert events[4].payload["node"]["type"] == "reference"
    assert (events[5].payload["output"], events[5].payload["data"]) == ("good", ["run"])
    assert events[-1].payload["result"] == {"after": ["run"]}
    # In its own stream a task is alone; in that of all tasks a sub task names the one at the top.
    assert {event.payload["taskId"] for event in events} == {task_id}
    assert not any("rootTaskId" in event.payload for event in events)
    sub_id, seen = subtask_of(api, task_id)
    assert sub_id != task_id
    assert outline(seen) == ["taskStart", "nodeStart work"]
    assert seen[0].payload["input"] == {"do": "run"}
    with api.watch_all() as everything:
        top = next(everything)
    assert (top.payload["taskId"], top.payload["rootTaskId"]) == (task_id, None)
    assert fits("TaskStartEvent", seen[0].payload)
    # It is a task as any other.
    own = list(api.watch(sub_id))
    assert (own[-1].name, own[-1].payload["exit"]) == ("taskEnd", "good")
    assert (api.get(sub_id)["taskTemplate"], api.get(sub_id)["status"]) == ("inner", "successful")


def test_of_two_levels_the_root_is_the_task_at_the_top(serve: Serve) -> None:
    leaf, middle, top = (TaskTemplate(name) for name in ("leaf", "middle", "top"))
    leaf.node("n")(lambda ctx: ctx.input + 1)
    middle.node("m", after=middle.subtask("leaf", leaf))(lambda ctx: ctx.input * 10)
    top.subtask("middle", middle)
    api = serve(top)
    task_id = api.start("top", 1)
    assert list(api.watch(task_id))[-1].payload["result"] == 20
    ends: dict[str, Any] = {}
    with api.watch_all() as everything:
        for event in everything:
            if event.name == "taskEnd":
                ends[event.payload["name"]] = event.payload["rootTaskId"]
                if event.payload["task_id"] == task_id:
                    break
    assert ends == {"leaf": task_id, "middle": task_id, "top": None}


@pytest.mark.parametrize(
    ("input_value", "error"),
    [
        ({"do": "fail"}, "inner trouble"),
        ([], "The input does not fit the template \"inner\": input: [] is not of type 'object'"),
    ],
    ids=["fails", "is refused"],
)
def test_the_failure_of_a_sub_task_is_the_failure_of_its_node(
    serve: Serve, input_value: Any, error: str
) -> None:
    plain, careful = Family(), Family()
    careful.outer.node("rescue", after=careful.sub.on_fail)(lambda ctx: ctx.input)
    events = serve(plain.outer).run("outer", input_value)
    assert outline(events)[-3:] == ["nodeStart sub", "nodeError sub", "taskError"]
    assert events[-1].payload["reason"] == error
    rescued = serve(careful.outer).run("outer", input_value)
    assert data_of(rescued, "rescue") == {"node": "sub", "error": error}


def test_aborting_a_task_aborts_its_sub_tasks(serve: Serve) -> None:
    family = Family()
    api = serve(family.outer)
    task_id = api.start("outer", {"do": "wait"})
    assert family.started.acquire(timeout=10)
    sub_id, _ = subtask_of(api, task_id)
    api.post("abort", task_id, b"enough")
    for aborted in (task_id, sub_id):
        last = list(api.watch(aborted))[-1]
        assert (last.name, last.payload["reason"]) == ("taskAborted", "enough")
    assert family.left.acquire(timeout=10)


def test_aborting_a_sub_task_fails_its_node(serve: Serve) -> None:
    family = Family()
    family.outer.node("rescue", after=family.sub.on_fail)(lambda ctx: ctx.input["error"])
    api = serve(family.outer)
    task_id = api.start("outer", {"do": "wait"})
    assert family.started.acquire(timeout=10)
    api.post("abort", subtask_of(api, task_id)[0], b"not this one")
    events = list(api.watch(task_id))
    assert events[-1].payload["result"] == {"rescue": "The sub task was aborted: not this one"}


def test_a_task_that_ends_takes_its_sub_tasks_along(serve: Serve) -> None:
    family = Family()

    @family.outer.node
    def bad(ctx: NodeContext) -> None:
        assert family.started.acquire(timeout=10)
        ctx.abort("elsewhere")

    api = serve(family.outer)
    task_id = api.start("outer", {"do": "wait"})
    assert list(api.watch(task_id))[-1].payload["reason"] == "elsewhere"
    last = list(api.watch(subtask_of(api, task_id)[0]))[-1]
    assert (last.name, last.payload["reason"]) == ("taskAborted", "The task that has started it has ended")


def test_a_sub_task_needs_no_second_place(serve: Serve) -> None:
    family = Family()
    events = serve(family.outer, workers=1).run("outer", {"do": "run"})
    assert events[-1].payload["result"] == ["run"]  # whichever exit of it was taken
    assert data_of(events, "sub") == ["run"]


def test_sub_tasks_outlive_the_server(tmp_path: Path, connect: Connect) -> None:
    db = tmp_path / "t.db"
    first, second = Family(), Family()
    first.outer.node("after", after=first.sub.output("good"))(lambda ctx: ctx.input)
    second.outer.node("after", after=second.sub.output("good"))(lambda ctx: ctx.input)
    with LocalServer(first.outer, db=db) as server:
        task_id = connect(server).start("outer", {"do": "wait"})
        assert first.started.acquire(timeout=10)
    with LocalServer(second.outer, db=db) as server:
        api = connect(server)
        assert second.started.acquire(timeout=10)
        sub_id, _ = subtask_of(api, task_id)
        assert api.get(sub_id)["status"] == "running"
        assert api.get(task_id)["status"] == "running"
        second.left.release()
        events = api.watch(task_id)
        assert [event.alias for event in (next(events) for _ in range(5))][-1] == "sub"
        api.post("abort", task_id)
        assert list(events)[-1].name == "taskAborted"
        assert list(api.watch(sub_id))[-1].name == "taskAborted"


def test_a_sub_task_that_ended_unseen_is_taken_up(tmp_path: Path, connect: Connect) -> None:
    db = tmp_path / "t.db"

    def templates(stuck: bool) -> tuple[TaskTemplate, TaskTemplate]:
        inner, outer = TaskTemplate("inner"), TaskTemplate("outer")
        inner.node("n")(lambda ctx: ctx.terminated.wait(20) if stuck else ctx.input)
        outer.node("after", after=outer.subtask("sub", inner))(lambda ctx: [ctx.input])
        return inner, outer

    with LocalServer(*templates(True), db=db) as server:
        api = connect(server)
        task_id = api.start("outer", 5)
        sub_id, _ = subtask_of(api, task_id)
    with LocalServer(templates(False)[0], db=db) as server:  # nobody serves the outer template
        assert list(connect(server).watch(sub_id))[-1].payload["result"] == 5
    with LocalServer(*templates(False), db=db) as server:
        assert list(connect(server).watch(task_id))[-1].payload["result"] == [5]
