"""`TaskWatcher`: the updates of all tasks of an access token, whoever started them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from requence._brief import word
from requence._client import Client, checked_client
from requence._transport.credentials import find_access_token
from requence._transport.io_thread import io_thread
from requence.exceptions import ConfigurationError, RequenceUnreachableException, UsageError
from requence.task.arguments import check_since
from requence.task.iterate import AsyncItems, AsyncIteration, Items, Opening
from requence.task.updates import Update

if TYPE_CHECKING:
    from datetime import date

    from requence.task.watching import Seen

__all__ = ["SyncWatcher", "TaskWatcher"]


class TaskWatcher:
    """Watches all tasks of an access token, from the moment it is made.

    ```python
    with TaskWatcher(since=datetime.now()) as watcher:
        for update, incomplete in watcher.sync.updates:  # or: async for … in watcher.updates
            print(update.task_id, update.type)
    ```

    **It acknowledges.** The last update of a task that was started with `require_ack=True` is confirmed to the
    service before you get it, whoever started the task: the service then counts the outcome as delivered, and does
    not keep it for anybody else. `ack=False` leaves that to others. What is hidden by `only`, or not taken from
    the watcher, is not confirmed.

    Lost connections are opened again from the last position, over any number of outages shorter than the client's
    patience. If watching ends for good (the token is refused, the patience is over), `on_error` is called, and
    each iteration raises the error once everything before it was taken.

    Each iteration gets everything from then on, and what nobody has taken before it. At most 1,024 updates wait
    for an iteration; then the watcher stops reading until they were taken. So memory is bounded, nothing is lost,
    and the slowest iteration sets the pace for all of this watcher.
    """

    def __init__(
        self,
        since: date | str,
        access_token: str | None = None,
        *,
        only: Iterable[str] | None = None,
        ack: bool = True,
        on_connect: Callable[[], object] | None = None,
        on_reconnecting: Callable[[], object] | None = None,
        on_error: Callable[[int | None, str], object] | None = None,
        on_unreachable: Callable[[RequenceUnreachableException], object] | None = None,
        on_update: Callable[[Update], object] | None = None,
        client: Client | None = None,
    ) -> None:
        """Connects, in the background.

        The callbacks are called in order, one at a time: plain functions on a worker thread, coroutine functions
        on the loop that is running now. What they raise is logged.

        Args:
            since: Where to begin: a `datetime`, a `date` (its midnight), or ISO 8601 text such as an update's
                `timestamp`. Without an offset it is local time.
            access_token: The token; by default it is looked up as for `Task`.
            only: The types of updates to hand on, such as `["taskEnd"]`; by default all. Contexts still take
                all updates into account.
            ack: Whether to acknowledge outcomes; see above.
            on_connect: Called after every successful connect, the first one included.
            on_reconnecting: Called when a connection was lost or refused for now, and will be tried again.
            on_error: Called with the HTTP status (None without an answer) and the reason when watching has ended.
            on_unreachable: Called with the error, beside `on_reconnecting`, when the service could not be reached.
            on_update: Called with each update. Such a watcher goes on when nothing refers to it any more.
            client: How to reach the service; by default the default client.

        Raises:
            ConfigurationError: An argument or the token is not usable.
            UsageError: The interpreter is shutting down; or a callback is a coroutine function, and no loop runs.
        """
        client = checked_client(client)
        begin = check_since(since)
        types = _checked_types(only)
        token = find_access_token(access_token, client)
        io = io_thread()
        # Here, since they import asyncio, as the I/O thread does.
        from requence.task.callbacks import Callbacks
        from requence.task.watching import Watching

        callbacks = Callbacks(
            io,
            on_connect=on_connect,
            on_reconnecting=on_reconnecting,
            on_error=on_error,
            on_unreachable=on_unreachable,
            on_update=on_update,
        )
        self._watching = Watching(io, token, client, callbacks, since=begin, only=types, ack=bool(ack))
        if on_update is None:  # else there is somebody to be told of updates without any reference to this
            weakref.finalize(self, self._watching.stop).atexit = False

    @property
    def updates(self) -> AsyncItems[Seen]:
        """The updates, for `async for update, incomplete in …`.

        `incomplete` is True until this watcher has seen the task's `taskStart`: before that, the context may lack
        what came earlier. It is also `update.incomplete`. `update.root_task_id` names the task at the top for
        updates of a sub-task. Positions are those of the stream of all tasks, not those of the task's own.
        """
        return AsyncItems(self._opening())

    @property
    def sync(self) -> SyncWatcher:
        """The blocking face of this watcher."""
        return SyncWatcher(self, self._opening())

    def stop(self) -> None:
        """Stops watching, at once: every iteration ends without an error. May be called more than once."""
        self._watching.stop()

    def _opening(self) -> Opening[Seen]:
        return Opening(
            io=self._watching.io,
            source=self._watching.inbox,
            spelling=("watcher.updates", "watcher.sync.updates"),
            wait=lambda: "an update of any task",
            goes_on=lambda: None,
            keep=self,
        )

    def __aiter__(self) -> AsyncIteration[Seen]:
        return self.updates.__aiter__()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "A TaskWatcher is a connection of this process and is neither pickled nor copied",
            hint="make another one there",
        )

    def __repr__(self) -> str:
        return f"<TaskWatcher since {word(self._watching.since)}{', stopped' if self._watching.has_ended else ''}>"


class SyncWatcher:
    """What `watcher.sync` returns, and `watcher.sync()` as well."""

    __slots__ = ("_opening", "_watcher")

    def __init__(self, watcher: TaskWatcher, opening: Opening[Seen]) -> None:
        self._watcher = watcher
        self._opening = opening

    @property
    def updates(self) -> Items[Seen]:
        """The updates, for `for update, incomplete in …`; see `TaskWatcher.updates`."""
        return Items(self._opening)

    def __call__(self) -> Self:
        """Returns itself: the published SDK has `watcher.sync()`."""
        return self

    def __repr__(self) -> str:
        return f"<the blocking face of {self._watcher!r}>"


def _checked_types(only: Iterable[str] | None) -> frozenset[str] | None:
    if only is None:
        return None
    if isinstance(only, str) or not isinstance(only, Iterable):
        raise ConfigurationError(f"only must be a list of types of updates, not {only!r}")
    types: list[object] = list(only)
    texts = [name for name in types if isinstance(name, str) and name]
    if not texts or len(texts) != len(types):
        raise ConfigurationError(f"only must be a list of types of updates, not {types!r}")
    return frozenset(texts)
