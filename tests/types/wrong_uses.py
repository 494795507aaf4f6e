"""Uses that type checkers must refuse: each line that is marked, and no other. Checked only, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypedDict, assert_never, assert_type

import requence
from requence.task import (
    Operation,
    Task,
    TaskItem,
    TaskResult,
    Update,
    abort_task,
    aio,
    get_task,
    map_tasks,
    protect_task,
)
from requence.task.updates import NodeUpdate, TaskEnd


@dataclass
class Invoice:
    number: int

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Invoice:
        return cls(raw["number"])


class InvoiceDict(TypedDict):
    number: int


def two_arguments(raw: Any, more: int) -> Invoice:
    return Invoice(raw + more)


async def a_coroutine(raw: Any) -> Invoice:
    return Invoice(raw)


def of_one_text(text: str) -> None:
    print(text)


def arguments() -> None:
    Task()  # wrong: no template
    Task(5)  # wrong
    Task("t", priority="high")  # wrong
    Task("t", name=5)  # wrong
    Task("t", {}, None, 5, None, False, False, None)  # wrong: the others are given by name
    Task("t", task_templte="t")  # wrong
    Task("t", client="token")  # wrong
    Task("t", on_update=of_one_text)  # wrong
    Task("t", on_update=5)  # wrong
    Task("t", default=5)  # wrong


def ways_to_decode() -> None:
    Task("t", decode=Invoice.from_dict, result_type=Invoice)  # wrong: one of them
    Task("t", decode=two_arguments)  # wrong
    Task("t", decode=5)  # wrong
    Task("t", result_type=Invoice(5))  # wrong
    Task("t", result_type="Invoice")  # wrong
    task: Task[Invoice] = Task("t", decode=a_coroutine)  # wrong
    print(task)


def decoded_values() -> None:
    task = Task("t", result_type=Invoice)
    print(task.sync.result.number)  # wrong: result.result
    print(task.sync.result.result.total)  # wrong
    task.sync.result.result.number.upper()  # wrong
    print(Task("t", decode=Invoice.from_dict).sync.wait().result.total)  # wrong
    print(Task("t", result_type=InvoiceDict).sync.result.result["total"])  # wrong
    narrower: Task[bool] = Task("t", result_type=int)  # wrong
    other: TaskResult[str] = task.sync.result  # wrong
    assert_type(task, Task[Any])  # wrong
    print(narrower, other)


async def awaiting() -> None:
    task = Task("t", result_type=Invoice)
    print(task.result.result)  # wrong: not awaited
    print(task.wait().result)  # wrong
    print(task.task_id.upper())  # wrong
    print((await task).total)  # wrong
    print((await task.wait()).result.total)  # wrong
    await task.sync.result  # wrong
    for _ in task.updates:  # wrong
        pass
    async for _ in task.sync.updates:  # wrong
        pass
    print(len(task.abort()))  # wrong
    operation: Operation = await task.abort()  # wrong
    task.sync.id = "mine"  # wrong
    print(operation, task.id)  # wrong


def updates(task: Task[Any]) -> None:
    for update in task.sync.updates:
        print(update.data)  # wrong: only a NodeUpdate has it
        if isinstance(update, NodeUpdate):
            print(update.outptu)  # wrong
        if isinstance(update, TaskEnd):
            print(update.reason)  # wrong
    task.sync.updates_after("5")  # wrong


def some_of_them(update: Update) -> None:
    match update:
        case NodeUpdate() | TaskEnd():
            pass
        case _:
            assert_never(update)  # wrong: these are not all


async def references(task: Task[Any]) -> None:
    print(task.sync.ref.to_json())  # wrong: not called
    print(task.ref().to_json())  # wrong: not awaited
    Task.attach(5)  # wrong
    Task.attach("id", result_type=int, decode=int)  # wrong: one of them
    print(Task.attach("id", result_type=Invoice).sync.result.result.nubmer)  # wrong
    for entry in requence.flush():
        print(entry.tsak)  # wrong
    requence.flush("5")  # wrong
    await requence.flush()  # wrong: it blocks


async def many(inputs: AsyncIterator[int]) -> None:
    map_tasks("t")  # wrong: no inputs
    map_tasks("t", 5)  # wrong
    map_tasks("t", inputs)  # wrong: only the twin waits for them
    map_tasks("t", [], 5)  # wrong: the others are given by name
    map_tasks("t", [], max_in_flight="5")  # wrong
    map_tasks("t", [], on_exit="stay")  # wrong
    map_tasks("t", [], name=of_one_text)  # wrong
    map_tasks("t", [], result_type=int, decode=int)  # wrong: one of them
    for item in map_tasks("t", [], result_type=Invoice):
        print(item.result.number)  # wrong: result.result
        print(item.result.result.nubmer)  # wrong
        print(item.task.known_id)  # wrong: maybe there is none
        other: TaskItem[str] = item  # wrong
        item.index = 5  # wrong: read-only
        print(other)
    for _ in aio.map_tasks("t", []):  # wrong
        pass
    async for _ in map_tasks("t", []):  # wrong
        pass
    await aio.map_tasks("t", [])  # wrong


async def functions() -> None:
    get_task()  # wrong
    get_task(5)  # wrong
    abort_task("id", reason=5)  # wrong
    protect_task("id", "token", "why")  # wrong
    await get_task("id")  # wrong
    _, _, _ = get_task("id")  # wrong: it has two
    print((await aio.get_task("id")).statsu)  # wrong
    await aio.abort_task("id", why="why")  # wrong
    print(aio.get_task("id").status)  # wrong: not awaited
