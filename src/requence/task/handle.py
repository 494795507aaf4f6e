"""`Task`: starts a task when it is made, and is the handle to it. The awaitable face; `task.sync` blocks."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from requence._brief import brief, word
from requence._client import Client, checked_client
from requence._transport.blocking import blocks_a_loop, telling_what_goes_on, wait_or_tell, wait_until_known
from requence._transport.credentials import find_access_token
from requence.exceptions import UsageError
from requence.task.arguments import (
    check_identifier,
    check_optional_text,
    check_position,
    check_priority,
    check_seconds,
)
from requence.task.awaitables import Operation, Pending
from requence.task.beginning import begun
from requence.task.decode import Decoding
from requence.task.encode import encode_input
from requence.task.iterate import AsyncItems, AsyncIteration
from requence.task.opening import opening_of_updates
from requence.task.order import NO_INPUT, Order, Outgoing
from requence.task.reference import TaskRef, reference_at
from requence.task.result import T_co, TaskResult
from requence.task.sync import SyncTask
from requence.task.updates import Update

if TYPE_CHECKING:
    from requence._transport.io_loop import Work
    from requence._transport.started import Started
    from requence.task.run import Run

__all__ = ["Task"]

T = TypeVar("T")


class Task(Generic[T_co]):
    """A task, started by making it.

    ```python
    task = Task("my-template", {"name": "World"})
    print(task.sync.result.result)          # plain Python
    print((await task.result).result)       # asyncio
    ```

    The constructor checks its arguments and hands the start over to a thread of its own; it does not wait for the
    network. What goes wrong there is raised by every way to ask for the task. Everything here is to be awaited;
    `task.sync` has the same for code without asyncio. Only `result`, `wait` and `updates` open an event stream.

    With `result_type=` or `decode=` it is a `Task[T]`, with a `T` for its result; else a `Task[Any]`.
    """

    @overload
    def __init__(
        self,
        task_template: str,
        input: Any = ...,
        name: str | None = ...,
        priority: int = ...,
        access_token: str | None = ...,
        suppress_branch_warning: bool = ...,
        require_ack: bool = ...,
        *,
        client: Client | None = ...,
        on_update: Callable[[Update], object] | None = ...,
        decode: Callable[[Any], T_co] | None = ...,
        result_type: None = ...,
        default: Callable[[Any], object] | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        task_template: str,
        input: Any = ...,
        name: str | None = ...,
        priority: int = ...,
        access_token: str | None = ...,
        suppress_branch_warning: bool = ...,
        require_ack: bool = ...,
        *,
        client: Client | None = ...,
        on_update: Callable[[Update], object] | None = ...,
        decode: None = ...,
        result_type: type[T_co],
        default: Callable[[Any], object] | None = ...,
    ) -> None: ...

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
        decode: Callable[[Any], Any] | None = None,
        result_type: type[Any] | None = None,
        default: Callable[[Any], object] | None = None,
    ) -> None:
        """Starts a task.

        Args:
            task_template: The name of the task template.
            input: The input: anything that JSON can express, copied at once, with a `RequenceFile` or
                `RequenceStream` wherever one is to be uploaded. Default `{}`.
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
            decode: Makes the result's value out of plain JSON: a plain function, called once, when the result is
                first asked for; in the caller's thread if that blocks, on a thread of its own if it awaits.
            result_type: The type of the result's value, a short form of `decode`: a dataclass, an attrs class,
                a `TypedDict`, a `msgspec.Struct`, or what `list`, `dict` and the like make of these.
            default: As in `json.dumps`: called with each object in the input that JSON cannot express, for
                something to send in its place, which is encoded in turn.

        Raises:
            ConfigurationError: The token, an argument or the input is not usable.
            UsageError: The interpreter is shutting down; or `on_update` is a coroutine function, and no loop runs.
        """
        client, outgoing = checked_client(client), list[Outgoing]()
        order = Order(
            task_template=check_identifier("task_template", task_template),
            input=encode_input(input, default=default, outgoing=outgoing),
            name=check_optional_text("name", name),
            priority=check_priority(priority),
            require_ack=bool(require_ack),
            suppress_branch_warning=bool(suppress_branch_warning),
            outgoing=tuple(outgoing),
        )
        decoding = Decoding[T_co](order.task_template, decode, result_type)
        token = find_access_token(access_token, client)
        self._hold(begun(order, token, client, on_update), decoding)

    @overload
    @classmethod
    def attach(
        cls,
        task: TaskRef | str,
        access_token: str | None = ...,
        *,
        client: Client | None = ...,
        on_update: Callable[[Update], object] | None = ...,
        decode: None = ...,
        result_type: None = ...,
    ) -> Task[Any]: ...

    @overload
    @classmethod
    def attach(
        cls,
        task: TaskRef | str,
        access_token: str | None = ...,
        *,
        client: Client | None = ...,
        on_update: Callable[[Update], object] | None = ...,
        decode: Callable[[Any], T],
        result_type: None = ...,
    ) -> Task[T]: ...

    @overload
    @classmethod
    def attach(
        cls,
        task: TaskRef | str,
        access_token: str | None = ...,
        *,
        client: Client | None = ...,
        on_update: Callable[[Update], object] | None = ...,
        decode: None = ...,
        result_type: type[T],
    ) -> Task[T]: ...

    @classmethod
    def attach(
        cls,
        task: TaskRef | str,
        access_token: str | None = None,
        *,
        client: Client | None = None,
        on_update: Callable[[Update], object] | None = None,
        decode: Callable[[Any], Any] | None = None,
        result_type: type[Any] | None = None,
    ) -> Task[Any]:
        """Returns a handle to a task that was started before, here or elsewhere. Sends nothing by itself.

        From a reference everything works as with the handle that started the task. From an id alone its updates
        cannot be followed: its end is learned by asking, with growing pauses, and `updates` has the last update
        only.

        Args:
            task: What `ref` has returned, or the task's id.
            access_token: A token of the same service; by default it is looked up as for a new task.
            client: How to reach the service; by default the default client.
            on_update: As for a new task: it is given all updates from the first on.
            decode: As for a new task.
            result_type: As for a new task.

        Raises:
            ConfigurationError: The token or an argument is not usable, or the reference is of another service.
            UsageError: The interpreter is shutting down; or `on_update` is a coroutine function, and no loop runs.
        """
        client = checked_client(client)
        token = find_access_token(access_token, client)
        ref = reference_at(token.base_url, task)
        decoding = Decoding[Any](ref.task_template, decode, result_type)
        return cls._with(begun(ref, token, client, on_update), decoding)

    @classmethod
    def _with(cls, run: Run, decoding: Decoding[Any]) -> Task[Any]:
        task = cls.__new__(cls)
        cls._hold(task, run, decoding)
        return task

    def _hold(self, run: Run, decoding: Decoding[T_co]) -> None:
        self._run = run
        self._decoding = decoding
        run.handle = weakref.ref(self)
        weakref.finalize(self, run.close)

    @property
    def sync(self) -> SyncTask[T_co]:
        """The blocking face of this task."""
        return SyncTask(self._run, self._decoding, self)

    @property
    def known_id(self) -> str | None:
        """The task's id if its start was confirmed by now, else None. No I/O."""
        return self._run.known_id

    @property
    def task_id(self) -> Pending[str]:
        """The task's id, once it was accepted and started. Awaiting it may raise what follows.

        Raises:
            TaskRefusedError: The input or the template was refused.
            UnauthorizedError: The token was refused.
            RequenceUnreachableException: The service could not be reached.
            StartUncertainError: Whether the task was started is not known.
        """
        return Pending(self._run.io, self.finalized, spelling=("task.task_id", "task.sync.id"))

    @property
    def task_url(self) -> Pending[str | None]:
        """The page of the task, once it was started; None if the service names none. Raises like `task_id`."""
        return Pending(self._run.io, self._url, spelling=("task.task_url", "task.sync.url"))

    @property
    def result(self) -> Pending[TaskResult[T_co]]:
        """The result, once the task has ended. Awaiting it may raise what follows.

        Raises:
            TaskFailedError: The task failed.
            TaskAbortedError: The task was aborted.
            AckFailedError: It ended, but the delivery could not be confirmed (`require_ack`); awaiting again tries
                that again.
            StreamInterruptedError: Contact with the service was lost for longer than the client's patience.
            TaskException: The result does not fit `result_type`, or `decode` has failed on it; the error's
                `.result` has it as it was sent. And everything that `task_id` raises.
        """
        return Pending(self._run.io, self.wait, spelling=("task.result", "task.sync.result"))

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
        return (await self._started()).task_id

    async def ref(self) -> TaskRef:
        """Waits until the task was started, and returns a reference to it: for `attach`, in any process.

        Raises like `task_id`.
        """
        return self._run.reference(await self._started())

    async def wait(self, timeout: float | None = None) -> TaskResult[T_co]:
        """Waits for the result like `result`, for at most `timeout` seconds (None: without limit).

        Raises:
            TaskWaitTimeout: The time is over. The task goes on; nothing is aborted, and waiting again is possible.
        """
        seconds, run = check_seconds("timeout", timeout), self._run
        if seconds is None:
            plain = await wait_until_known(run.io, run.ending(), run.goes_on)
        else:
            plain = await wait_or_tell(run.io, partial(run.result_within, seconds), run.goes_on)
        return await self._decoding.awaiting(run.io, plain)

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

    async def _url(self) -> str | None:
        return (await self._started()).url

    async def _started(self) -> Started:
        run = self._run
        return await wait_until_known(run.io, run.starting(), run.goes_on)

    def _operate(self, verb: str, work: Work[None]) -> Operation:
        io, what = self._run.io, f"{verb} of <{self._named()}>"
        if blocks_a_loop(io):
            return Operation(io, what, io.submit(work, before_exit=True))
        # Ctrl-C may also hit between the request that is on its way already and the wait for it.
        with telling_what_goes_on(lambda: self._run.not_confirmed(verb)):
            operation = Operation(io, what, io.submit(work, before_exit=True))
            operation.confirm()
        return operation

    def __await__(self) -> Generator[Any, None, TaskResult[T_co]]:
        return self.result.__await__()

    def __aiter__(self) -> AsyncIteration[Update]:
        return self.updates.__aiter__()

    if not TYPE_CHECKING:  # for which it would be there

        def __iter__(self) -> NoReturn:
            self.updates.__iter__()

    def __reduce__(self) -> tuple[Callable[[TaskRef], Task[Any]], tuple[TaskRef]]:
        ref = self._run.known_ref()
        if ref is None:
            raise UsageError(
                "A Task can be pickled once its start is confirmed, since only then it has an id",
                hint="wait for task.sync.id or await task.task_id before",
            )
        return partial(type(self).attach, **self._decoding.given), (ref,)

    def __copy__(self) -> Task[T_co]:
        return self  # a copy would be another handle to the same task, without its callback

    def __deepcopy__(self, memo: dict[int, object]) -> Task[T_co]:
        return self

    def __repr__(self) -> str:
        state = self._run.state  # before the id, which else may be there only now
        named = self._named()
        return f"<{named}>" if state == "started" else f"<{named}, {state}>"

    def _named(self) -> str:
        template, known_id = self._run.of.task_template, self.known_id
        parts = ["Task", brief(template, 40) if template else "", word(known_id) if known_id else ""]
        return " ".join(filter(None, parts))
