"""The coroutine twins of the functions in `requence.task`: same parameters, same errors, to be awaited.

`map_tasks` is not awaited but iterated, with `async for`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, TypeVar, overload

from requence._client import Client
from requence._transport.io_thread import io_thread, io_thread_if_running
from requence.task import by_id
from requence.task.batch import checked_inputs
from requence.task.flush import Unstarted, flushing
from requence.task.handle import Task
from requence.task.items import AsyncTaskItems, OnExit
from requence.task.recipe import Name, Recipe
from requence.task.recreate import Recreation
from requence.task.snapshot import TaskSnapshot

__all__ = ["abort_task", "flush", "get_task", "map_tasks", "protect_task", "recreate_task"]

T = TypeVar("T")


def __dir__() -> list[str]:
    # Completion then offers what is public, and not what is only imported here.
    return __all__


async def get_task(
    task_id: str, access_token: str | None = None, *, client: Client | None = None
) -> TaskSnapshot:
    """Reads a task as it is now. Parameters and errors as for `requence.task.get_task`."""
    return await io_thread().run_async(by_id.get(task_id, access_token, client))


async def abort_task(
    task_id: str, access_token: str | None = None, reason: str | None = None, *, client: Client | None = None
) -> None:
    """Aborts a task. Parameters and errors as for `requence.task.abort_task`."""
    await io_thread().run_async(by_id.abort(task_id, access_token, reason, client))


async def protect_task(
    task_id: str, access_token: str | None = None, *, client: Client | None = None
) -> None:
    """Protects a task. Parameters and errors as for `requence.task.protect_task`."""
    await io_thread().run_async(by_id.protect(task_id, access_token, client))


async def recreate_task(
    task_id: str,
    name: str | None = None,
    priority: int | None = None,
    task_template: str | None = None,
    access_token: str | None = None,
    *,
    client: Client | None = None,
) -> Task:
    """Starts a task once more. Parameters and errors as for `requence.task.recreate_task`."""
    recreation = Recreation(task_id, name, priority, task_template, access_token, client)
    return recreation.begin(await io_thread().run_async(recreation.original))


async def flush(timeout: float | None = 5.0) -> list[Unstarted]:
    """Waits until every task made so far was started, or could not be. As `requence.flush`."""
    work = flushing(timeout)
    io = io_thread_if_running()
    return [] if io is None else await io.run_async(work)


@overload
def map_tasks(
    task_template: str,
    inputs: Iterable[Any] | AsyncIterable[Any],
    *,
    max_in_flight: int = ...,
    on_exit: OnExit = ...,
    name: Name = ...,
    priority: int = ...,
    access_token: str | None = ...,
    suppress_branch_warning: bool = ...,
    require_ack: bool = ...,
    client: Client | None = ...,
    decode: None = ...,
    result_type: None = ...,
    default: Callable[[Any], object] | None = ...,
) -> AsyncTaskItems[Any]: ...


@overload
def map_tasks(
    task_template: str,
    inputs: Iterable[Any] | AsyncIterable[Any],
    *,
    max_in_flight: int = ...,
    on_exit: OnExit = ...,
    name: Name = ...,
    priority: int = ...,
    access_token: str | None = ...,
    suppress_branch_warning: bool = ...,
    require_ack: bool = ...,
    client: Client | None = ...,
    decode: Callable[[Any], T],
    result_type: None = ...,
    default: Callable[[Any], object] | None = ...,
) -> AsyncTaskItems[T]: ...


@overload
def map_tasks(
    task_template: str,
    inputs: Iterable[Any] | AsyncIterable[Any],
    *,
    max_in_flight: int = ...,
    on_exit: OnExit = ...,
    name: Name = ...,
    priority: int = ...,
    access_token: str | None = ...,
    suppress_branch_warning: bool = ...,
    require_ack: bool = ...,
    client: Client | None = ...,
    decode: None = ...,
    result_type: type[T],
    default: Callable[[Any], object] | None = ...,
) -> AsyncTaskItems[T]: ...


def map_tasks(
    task_template: str,
    inputs: Iterable[Any] | AsyncIterable[Any],
    *,
    max_in_flight: int = 100,
    on_exit: OnExit = "leave",
    name: Name = None,
    priority: int = 5,
    access_token: str | None = None,
    suppress_branch_warning: bool = False,
    require_ack: bool = False,
    client: Client | None = None,
    decode: Callable[[Any], Any] | None = None,
    result_type: type[Any] | None = None,
    default: Callable[[Any], object] | None = None,
) -> AsyncTaskItems[Any]:
    """Starts a task for each input, and gives what comes of them as they end, for `async for`.

    ```python
    async with aio.map_tasks("my-template", inputs, on_exit="abort") as items:
        async for item in items:
            print(item.index, item.error or item.result.result)
    ```

    As `requence.task.map_tasks`, with the same parameters and errors. `inputs` may be an asynchronous iterable as
    well: while it waits for its next input, items are handed on as they come. A wait that is cancelled ends the
    iteration, as it ends an asynchronous generator; `aclose()` ends it, too.
    """
    recipe = Recipe[Any](
        task_template,
        name=name,
        priority=priority,
        access_token=access_token,
        suppress_branch_warning=suppress_branch_warning,
        require_ack=require_ack,
        client=client,
        decode=decode,
        result_type=result_type,
        default=default,
    )
    return AsyncTaskItems(
        recipe, checked_inputs(inputs, asynchronous=True), max_in_flight=max_in_flight, on_exit=on_exit
    )
