"""Results in the caller's own types: `result_type=` and `decode=`, over real sockets."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import gc
import json
import pickle
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any, NamedTuple, TypedDict, cast

import attrs
import msgspec
import pytest
from tests.scripted_server import (
    Answer,
    Gate,
    ScriptedServer,
    Stream,
    check_nothing_is_left,
    end,
    event,
    from_position,
)

from requence.exceptions import AckFailedError, ConfigurationError, RequenceError, UsageError
from requence.task import Task, TaskException, TaskFailedError, TaskResult
from requence.task.updates import TaskEnd

PATIENCE = 10.0


@dataclasses.dataclass
class Item:
    name: str
    price: float


@dataclasses.dataclass
class Checked:
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("no number - at noon")


@dataclasses.dataclass
class Invoice:
    number: int
    items: list[Item]
    due: date | None = None

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Invoice:
        items = [Item(item["name"], item["price"]) for item in raw["items"]]
        return cls(raw["number"], items, date.fromisoformat(raw["due"]))


@attrs.define
class AttrsInvoice:
    number: int
    due: date


class InvoiceDict(TypedDict):
    number: int
    items: list[dict[str, Any]]


class InvoiceStruct(msgspec.Struct):
    number: int
    items: list[Item]


class InvoiceTuple(NamedTuple):
    number: int


PLAIN: dict[str, Any] = {
    "number": 7,
    "items": [{"name": "a", "price": 1.5}, {"name": "b", "price": 2, "more": True}],
    "due": "2026-01-31",
}
INVOICE = Invoice(7, [Item("a", 1.5), Item("b", 2.0)], date(2026, 1, 31))

TYPED: list[tuple[Any, object, object]] = [
    (Invoice, PLAIN, INVOICE),
    (AttrsInvoice, PLAIN, AttrsInvoice(7, date(2026, 1, 31))),
    (InvoiceDict, PLAIN, {"number": 7, "items": PLAIN["items"]}),
    (InvoiceStruct, PLAIN, InvoiceStruct(7, INVOICE.items)),
    (InvoiceTuple, [7], InvoiceTuple(7)),
    (list[Item], PLAIN["items"], INVOICE.items),
    (dict[int, Item], {"5": {"name": "a", "price": 1}}, {5: Item("a", 1.0)}),
    (Invoice | None, None, None),
    (str, "text", "text"),
    (object, PLAIN, PLAIN),
]


class Decoder:
    """A `decode` that counts its calls and says where it was called; it may be told to wait."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.calls: list[object] = []
        self.threads: list[str] = []
        self.called = threading.Event()
        self.gate = gate

    def __call__(self, raw: Any) -> Invoice:
        self.calls.append(raw)
        self.threads.append(threading.current_thread().name)
        self.called.set()
        if self.gate is not None:
            assert self.gate.wait(PATIENCE)
        return Invoice.from_dict(raw)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        server.always("watch", ends_with(PLAIN))
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    check_nothing_is_left(caplog)


def ends_with(result: object) -> Any:
    return from_position(event(1, "taskStart", input=None), end(2, result))


ASK: dict[str, Callable[[Task[Any]], TaskResult[Any]]] = {
    "result": lambda task: task.sync.result,
    "wait": lambda task: task.sync.wait(5),
}
AWAIT: dict[str, Callable[[Task[Any]], Awaitable[TaskResult[Any]]]] = {
    "result": lambda task: task.result,
    "wait": lambda task: task.wait(5),
    "task": lambda task: task,
}


# What a result is read as


@pytest.mark.parametrize(("kind", "sent", "expected"), TYPED)
def test_a_result_type(server: ScriptedServer, kind: Any, sent: object, expected: object) -> None:
    server.always("watch", ends_with(sent))
    result = Task("t", client=server.client, result_type=kind).sync.result
    assert result.result == result["result"] == expected
    assert type(result.result) is type(expected)


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_a_decode_function(server: ScriptedServer, ask: Callable[[Task[Any]], TaskResult[Any]]) -> None:
    result = ask(Task("t", client=server.client, decode=Invoice.from_dict))
    assert result.result == result["result"] == result.get("result") == INVOICE
    assert dict(result.items())["result"] == INVOICE


@pytest.mark.parametrize("ask", AWAIT.values(), ids=AWAIT)
async def test_a_decode_function_for_who_awaits(
    server: ScriptedServer, ask: Callable[[Task[Any]], Awaitable[TaskResult[Any]]]
) -> None:
    result = await ask(Task("t", client=server.client, decode=Invoice.from_dict))
    assert result.result == result["result"] == INVOICE


