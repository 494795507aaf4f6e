"""Every public object has a short repr of one line that does no I/O and shows no secret, whatever it holds."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import pytest
from tests.scripted_server import Answer, Gate, Lose, ScriptedServer, Stream, event
from tests.test_public_face import PUBLIC

from requence import Client
from requence._brief import brief, is_brief
from requence._transport.io_loop import IOThread
from requence.exceptions import RequenceError
from requence.files import ClaimCheck, RequenceCallback, RequenceFile, RequenceStream
from requence.local import LocalServer, NodeContext, TaskTemplate, any_of
from requence.local.context import DataByAlias
from requence.local.testkit import StartedTask
from requence.task import (
    Context,
    StartUncertainError,
    Task,
    TaskException,
    TaskItem,
    TaskRef,
    TaskResult,
    TaskSnapshot,
    TaskWaitTimeout,
    TaskWatcher,
    Unstarted,
    aio,
    map_tasks,
    updates,
)
from requence.task.persistent import PersistentMap
from requence.task.reading import read_update

MOST = 200
URL_KEY = "the-key-in-a-url"
URL = f"https://example.test/{URL_KEY}"
# Longer than any repr; with lines, a sequence for terminals, a text that runs backwards, and half of a pair.
HOSTILE = "\x1b[31mred\r\n\u202e\ud800<script>'\"" + "x" * 10_000
SENDABLE = HOSTILE.replace("\ud800", "")
NAME = "n" * 5_000
DATA = {HOSTILE: [HOSTILE] * 1000, "deep": [[[[[[HOSTILE]]]]]], "number": 10**5000}
CONTEXT = Context(
    {"task_id": HOSTILE, "input": DATA, "result": DATA, "node_data": DATA, "node_error": {HOSTILE: HOSTILE}}
)
RESULT = TaskResult[Any]({**dict(CONTEXT.items()), "task_url": URL})
FACTS = {"task_id": HOSTILE, "task_url": URL}


@pytest.fixture(scope="module")
def service() -> Iterator[ScriptedServer]:
    """A service that answers nothing but the stream of all tasks."""
    with ScriptedServer() as service:
        service.always("watch-all", Stream(end="open"))
        yield service


@pytest.fixture(scope="module")
def local() -> Iterator[LocalServer]:
    with LocalServer(template()) as server:
        yield server


class Making:
    """What the objects of a test are made with."""

    def __init__(self, service: ScriptedServer, local: LocalServer) -> None:
        self.client = service.client
        self.ref = TaskRef(
            task_id=SENDABLE,
            base_url=service.url,
            task_template=SENDABLE,
            task_url=URL,
            watch_url=URL,
        )
        self.local = local

    def task(self) -> Task[Any]:
        return Task.attach(self.ref, client=self.client)

    def watcher(self) -> TaskWatcher:
        watcher = TaskWatcher("2026-01-31T12:00:00Z", client=self.client)
        watcher.stop()
        return watcher

    def update(self, kind: str) -> updates.Update:
        node = {"id": HOSTILE, "alias": HOSTILE, "type": HOSTILE}
        more = {"data": DATA, "error": HOSTILE, "reason": HOSTILE, "result": DATA, "input": DATA, "url": URL}
        payload: dict[str, Any] = {"taskId": HOSTILE, "timestamp": HOSTILE, **more}
        if kind.startswith("node"):
            payload["node"] = node
        return read_update(kind, payload, before=CONTEXT, position=3)


def template() -> TaskTemplate:
    made = TaskTemplate(NAME)
    for number in range(50):
        made.node(f"{number}{NAME}")(lambda ctx: ctx.input)
    return made


def step() -> Any:
    return TaskTemplate(NAME).node(NAME)(lambda ctx: ctx.input)


def step_of(alias: str) -> Any:
    return TaskTemplate("t").node(alias)(lambda ctx: ctx.input)


def reference(kind: str, **more: Any) -> dict[str, Any]:
    return {"__REQUENCE_type": kind, "url": URL, "mime": SENDABLE, "size": 10**20, **more}


def an_error(kind: type[RequenceError], make: object = None) -> RequenceError:
    needed: dict[str, Any] = {"limit": 1, "size": 2, "position": None, "context": CONTEXT}
    parameters = inspect.signature(kind).parameters.values()
    facts = {it.name: needed[it.name] for it in parameters if it.name in needed}
    if issubclass(kind, TaskException | TaskWaitTimeout):
        facts |= FACTS
    return kind(HOSTILE, hint=URL, **facts)


def a_refused_operation(make: Making) -> object:
    with ScriptedServer() as service:
        service.always("abort", Answer(409, NAME.encode()))
        task = Task.attach(TaskRef(task_id="x", base_url=service.url), client=service.client)
        operations: list[object] = []

        async def abort() -> None:
            operations.append(operation := task.abort())
            with pytest.raises(TaskException):
                await operation

        asyncio.run(abort())
    return operations[0]


# One for each public class; whoever adds a class adds it here.
MADE: dict[str, Callable[[Making], object]] = {
    "Client": lambda make: Client(
        URL_KEY,
        call_timeout=1 / 3,
        retries=10**30,
        patience=1e-7,
        max_streams=10**30,
        proxy=f"http://u:{URL_KEY}@h",
    ),
    "Context": lambda make: CONTEXT,
    "Operation": a_refused_operation,
    "Pending": lambda make: make.task().result,
    "Task": lambda make: make.task(),
    "TaskItem": lambda make: TaskItem(10**20, DATA, make.task(), None, RESULT),
    "TaskRef": lambda make: make.ref,
    "TaskResult": lambda make: RESULT,
    "TaskSnapshot": lambda make: TaskSnapshot(HOSTILE, CONTEXT, HOSTILE, HOSTILE, HOSTILE, HOSTILE),
    "TaskWatcher": lambda make: make.watcher(),
    "Unstarted": lambda make: Unstarted(make.task(), an_error(TaskException)),
    "BaseUpdate": lambda make: updates.BaseUpdate({"taskId": HOSTILE, "node": {"id": HOSTILE}}, CONTEXT),
    **{
        kind: partial(Making.update, kind=f"{kind[0].lower()}{kind[1:]}")
        for kind in PUBLIC["requence.task.updates"]
        if kind not in ("Update", "BaseUpdate", "UnknownUpdate")
    },
    "UnknownUpdate": lambda make: make.update(HOSTILE),
    "ClaimCheck": lambda make: ClaimCheck(reference("ClaimCheck")),
    "RequenceCallback": lambda make: RequenceCallback(reference("RequenceCallback", name=HOSTILE)),
    "RequenceFile": lambda make: RequenceFile._referred(reference("RequenceFile"), make.client),
    "RequenceStream": lambda make: RequenceStream._referred(reference("RequenceStream"), make.client),
    "AnyOf": lambda make: any_of(*[step()] * 50, alias=NAME),
    "DebugLog": lambda make: NodeContext().debug,
    "Fault": lambda make: LocalServer().faults.drop(after=10**30, template=NAME, times=10**30),
    "Faults": lambda make: make.local.faults,
    "LocalServer": lambda make: make.local,
    "Node": lambda make: step(),
    "NodeContext": lambda make: NodeContext(DATA, DATA, HOSTILE, DATA, configuration=DATA),
    "NodeOutput": lambda make: step().output(NAME),
    "OnFail": lambda make: step().on_fail,
    "ServerClock": lambda make: make.local.clock,
    "StartedTask": lambda make: StartedTask(HOSTILE, HOSTILE, DATA, HOSTILE, 5, HOSTILE, False, True),
    "Subtask": lambda make: TaskTemplate(NAME).subtask(NAME, template()),
    "TaskTemplate": lambda make: template(),
}
PUBLIC_CLASSES = {
    name: kind
    for module, names in PUBLIC.items()
    for name in names
    if isinstance(kind := getattr(import_module(module), name), type)
}
ERRORS = {name: kind for name, kind in PUBLIC_CLASSES.items() if issubclass(kind, RequenceError)}

# What the public classes hand out, and more than one state of some.
HANDED_OUT: dict[str, Callable[[Making], object]] = {
    "a client with a context of its own": lambda make: Client(ssl_context=ssl.create_default_context()),
    "task.sync": lambda make: make.task().sync,
    "task.updates": lambda make: make.task().updates,
    "task.updates_after": lambda make: make.task().sync.updates_after(10**15),
    "an iteration": lambda make: iter(make.task().sync.updates),
    "an awaiting iteration": lambda make: aiter(make.task().updates),
    "watcher.sync": lambda make: make.watcher().sync,
    "watcher.updates": lambda make: make.watcher().updates,
    "map_tasks": lambda make: map_tasks(SENDABLE, [], client=make.client),
    "aio.map_tasks": lambda make: aio.map_tasks(SENDABLE, [], client=make.client),
    "an item with an error": lambda make: TaskItem(1, DATA, None, ValueError(HOSTILE), None),
    "an item whose error has no text": lambda make: TaskItem(1, DATA, None, UnwillingError(), None),
    "result.node_data": lambda make: RESULT.node_data,
    "ctx.node_data": lambda make: DataByAlias({"a": f'["{NAME}"]', "b": "1"}),
    "a file of one's own": lambda make: RequenceFile(Path(__file__), mime="text/plain"),
    "a file with a long path": lambda make: a_long_file(),
    "a file of bytes": lambda make: RequenceFile(b"x" * 10_000),
    "a stream of one's own": lambda make: RequenceStream([b"x" * 10_000]),
    "file.aio": lambda make: RequenceFile(b"x").aio,
    "a result of somebody's class": lambda make: RESULT.with_result(UnwillingError()),
    "a result with a table": lambda make: RESULT.with_result(Table()),
    "a server that was not started": lambda make: LocalServer(template()),
    "a context of a handler that is to end": lambda make: terminated_context(make),
}


def a_long_file() -> RequenceFile:
    with TemporaryDirectory() as folder:
        path = Path(folder, "d" * 100, "report.pdf")
        path.parent.mkdir()
        path.touch()
        file = RequenceFile(path)
    assert repr(file) == "<RequenceFile …/report.pdf, application/pdf>"
    return file


def terminated_context(make: Making) -> NodeContext:
    terminated = threading.Event()
    terminated.set()
    return NodeContext(DATA, task_id=HOSTILE, terminated=terminated)


class UnwillingError(Exception):
    def __repr__(self) -> NoReturn:
        raise ValueError

    __str__ = __repr__


class Table:
    def __repr__(self) -> str:
        return "\n".join(["  a  b"] * 10_000)


def test_each_public_class_is_here() -> None:
    assert PUBLIC_CLASSES.keys() == MADE.keys() | ERRORS.keys()


OBJECTS: dict[str, Callable[[Making], object]] = {
    **MADE,
    **HANDED_OUT,
    **{name: partial(an_error, kind) for name, kind in ERRORS.items()},
}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_repr_is_short_and_does_nothing(
    name: str, service: ScriptedServer, local: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Making(service, local)
    local.faults.clear()
    for _ in range(50):
        local.faults.drop(template=NAME)
    value = OBJECTS[name](make)
    if name in PUBLIC_CLASSES:
        assert isinstance(value, PUBLIC_CLASSES[name])
    with monkeypatch.context() as without:
        for owner, method in [
            *(
                (IOThread, it)
                for it in ("submit", "run", "run_async", "wait", "wait_async", "call", "call_soon")
            ),
            (socket.socket, "connect"),
            (builtins, "open"),
        ]:
            without.setattr(owner, method, refuse)
        text = repr(value)
        assert repr(value) == text
    assert len(text) <= MOST, text
    assert text.isprintable()
    assert " at 0x" not in text
    for secret in (URL_KEY, service.access_token, local.access_token):
        assert secret not in text


def refuse(*args: object, **kwargs: object) -> NoReturn:
    raise AssertionError("a repr does no I/O")


# What they tell


def test_the_repr_of_a_task_tells_its_state() -> None:
    with ScriptedServer() as service:
        gate = Gate()
        task = Task("t", client=service.client)
        assert task.sync.id == "task-1"
        assert repr(task) == "<Task 't' task-1>"
        assert task.sync.result.result == "done"
        assert repr(task) == "<Task 't' task-1, succeeded>"
        for kind, state in {"taskError": "failed", "taskAborted": "aborted"}.items():
            service.script("watch", Stream([event(1, kind)]))
            task = Task("t", client=service.client)
            with pytest.raises(TaskException):
                task.sync.wait()
            assert repr(task) == f"<Task 't' {task.known_id}, {state}>"
        service.script("prepare", Answer(404, "no such template", when=gate))
        task = Task("t", client=service.client)
        assert repr(task) == "<Task 't', starting>"
        gate.open()
        with pytest.raises(TaskException):
            task.sync.finalized()
        assert repr(task) == "<Task 't', not started>"
        service.always("finalize", Lose())
        service.always("get", Answer(404))
        task = Task("t", client=Client(service.access_token, retries=0))
        with pytest.raises(StartUncertainError):
            task.sync.finalized()
        assert repr(task) == "<Task 't', maybe started>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Client(), "Client()"),
        (Client("AGEA", call_timeout=60, patience=None), "Client(call_timeout=60, patience=None)"),
        (
            TaskRef(task_id="x", base_url="https://a.test/api", task_url=URL),
            "<TaskRef to task x at https://a.test/api>",
        ),
        (
            TaskSnapshot("running", CONTEXT.replaced(task_id="x"), task_template="t"),
            "<TaskSnapshot of task x ('t'): running>",
        ),
        (NodeContext({"a": 1}, task_id="x"), "<NodeContext of task x: input {'a': 1}>"),
        (
            StartedTask("x", "t", [1], None, 5, "running", False, False),
            "<StartedTask x ('t'): running, input [1]>",
        ),
        (step_of("n"), "<Node 'n' of 't'>"),
        (step_of("n").on_fail, "<OnFail of <Node 'n' of 't'>>"),
        (step_of("n").output("o"), "<NodeOutput 'o' of <Node 'n' of 't'>>"),
        (any_of(any_of(step_of("a")), step_of("b")), "<AnyOf: any_of(…), <Node 'b' of 't'>>"),
        (Client("AGEA", proxy=f"http://u:{URL_KEY}@h"), "Client(proxy=…)"),
        (LocalServer().faults.drop(after=2), "<Fault drop in watch: struck 0, 1 left>"),
        (LocalServer().faults, "<Faults: []>"),
        (PersistentMap({"a": 1}), "{'a': 1}"),
        (TaskException("no"), "TaskException('no')"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_what_reprs_say(value: object, text: str) -> None:
    assert repr(value) == text


# The glimpse of data


class Changing(dict[str, int]):
    """As if another thread had changed it meanwhile."""

    def __iter__(self) -> Iterator[str]:
        yield "a"
        raise RuntimeError("dictionary changed size during iteration")


BRIEFLY: list[tuple[object, str]] = [
    (None, "None"),
    ({"a": [1, 2.5, True], "b": (), "c": b"x"}, "{'a': [1, 2.5, True], 'b': (), 'c': b'x'}"),
    ((1,), "(1,)"),
    ("it's", '"it\'s"'),
    ("a\nb\x1b\u202e\ud800", r"'a\nb\x1b\u202e\ud800'"),
    ("x" * 48, f"'{'x' * 48}'"),
    ("x" * 49, f"'{'x' * 48}…"),
    (["x" * 41], f"['{'x' * 40}…']"),
    (list(range(7)), "[0, 1, 2, 3, 4, 5, …]"),
    (dict.fromkeys("abcdefg"), "{'a': None, 'b': None, 'c': None, 'd': None, 'e':…"),
    ([[[[]]]], "[[[[]]]]"),
    ([[[[1]]]], "[[[[…]]]]"),
    ([10**5000], "[<int of 16610 bits>]"),
    (set[int](), "set()"),
    ({"__REQUENCE_type": "New", "url": URL}, "<reference to a New>"),
    (UnwillingError(), "<UnwillingError>"),
    (Table(), f"{'a b ' * 12}a…"),
    (Changing(a=1), "{'a': 1…"),
]


@pytest.mark.parametrize(("value", "text"), BRIEFLY)
def test_a_value_in_brief(value: object, text: str) -> None:
    assert brief(value, 50) == text
    assert is_brief(value, 50) == ("…" not in text and "bits" not in text)
