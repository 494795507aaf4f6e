"""`Task`: starts a task when it is made, and is the handle to it. The awaitable face; `task.sync` blocks."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Generator
from typing import Any, NoReturn

from requence._client import Client, checked_client
from requence._transport.credentials import find_access_token
from requence._transport.io_thread import Work, io_thread
from requence.exceptions import UsageError
from requence.task.arguments import (
    check_identifier,
    check_optional_text,
    check_position,
    check_priority,
    check_seconds,
)
from requence.task.awaitables import Operation, Pending
from requence.task.callbacks import Callbacks
from requence.task.encode import encode_input
from requence.task.iterate import AsyncItems, AsyncIteration
from requence.task.order import NO_INPUT, Order
from requence.task.result import TaskResult
from requence.task.run import Run, opening_of_updates
from requence.task.sync import SyncTask
from requence.task.updates import Update

__all__ = ["Task"]


class Task:
    """A task, started by making it.

    ```python
    task = Task("my-template", {"name": "World"})
    print(task.sync.result.result)          # plain Python
    print((await task.result).result)       # asyncio
    ```

    The constructor checks its arguments and hands the start over to a thread of its own; it does not wait for the
    network. What goes wrong there is raised by every way to ask for the task. Everything here is to be awaited;
    `task.sync` has the same for code without asyncio. Only `result`, `wait` and `updates` open an event stream.
    """

    def __init__(
        self,
        task_template: str,
        input: Any = NO_INPUT,
        name: str | None = None,
        priority: int = 5,
        access_token: str | None = None,
        suppress_branch_warning: bool = False,
        require_ack: bool = False,
        *,
        client: Client | None = None,
        on_update: Callable[[Update], object] | None = None,
    ) -> None:
        """Starts a task.

        Args:
            task_template: The name of the task template.
            input: The input: anything that JSON can express, copied at once. Default `{}`.
            name: A name for people, shown in the Requence UI.
            priority: From 0 (low) to 10 (high). Default 5.
            access_token: The token; by default the client's, then `REQUENCE_TASK_ACCESS_TOKEN`,
                `REQUENCE_ACCESS_TOKEN`, then `pyproject.toml`.
            suppress_branch_warning: Whether to be silent if the token starts tasks on another branch than `live`.
            require_ack: Whether the service keeps the outcome until this handle has confirmed it.
            client: How to reach the service; by default the default client.
            on_update: Called with each update in order, also when the handle has gone: a plain function on a
                worker thread, a coroutine function on the loop that is running now. If it fails, that is logged;
                neither that nor its slowness disturbs the result, which may be there before the last call. All
                plain functions of the process share eight threads: eight that block keep the others waiting.

        Raises:
            ConfigurationError: The token, an argument or the input is not usable.
            UsageError: The interpreter is shutting down; or `on_update` is a coroutine function, and no loop runs.
        """
        client = checked_client(client)
        order = Order(
            task_template=check_identifier("task_template", task_template),
            input=encode_input(input),
            name=check_optional_text("name", name),
            priority=check_priority(priority),
            require_ack=bool(require_ack),
            suppress_branch_warning=bool(suppress_branch_warning),
        )
        token = find_access_token(access_token, client)
        io = io_thread()
        self._run = Run(io, token, client, order, Callbacks(io, on_update=on_update))
        weakref.finalize(self, self._run.io.call_soon, self._run.release)

    @property
    def sync(self) -> SyncTask:
        """The blocking face of this task."""
        return SyncTask(self._run, self)

    @property
    def known_id(self) -> str | None:
        """The task's id if its start was confirmed by now, else None. No I/O."""
        return self._run.known_id

    @property
    def task_id(self) -> Pending[str]:
        """The task's id, once it was accepted and started.

        Raises when awaited:
            TaskRefusedError: The input or the template was refused.
            UnauthorizedError: The token was refused.
            RequenceUnreachableException: The service could not be reached.
            StartUncertainError: Whether the task was started is not known.
        """
        return Pending(self._run.io, self._run.id, spelling="task.id", keep=self)

    @property
    def task_url(self) -> Pending[str | None]:
        """The page of the task, once it was started; None if the service names none. Raises like `task_id`."""
        return Pending(self._run.io, self._run.url, spelling="task.url", keep=self)

    @property
    def result(self) -> Pending[TaskResult]:
        """The result, once the task has ended.

        Raises when awaited:
            TaskFailedError: The task failed.
            TaskAbortedError: The task was aborted.
            AckFailedError: It ended, but the delivery could not be confirmed (`require_ack`); awaiting again tries
                that again.
            StreamInterruptedError: Contact with the service was lost for longer than the client's patience.
            TaskException: And everything that `task_id` raises.
        """
        return Pending(self._run.io, self._run.result, spelling="task.result", keep=self)

    @property
    def updates(self) -> AsyncItems[Update]:
        """The updates, for `async for`: all of them in order, in each iteration, ending with the last one.

        A failed or aborted task does not raise here, its last update says so. What `task_id` raises is raised.
        """
        return AsyncItems(opening_of_updates(self._run, self))

    def updates_after(self, position: int) -> AsyncItems[Update]:
        """The updates after the one at `position` (`update.position`), for `async for`; else like `updates`.

        For going on where an earlier reader, maybe in another process, has stopped. The contexts begin at the
        position, too: they do not have what came before.
        """
        return AsyncItems(opening_of_updates(self._run, self, after=check_position(position)))

    async def finalized(self) -> str:
        """Waits until the input was accepted and the task was started, and returns its id.

        Opens no stream, so it is cheap. Raises like `task_id`.
        """
        return await self._run.io.run_async(self._run.id)

    async def wait(self, timeout: float | None = None) -> TaskResult:
        """Waits for the result like `result`, for at most `timeout` seconds (None: without limit).

        Raises:
            TaskWaitTimeout: The time is over. The task goes on; nothing is aborted, and waiting again is possible.
        """
        seconds = check_seconds("timeout", timeout)
        return await self._run.io.run_async(lambda: self._run.result(seconds))

    def abort(self, reason: str | None = None) -> Operation:
        """Aborts the task; one that was not started yet is not started at all.

        The request is sent at once. Where no event loop runs in this thread, it is waited for; otherwise await
        what is returned.

        Args:
            reason: Why, for people; the task's last update carries it.

        Raises:
            TaskAbortException: The service refused.
        """
        reason = check_optional_text("reason", reason)
        return self._operate("abort", lambda: self._run.abort(reason))

    def protect(self) -> Operation:
        """Protects the task from automatic cleanup. Sent and waited for like `abort`.

        Raises:
            TaskProtectException: The service refused.
        """
        return self._operate("protect", self._run.protect)

    def _operate(self, verb: str, work: Work[None]) -> Operation:
        future = self._run.io.submit(work, before_exit=True)
        operation = Operation(self._run.io, f"{verb} of {self!r}", future)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            operation.confirm()
        return operation

    def __await__(self) -> Generator[Any, None, TaskResult]:
        return self.result.__await__()

    def __aiter__(self) -> AsyncIteration[Update]:
        return self.updates.__aiter__()

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "A Task is a handle of this process and is neither pickled nor copied",
            hint="hand its id over, and use get_task(task_id) there",
        )

    def __repr__(self) -> str:
        known_id = self.known_id
        return f"<Task {self._run.order.task_template!r}{f' {known_id}' if known_id else ''}>"