def test_the_type_may_be_written_at_the_class(server: ScriptedServer) -> None:
    """Not enough by itself: the interpreter forgets it."""
    assert Task[Invoice]("t", client=server.client, result_type=Invoice).sync.result.result == INVOICE
    assert Task[Any]("t", client=server.client).sync.result.result == PLAIN


def test_the_plain_result_stays_reachable(server: ScriptedServer) -> None:
    result = Task("t", client=server.client, result_type=Invoice).sync.result
    assert result.to_dict()["result"] == PLAIN
    assert json.loads(json.dumps(result.to_dict())) == result.to_dict()
    assert set(result.to_dict()) == set(result)


def test_updates_stay_plain(server: ScriptedServer) -> None:
    task = Task("t", client=server.client, result_type=Invoice)
    *_, last = task.sync.updates
    assert isinstance(last, TaskEnd)
    assert last.result == last.context.result == PLAIN
    assert task.sync.result.result == INVOICE


def test_a_task_that_failed_has_nothing_to_decode(server: ScriptedServer) -> None:
    server.always("watch", from_position(event(1, "taskError", reason="so")))
    decoder = Decoder()
    with pytest.raises(TaskFailedError, match="so") as caught:
        _ = Task("t", client=server.client, decode=decoder).sync.result
    assert decoder.calls == []
    assert caught.value.result is None


# Once, and where


def test_it_is_decoded_once_in_the_thread_that_asks(server: ScriptedServer) -> None:
    decoder = Decoder()
    task = Task("t", client=server.client, decode=decoder)
    first = task.sync.result
    assert task.sync.result is first is task.sync.wait()
    assert asyncio.run(task.wait()) is first
    assert decoder.calls == [PLAIN]
    assert decoder.threads == [threading.current_thread().name]


def test_many_who_ask_at_once_are_given_the_same(server: ScriptedServer) -> None:
    gate, threads = threading.Event(), 8
    decoder = Decoder(gate)
    task = Task("t", client=server.client, decode=decoder)

    async def awaiting() -> TaskResult[Invoice]:
        return await task

    def ask(number: int) -> TaskResult[Invoice]:
        return task.sync.result if number % 2 else asyncio.run(awaiting())

    with ThreadPoolExecutor(threads) as pool:
        asking = [pool.submit(ask, number) for number in range(threads)]
        assert decoder.called.wait(PATIENCE)
        assert not any(future.done() for future in asking)
        gate.set()
        results = [future.result(PATIENCE) for future in asking]
    assert {id(result) for result in results} == {id(results[0])}
    assert results[0].result == INVOICE
    assert decoder.calls == [PLAIN]


async def test_a_slow_decode_holds_up_no_loop(server: ScriptedServer) -> None:
    """Neither the one that awaits, nor the I/O thread's, on which other tasks go on meanwhile."""
    gate = threading.Event()
    decoder = Decoder(gate)
    slow = asyncio.ensure_future(Task("t", client=server.client, decode=decoder).result)
    await asyncio.to_thread(decoder.called.wait, PATIENCE)
    assert (await Task("t", client=server.client).result).result == PLAIN
    assert not slow.done()
    gate.set()
    assert (await slow).result == INVOICE
    assert decoder.threads == ["requence-decode"]


async def test_a_decode_sees_the_context_of_who_awaits(server: ScriptedServer) -> None:
    """Where a request or a tenant is kept in a context variable, decoding may need it."""
    tenant = contextvars.ContextVar[str]("tenant")
    tenant.set("mine")
    assert (await Task("t", client=server.client, decode=lambda _: tenant.get())).result == "mine"


async def test_who_leaves_while_it_is_decoded_takes_nothing_away(server: ScriptedServer) -> None:
    gate = threading.Event()
    decoder = Decoder(gate)
    task = Task("t", client=server.client, decode=decoder)
    leaving = asyncio.ensure_future(task.result)
    await asyncio.to_thread(decoder.called.wait, PATIENCE)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    staying = asyncio.ensure_future(task.result)
    gate.set()
    assert (await staying).result == INVOICE
    assert decoder.calls == [PLAIN]


def test_a_decode_may_ask_for_another_task(server: ScriptedServer) -> None:
    def decode(raw: Any) -> list[Invoice]:
        return [Task("u", client=server.client, result_type=Invoice).sync.result.result]

    task = Task("t", client=server.client, decode=decode)
    assert asyncio.run(task.wait()).result == [INVOICE]


# What does not fit


def misfit_of(task: Task[Any]) -> TaskException:
    with pytest.raises(TaskException) as caught:
        _ = task.sync.result
    assert type(caught.value) is TaskException
    return caught.value


