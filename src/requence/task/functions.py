"""What can be done with a task by its id alone. These functions block; `requence.task.aio` has their twins."""

from __future__ import annotations

from requence._client import Client
from requence._transport.blocking import block
from requence._transport.io_thread import io_thread, io_thread_if_running
from requence.task import by_id
from requence.task.flush import Unstarted, flushing
from requence.task.handle import Task
from requence.task.recreate import Recreation
from requence.task.snapshot import TaskSnapshot

__all__ = ["abort_task", "flush", "get_task", "protect_task", "recreate_task"]


def get_task(task_id: str, access_token: str | None = None, *, client: Client | None = None) -> TaskSnapshot:
    """Reads a task as it is now, without following it.

    ```python
    status, context = get_task(task_id)
    ```

    Args:
        task_id: The task's id.
        access_token: The token; by default it is looked up as for `Task`.
        client: How to reach the service; by default the default client.

    Raises:
        ConfigurationError: An argument or the token is not usable.
        TaskNotFoundError: The service knows no such task.
        UnauthorizedError: The service refuses the token.
        RequenceUnreachableException: The service cannot be reached.
    """
    work = by_id.get(task_id, access_token, client)
    return block(io_thread(), work, instead="await requence.task.aio.get_task(…)")


def abort_task(
    task_id: str, access_token: str | None = None, reason: str | None = None, *, client: Client | None = None
) -> None:
    """Aborts a task and waits for the confirmation. Aborting a task that has ended has no effect.

    Args:
        task_id: The task's id.
        access_token: The token; by default it is looked up as for `Task`.
        reason: Why, for people; the task's last update carries it.
        client: How to reach the service; by default the default client.

    Raises:
        ConfigurationError: An argument or the token is not usable.
        TaskAbortException: The service refused, for instance since it knows no such task.
        UnauthorizedError: The service refuses the token.
        RequenceUnreachableException: The service cannot be reached.
    """
    work = by_id.abort(task_id, access_token, reason, client)
    block(io_thread(), work, instead="await requence.task.aio.abort_task(…)")


def protect_task(task_id: str, access_token: str | None = None, *, client: Client | None = None) -> None:
    """Protects a task from automatic cleanup and waits for the confirmation. May be repeated.

    Args:
        task_id: The task's id.
        access_token: The token; by default it is looked up as for `Task`.
        client: How to reach the service; by default the default client.

    Raises:
        ConfigurationError: An argument or the token is not usable.
        TaskProtectException: The service refused, for instance since it knows no such task.
        UnauthorizedError: The service refuses the token.
        RequenceUnreachableException: The service cannot be reached.
    """
    work = by_id.protect(task_id, access_token, client)
    block(io_thread(), work, instead="await requence.task.aio.protect_task(…)")


def recreate_task(
    task_id: str,
    name: str | None = None,
    priority: int | None = None,
    task_template: str | None = None,
    access_token: str | None = None,
    *,
    client: Client | None = None,
) -> Task:
    """Starts a task once more: with the same template and input, on the branch of the token.

    The service is asked for the task, which this waits for; the new one is then started like any other.

    ```python
    print(recreate_task(task_id).sync.result.result)
    ```

    Files and streams in the input are referred to, not sent again, so they have to be there still.

    Args:
        task_id: The id of the task to be started again.
        name: The new task's name; by default that of the original, if the service tells it.
        priority: From 0 (low) to 10 (high). Default 5: the service does not tell that of the original.
        task_template: The template's name; by default as the service tells it.
        access_token: The token; by default it is looked up as for `Task`.
        client: How to reach the service; by default the default client.

    Returns:
        The handle of the new task.

    Raises:
        ConfigurationError: An argument or the token is not usable, or the input has callbacks of a service.
        TaskNotFoundError: The service knows no such task.
        TaskException: The service does not tell the template (and none is given), or the input.
        UnauthorizedError: The service refuses the token.
        RequenceUnreachableException: The service cannot be reached.
    """
    recreation = Recreation(task_id, name, priority, task_template, access_token, client)
    original = block(io_thread(), recreation.original, instead="await requence.task.aio.recreate_task(…)")
    return recreation.begin(original)


def flush(timeout: float | None = 5.0) -> list[Unstarted]:
    """Waits until every task made so far in this process was started, or could not be.

    For the end of a script that has to know: by itself the end of a script waits for its starts, too, but can only
    log what could not be delivered.

    ```python
    for task, error in requence.flush():
        print(task, error)
    ```

    Args:
        timeout: The longest wait in seconds, None for no limit. Default 5.

    Returns:
        One entry (`task`, `error`) for each start that has failed since the last flush, and for each that is not
        confirmed yet: that one goes on, and its error is a `TaskWaitTimeout`.

    Raises:
        ConfigurationError: `timeout` is not a number of seconds.
    """
    work = flushing(timeout)
    io = io_thread_if_running()
    return [] if io is None else block(io, work, instead="await requence.task.aio.flush()")
