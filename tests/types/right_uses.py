"""Uses that type checkers must accept, with the types that they must find. Checked only, never run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypedDict, assert_never, assert_type

import attrs
import msgspec

import requence
from requence import Client
from requence.exceptions import AckFailedError, RequenceError, TaskException, TaskFailedError
from requence.task import (
    Context,
    Operation,
    Pending,
    Task,
    TaskItem,
    TaskRef,
    TaskResult,
    TaskSnapshot,
    TaskWatcher,
    Unstarted,
    Update,
    abort_task,
    aio,
    flush,
    get_task,
    map_tasks,
    protect_task,
)
from requence.task.updates import (
    NodeDefer,
    NodeEnd,
    NodeError,
    NodeStart,
    NodeUpdate,
    TaskAborted,
    TaskEnd,
    TaskError,
    TaskStart,
    UnknownUpdate,
)


@dataclass
class Invoice:
    number: int

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Invoice:
        return cls(raw["number"])


class Receipt(Invoice):
    pass


@attrs.define
class AttrsInvoice:
    number: int


class InvoiceDict(TypedDict):
    number: int


class InvoiceStruct(msgspec.Struct):
    number: int


class InvoiceTuple(NamedTuple):
    number: int


def is_large(raw: Any) -> bool:
    return bool(raw)


def to_text(value: object) -> str:
    return str(value)


def plain_result() -> None:
    task = Task("t")
    assert_type(task, Task[Any])
    assert_type(task.sync.id, str)
    assert_type(task.sync.finalized(), str)
    assert_type(task.sync.url, str | None)
    assert_type(task.known_id, str | None)
    assert_type(task.sync.result, TaskResult[Any])
    assert_type(task.sync.result.result, Any)
    assert_type(task.sync.wait(timeout=5), TaskResult[Any])
    assert_type(task.sync.result.task_id, str)
    assert_type(task.sync.result.task_url, str | None)
    assert_type(task.sync.result.node_data, Mapping[str, Any])
    assert_type(task.sync.result.get_node_data("ocr", default=0), Any)
    assert_type(task.sync.result.to_dict(), dict[str, Any])


def without_type_arguments(task: Task, result: TaskResult) -> None:
    """Code that was written before tasks had a type."""
    assert_type(task, Task[Any])
    assert_type(result, TaskResult[Any])


def all_arguments(client: Client) -> None:
    task = Task(
        task_template="t",
        input={"path": "a.pdf"},
        name="Daily import",
        priority=10,
        access_token=None,
        suppress_branch_warning=True,
        require_ack=True,
        client=client,
        on_update=print,
        default=to_text,
    )
    assert_type(task, Task[Any])
    assert_type(Task("t", [1, 2], "name", 0, "token", False, False), Task[Any])


def typed_results() -> None:
    assert_type(Task("t", result_type=Invoice), Task[Invoice])
    assert_type(Task("t", result_type=Invoice).sync.result.result, Invoice)
    assert_type(Task("t", result_type=Invoice).sync.result.result.number, int)
    assert_type(Task("t", result_type=Invoice).sync.wait(5).result, Invoice)
    assert_type(Task("t", result_type=AttrsInvoice).sync.result.result, AttrsInvoice)
    assert_type(Task("t", result_type=InvoiceDict).sync.result.result, InvoiceDict)
    assert_type(Task("t", result_type=InvoiceDict).sync.result.result["number"], int)
    assert_type(Task("t", result_type=InvoiceStruct).sync.result.result, InvoiceStruct)
    assert_type(Task("t", result_type=InvoiceTuple).sync.result.result, InvoiceTuple)
    assert_type(Task("t", result_type=list[Invoice]).sync.result.result, list[Invoice])
    assert_type(Task("t", result_type=dict[str, int]).sync.result.result, dict[str, int])
    assert_type(Task("t", result_type=str).sync.result.result, str)


def decoded_results(anything: Any) -> None:
    assert_type(Task("t", decode=Invoice.from_dict), Task[Invoice])
    assert_type(Task("t", decode=Invoice.from_dict).sync.result.result, Invoice)
    assert_type(Task("t", decode=Invoice).sync.result.result, Invoice)
    assert_type(Task("t", decode=is_large).sync.result.result, bool)
    assert_type(Task("t", decode=lambda raw: str(raw)).sync.result.result, str)
    assert_type(Task("t", decode=anything), Task[Any])
    assert_type(Task("t", decode=None, result_type=None), Task[Any])


def of_any_invoice(task: Task[Invoice], result: TaskResult[Invoice]) -> None:
    assert_type(task.sync.result.result, Invoice)
    assert_type(result.result, Invoice)


def read_only_and_so_covariant(task: Task[Receipt]) -> None:
    of_any_invoice(task, task.sync.result)
    of_any_invoice(Task("t", result_type=Receipt), task.sync.wait())


async def awaiting() -> None:
    task = Task("t", result_type=Invoice)
    assert_type(task.task_id, Pending[str])
    assert_type(await task.task_id, str)
    assert_type(await task.task_url, str | None)
    assert_type(await task.finalized(), str)
    assert_type(task.result, Pending[TaskResult[Invoice]])
    assert_type(await task.result, TaskResult[Invoice])
    assert_type((await task.result).result, Invoice)
    assert_type(await task, TaskResult[Invoice])
    assert_type(await task.wait(), TaskResult[Invoice])
    assert_type((await task.wait(timeout=5)).result.number, int)
    assert_type(await asyncio.wait_for(task.result, 5), TaskResult[Invoice])
    assert_type(await Task("t"), TaskResult[Any])
    first, second = await asyncio.gather(task, Task("t", decode=is_large).result)
    assert_type(first.result, Invoice)
    assert_type(second.result, bool)


async def operations(task: Task[Invoice]) -> None:
    assert_type(task.abort("why"), Operation)
    assert_type(task.protect(), Operation)
    await task.abort()
    await task.protect()
    task.sync.abort("why")
    task.sync.protect()


def what_is_in_an_update(update: Update) -> None:
    assert_type(update.task_id, str)
    assert_type(update.timestamp, str | None)
    assert_type(update.position, int | None)
    assert_type(update.synthetic, bool)
    assert_type(update.context, Context)
    assert_type(update.to_dict(context=False), dict[str, Any])
    match update:
        case TaskStart():
            assert_type(update.type, Literal["taskStart"])
        case NodeStart() | NodeEnd():
            assert_type(update.node, dict[str, Any])
        case NodeUpdate():
            assert_type(update.output, str | None)
        case NodeError(error=reason):
            assert_type(reason, str)
        case NodeDefer():
            assert_type(update.reason, str | None)
        case TaskEnd():
            assert_type(update.exit, str | None)
        case TaskError() | TaskAborted():
            assert_type(update.reason, str | None)
        case UnknownUpdate():
            assert_type(update.type, str)
            assert_type(update.whatever, Any)
        case _:
            assert_never(update)


def updates(task: Task[Invoice]) -> None:
    for update in task.sync.updates:
        assert_type(update, Update)
        what_is_in_an_update(update)
    for update in task.sync.updates_after(5):
        assert_type(update, Update)


async def awaited_updates(task: Task[Invoice]) -> None:
    async for update in task.updates:
        assert_type(update, Update)
    async for update in task:
        assert_type(update, Update)
    async for update in task.updates_after(5):
        assert_type(update, Update)


def callbacks() -> None:
    def plain(update: Update) -> None:
        print(update.type)

    async def coroutine(update: Update) -> None:
        print(update.type)

    assert_type(Task("t", on_update=plain), Task[Any])
    assert_type(Task("t", on_update=coroutine), Task[Any])
    assert_type(Task("t", on_update=plain, result_type=Invoice), Task[Invoice])


def functions() -> None:
    snapshot = get_task("id")
    assert_type(snapshot, TaskSnapshot)
    status, context = snapshot
    assert_type(status, str)
    assert_type(context, Context)
    abort_task("id", reason="why")
    protect_task("id", client=Client(patience=None))


async def references(task: Task[Invoice]) -> None:
    assert_type(task.sync.ref(), TaskRef)
    ref = assert_type(await task.ref(), TaskRef)
    assert_type(TaskRef.from_json(ref.to_json()), TaskRef)
    assert_type(Task.attach(ref), Task[Any])
    assert_type(Task.attach("id", "token", client=Client()), Task[Any])
    assert_type(Task.attach(ref, result_type=Invoice), Task[Invoice])
    assert_type(Task.attach(ref, decode=Invoice.from_dict), Task[Invoice])
    assert_type(Task.attach(ref, result_type=Invoice).sync.result.result, Invoice)


async def flushing() -> None:
    assert_type(flush(), list[Unstarted])
    for task, error in requence.flush(timeout=None):
        assert_type(task, Task[Any])
        assert_type(error, RequenceError)
    assert_type(await aio.flush(1), list[Unstarted])


def configuring() -> None:
    requence.configure("token", call_timeout=5, patience=None, proxy="http://proxy:3128")


def many(client: Client) -> None:
    def name(index: int, input: Any) -> str | None:
        return f"{index}: {input}"

    for item in map_tasks("t", [1, 2]):
        assert_type(item, TaskItem[Any])
        assert_type(item.index, int)
        assert_type(item.task, Task[Any] | None)
        assert_type(item.error, Exception | None)
        assert_type(item.result, TaskResult[Any])
    with map_tasks(
        "t", ({"n": n} for n in range(5)), result_type=Invoice, max_in_flight=5, name=name
    ) as items:
        for item in items:
            assert_type(item, TaskItem[Invoice])
            assert_type(item.result.result, Invoice)
            assert_type(item.task, Task[Invoice] | None)
        items.close()
    for item in map_tasks("t", {1}, decode=Invoice.from_dict, on_exit="abort", client=client, name="n"):
        of_any_item(item)
    of_any_item(next(map_tasks("t", [], result_type=Receipt)))


def of_any_item(item: TaskItem[Invoice]) -> None:
    assert_type(item.result.result, Invoice)


async def many_awaited(inputs: AsyncIterator[int]) -> None:
    async for item in aio.map_tasks("t", inputs):
        assert_type(item, TaskItem[Any])
    async with aio.map_tasks("t", [1], result_type=Invoice, on_exit="abort") as items:
        async for item in items:
            assert_type(item.result.result, Invoice)
        await items.aclose()
    decoded = [item.result.result async for item in aio.map_tasks("t", [1], decode=is_large)]
    assert_type(decoded, list[bool])


async def their_twins() -> None:
    assert_type(await aio.get_task("id"), TaskSnapshot)
    await aio.abort_task("id", "token", "why")
    await aio.protect_task("id")


def watching() -> None:
    with TaskWatcher("2026-01-31") as watcher:
        for update, incomplete in watcher.sync.updates:
            assert_type(update, Update)
            assert_type(incomplete, bool)


def errors(task: Task[Invoice]) -> None:
    try:
        _ = task.sync.result
    except AckFailedError as error:
        assert_type(error.result, TaskResult[Any] | None)
        assert_type(error.failure, TaskException | None)
    except TaskFailedError as error:
        assert_type(error.context, Context)
        assert_type(error.reason, str | None)
    except TaskException as error:
        assert_type(error.result, TaskResult[Any] | None)
        assert_type(error.status_code, int | None)
    except RequenceError as error:
        assert_type(error.message, str)
        assert_type(error.hint, str | None)