@pytest.mark.parametrize(
    ("kind", "sent", "problem"),
    [
        (
            Invoice,
            PLAIN | {"items": [{"name": "a", "price": 1}] * 3 + [{"name": "a", "price": "1"}]},
            "fit Invoice: result.items[3].price: Expected `float`, got `str`",
        ),
        (Invoice, PLAIN | {"due": "soon"}, "fit Invoice: result.due: Invalid RFC3339 encoded date"),
        (
            Invoice,
            {"items": []},
            "fit Invoice: result: Object missing required field `number`",
        ),
        (Invoice, None, "fit Invoice: result: Expected `object`, got `null`"),
        (InvoiceDict, {"number": "7", "items": []}, "result.number: Expected `int`, got `str`"),
        (InvoiceStruct, PLAIN | {"items": [5]}, "result.items[0]: Expected `object`, got `int`"),
        (list[int], [1, 2, "3"], "fit list[int]: result[2]: Expected `int`, got `str`"),
        (dict[int, int], {"five": 5}, "key in result: Expected `int`, got `str`"),
        (dict[str, list[int]], {"a": ["$"]}, "result[...][0]: Expected `int`, got `str`"),
        (Checked, {"number": -1}, "result: no number - at noon"),
        (list[Checked], [{"number": -1}], "result[0]: no number - at noon"),
    ],
)
def test_a_result_that_does_not_fit(server: ScriptedServer, kind: Any, sent: object, problem: str) -> None:
    server.always("watch", ends_with(sent))
    task = Task("my-template", client=server.client, result_type=kind)
    error = misfit_of(task)
    assert error.message.startswith("The task of 'my-template' succeeded, but its result does not ")
    assert error.message.endswith(problem)
    assert (error.task_id, error.task_url) == (task.sync.id, task.sync.url)
    assert error.task_template == "my-template"
    assert error.result is not None
    assert error.result.result == sent
    assert error.hint is not None
    assert isinstance(error.__cause__, msgspec.ValidationError)


def fails(raw: Any) -> Invoice:
    raise KeyError("price")


def fails_inside_of_msgspec(raw: Any) -> Invoice:
    return msgspec.convert({"items": 5}, Invoice)


@pytest.mark.parametrize(
    ("decode", "problem", "cause"),
    [
        (fails, "KeyError: 'price'", KeyError),
        (fails_inside_of_msgspec, "result.items: Expected `array`, got `int`", msgspec.ValidationError),
    ],
)
def test_a_decode_that_fails(
    server: ScriptedServer, decode: Callable[[Any], Any], problem: str, cause: type[Exception]
) -> None:
    error = misfit_of(Task("t", client=server.client, decode=decode))
    assert error.message == f"The task of 't' succeeded, but decode failed on its result: {problem}"
    assert isinstance(error.__cause__, cause)
    assert error.result is not None
    assert error.result.result == PLAIN


async def test_everybody_is_told_with_an_error_of_their_own(server: ScriptedServer) -> None:
    calls: list[object] = []

    def decode(raw: Any) -> Invoice:
        calls.append(raw)
        return fails(raw)

    task = Task("t", client=server.client, decode=decode)
    errors = await asyncio.gather(
        *(ask(task) for ask in AWAIT.values()),
        *(asyncio.to_thread(ask, task) for ask in ASK.values()),
        return_exceptions=True,
    )
    assert {type(error) for error in errors} == {TaskException}
    assert len({id(error) for error in errors}) == len(errors) == 5
    assert len({id(cast("TaskException", error).__cause__) for error in errors}) == 1
    assert calls == [PLAIN]


def test_the_error_survives_pickling(server: ScriptedServer) -> None:
    error = misfit_of(Task("t", client=server.client, decode=fails))
    copy: TaskException = pickle.loads(pickle.dumps(error))
    assert (copy.message, copy.result) == (error.message, error.result)


async def test_a_decode_that_exits_ends_no_thread_of_ours(server: ScriptedServer) -> None:
    task = Task("t", client=server.client, decode=lambda _: sys.exit(3))
    for _ in range(2):
        with pytest.raises(TaskException, match="SystemExit: 3"):
            await task
    assert (await Task("t", client=server.client)).result == PLAIN


def test_an_interrupted_decode_is_tried_again(server: ScriptedServer) -> None:
    """Ctrl-C is an answer to the one who waits, not one about the result."""
    interrupts = [KeyboardInterrupt(), SystemExit(3)]

    def decode(raw: Any) -> Invoice:
        if interrupts:
            raise interrupts.pop()
        return Invoice.from_dict(raw)

    task = Task("t", client=server.client, decode=decode)
    with pytest.raises(SystemExit):
        _ = task.sync.result
    with pytest.raises(KeyboardInterrupt):
        _ = task.sync.result
    assert task.sync.result.result == INVOICE


