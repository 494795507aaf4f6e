"""The coroutine twins of the functions in `requence.task`: same parameters, same errors, to be awaited."""

from __future__ import annotations

from requence._client import Client
from requence._transport.io_thread import io_thread, io_thread_if_running
from requence.task import by_id
from requence.task.flush import Unstarted, flushing
from requence.task.handle import Task
from requence.task.recreate import Recreation
from requence.task.snapshot import TaskSnapshot

__all__ = ["abort_task", "flush", "get_task", "protect_task", "recreate_task"]


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