@pytest.mark.parametrize("inner", ["blocking", "awaiting"])
@pytest.mark.parametrize("outer", ["blocking", "awaiting"])
def test_a_decode_that_asks_for_its_own_result_does_not_wait_for_ever(
    server: ScriptedServer, outer: str, inner: str
) -> None:
    def ask(how: str) -> TaskResult[Any]:
        return task.sync.result if how == "blocking" else asyncio.run(task.wait())

    task: Task[Any] = Task("t", client=server.client, decode=lambda _: ask(inner))
    with pytest.raises(TaskException, match="UsageError: decode has asked for the result") as caught:
        ask(outer)
    assert isinstance(caught.value.__cause__, UsageError)


def test_what_a_decode_has_begun_may_ask_for_the_result_later(server: ScriptedServer) -> None:
    """Callbacks and tasks of asyncio run in a copy of the context in which they were made."""
    contexts: list[contextvars.Context] = []

    def decode(raw: Any) -> Invoice:
        contexts.append(contextvars.copy_context())
        return Invoice.from_dict(raw)

    task = Task("t", client=server.client, decode=decode)
    result = asyncio.run(task.wait())
    assert contexts[0].run(lambda: task.sync.result) is result


def test_a_delivery_that_is_not_confirmed_has_the_plain_result(server: ScriptedServer) -> None:
    server.script("ack", Answer(400, "not yours"))
    server.always("watch", Stream([event(1, "taskStart"), end(2, PLAIN, requireAck=True)]))
    task = Task("t", client=server.client, require_ack=True, result_type=Invoice)
    with pytest.raises(AckFailedError) as caught:
        _ = task.sync.result
    assert caught.value.result is not None
    assert caught.value.result.result == PLAIN
    assert task.sync.result.result == INVOICE


# Before anything is sent


class Plain:
    pass


@dataclasses.dataclass
class Holder:
    parts: list[dict[str, Plain]]


@dataclasses.dataclass
class Dangling:
    part: Nowhere  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]


@dataclasses.dataclass
class Ambiguous:
    part: Item | Invoice


@dataclasses.dataclass
class Tree:
    value: int
    children: list[Tree] = dataclasses.field(default_factory=list["Tree"])


class Model:
    """What a pydantic model looks like from here."""

    @classmethod
    def model_validate(cls, raw: Any) -> Model:
        return cls()


async def later(raw: Any) -> Invoice:
    return Invoice.from_dict(raw)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ({"decode": 5}, "decode must be a function or None, not int", ""),
        ({"decode": later}, "decode must be a plain function: a coroutine function", ""),
        ({"decode": len, "result_type": Invoice}, "decode and result_type were both given", "give one"),
        (
            {"result_type": Plain},
            "result_type is Plain, which cannot be made from JSON: nothing tells how Plain is written in JSON",
            "use decode=",
        ),
        (
            {"result_type": Holder},
            "result_type is Holder, which cannot be made from JSON: nothing tells how Plain is",
            "",
        ),
        ({"result_type": list[Plain]}, "result_type is list[", "use decode="),
        ({"result_type": Dangling}, "cannot be made from JSON: name 'Nowhere' is not defined", ""),
        ({"result_type": Ambiguous}, "Type unions may not contain more than one dataclass", ""),
        ({"result_type": "Invoice"}, "result_type is 'Invoice', which cannot be made from JSON", ""),
        ({"result_type": 5}, "result_type is 5, which cannot be made from JSON", ""),
        ({"result_type": complex}, "nothing tells how complex is written in JSON", ""),
        ({"result_type": Model}, "nothing tells how Model is", "use decode=Model.model_validate"),
    ],
)
def test_what_cannot_decode_is_told_before_anything_is_sent(
    server: ScriptedServer, arguments: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Task("t", client=server.client, **arguments)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert server.calls() == []


def test_a_type_may_contain_itself(server: ScriptedServer) -> None:
    server.always("watch", ends_with({"value": 1, "children": [{"value": 2}]}))
    task = Task("t", client=server.client, result_type=Tree)
    assert task.sync.result.result == Tree(1, [Tree(2)])


def test_who_awaits_a_typed_result_keeps_the_handle(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch", Stream([gate, event(1, "taskStart"), end(2, PLAIN)]))

    async def ask() -> Invoice:
        waiting = asyncio.ensure_future(Task("t", client=server.client, result_type=Invoice).result)
        await server.until(lambda: len(server.calls("watch")) == 1)
        gc.collect()
        gate.open()
        return (await waiting).result

    assert asyncio.run(ask()) == INVOICE


def test_errors_of_the_sdk_inside_of_a_decode_are_failures_of_the_decode(server: ScriptedServer) -> None:
    def decode(raw: Any) -> Invoice:
        raise RequenceError("no such thing")

    error = misfit_of(Task("t", client=server.client, decode=decode))
    assert error.message.endswith("RequenceError: no such thing")
