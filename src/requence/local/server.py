"""`LocalServer`: a task server in a thread of this program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from requence._brief import listed, word
from requence._client import Client, default_client_set_to
from requence.exceptions import ConfigurationError, UsageError
from requence.local.act import outcome_of
from requence.local.catalogue import plans
from requence.local.context import NodeContext
from requence.local.faults import Faults
from requence.local.refusals import NotNowError
from requence.local.runtime import Runtime, Settings
from requence.local.template import TaskTemplate
from requence.local.testkit import NOT_GIVEN, ServerClock, StartedTask, started_task, stub_graph

__all__ = ["LocalServer"]

_LONGEST = timedelta(days=36_500)


class LocalServer:
    """A complete task server on this machine, for development, tests and demos.

    ```python
    with LocalServer(digest) as server:
        Task("document-digest", {"path": "README.md"}, client=server.client).sync.result
    ```

    It runs in a thread of its own while the `with` or `async with` block lasts, and listens on the loopback
    interface only, unless it is told otherwise. With a file it remembers everything: started again on the same
    file it has the same access token and, unless one is given, the same port; tasks that had not ended are taken
    up again, and nodes that were interrupted run again from their start, so a handler may be called more than
    once for one task.

    Args:
        *templates: What can be started. There may be none, for a server that only has stubs.
        port: The port; 0 takes the one that `db` was last served on, else a free one. Default 0.
        db: The SQLite file to keep everything in; it is created if need be, readable by its owner only. Default:
            None, everything is gone when the server stops.
        host: "localhost" or an address of the loopback interface. Default "127.0.0.1".
        allow_network: Whether `host` may be another address of this machine, or "0.0.0.0" for all of them, so that
            other machines can use the server. It then warns in the log: whoever has the token can run the
            templates, and nothing is encrypted. Default: False.
        workers: How many handlers run at once. More wait for their turn: those of the most urgent task first, then
            those of the oldest. Default 8.
        max_payload_size: The largest body that starts a task, in bytes. Default 4 MiB.
        max_file_size: The largest file or stream, in bytes. Default 100 MiB.
        retention: How long a task is kept after its end, with its updates and files, unless it is protected; None
            for ever. Default 7 days.
        strict: Whether answers, and events as each reader gets them, are held against the API's contract before
            they are sent. One that breaks it becomes a status 500, or a cut stream, and the log `requence.local`
            says where. It is there to find mistakes of this server. Requests, and events when they are made, are
            checked in any case. Default: False.

    Raises:
        ConfigurationError: A template has no nodes, two have the same name, or a number is out of its range; on
            entering: the file or the port cannot be used.
    """

    def __init__(
        self,
        *templates: TaskTemplate,
        port: int = 0,
        db: str | Path | None = None,
        host: str = "127.0.0.1",
        allow_network: bool = False,
        workers: int = 8,
        max_payload_size: int = 4 * 2**20,
        max_file_size: int = 100 * 2**20,
        retention: timedelta | None = timedelta(days=7),
        strict: bool = False,
    ) -> None:
        self._faults = Faults()
        self._settings = Settings(
            graphs=plans(templates, "LocalServer"),
            port=_checked("port", port, 0, 65_535),
            db=None if db is None or str(db) == ":memory:" else Path(db),
            host=host,
            allow_network=allow_network,
            workers=_checked("workers", workers, 1, 10_000),
            max_payload_size=_checked("max_payload_size", max_payload_size, 1, 2**31),
            max_file_size=_checked("max_file_size", max_file_size, 1, 2**50),
            retention=_checked_retention(retention),
            strict=strict,
            faults=self._faults,
        )
        self._runtime: Runtime | None = None

    @property
    def url(self) -> str:
        """The server's base URL, without a slash at its end."""
        return self._started.address.url

    @property
    def access_token(self) -> str:
        """An access token for this server."""
        return self._started.access_token

    @property
    def page_url(self) -> str:
        """The page with the list of tasks, for a browser; whoever has this URL can see all tasks."""
        return self._started.page_url

    @property
    def client(self) -> Client:
        """A client for this server, for `client=` of tasks and functions."""
        return Client(self.access_token, proxy="")  # it is on this machine, whatever the variables say

    @property
    def faults(self) -> Faults:
        """Breaks things on purpose, for tests of what happens then: `server.faults.drop(after=2)`."""
        return self._faults

    def use(self) -> AbstractContextManager[None]:
        """Makes this server the one that the whole program talks to while the context lasts.

        It becomes the default client, so it counts wherever no `client=` and no `access_token=` is given. The
        environment stays as it is: child processes do not see it.
        """
        return default_client_set_to(self.client)

    @property
    def clock(self) -> ServerClock:
        """The server's clock, which tests can move on: `server.clock.advance(3600)`."""
        return ServerClock(self._started)

    def serve(self, *templates: TaskTemplate) -> None:
        """Serves more templates from now on, with those of their sub tasks, until `reset`.

        One of a name that the server has already counts instead of that. A stub of its name stays.

        Args:
            *templates: The templates.

        Raises:
            ConfigurationError: A template has no nodes, or two have the same name.
        """
        graphs = plans(templates, "serve")
        self._started.call(lambda engine: engine.serve(graphs.values()))

    def stub(
        self,
        template: str,
        fn: Callable[[NodeContext], Any] | None = None,
        /,
        *,
        result: Any = NOT_GIVEN,
        error: str | None = None,
        updates: Sequence[Any] = (),
        exit: str | None = None,
        delay: float = 0,
    ) -> None:
        """Lets tasks of a template do what a test says, from now on; whether the server has that template or not.

        Such a task has one node, `stub`. An input schema of a template that the server has still counts. Tasks in
        `db` that waited for a template of this name go on with it.

        Args:
            template: The template's name.
            fn: A handler, of any kind; then result, error and updates are left out.
            result: The result of each task: any JSON. Default: None, or the last of the updates.
            error: If given, each task fails with this text.
            updates: The data of updates that come before that.
            exit: The name of the exit at which each task ends that does not fail. Default: none.
            delay: How many seconds of the server's clock each task takes. Default: 0.

        Raises:
            ConfigurationError: The arguments contradict each other, or a value is not JSON.
        """
        graph = stub_graph(
            template, fn, result=result, error=error, updates=updates, exit_name=exit, delay=delay
        )
        self._started.call(lambda engine: engine.stub(graph))

    def started(self, template: str | None = None) -> list[StartedTask]:
        """Returns the tasks that were started and are still kept, in that order, as they are now.

        Args:
            template: Only those of this template. Default: all.
        """
        return self._started.call(lambda engine: [started_task(state) for state in engine.tasks(template)])

    def open_streams(self) -> list[str | None]:
        """Returns which event streams are open: the id of the task of each, None for the stream of all tasks."""
        return self._started.call(lambda engine: list(engine.streams))

    def abort_all(self, reason: str | None = None, *, timeout: float = 5.0) -> list[str]:
        """Aborts all tasks that have not ended, and waits until their handlers have ended, too.

        Args:
            reason: Why, for people; the last update of each carries it. Default: None.
            timeout: The longest wait for the handlers in seconds. Default 5.

        Returns:
            The names of the handlers that still run, since they do not look at `ctx.terminated`; mostly none.

        Raises:
            UsageError: A handler of this server has called it.
        """
        return self._started.abort_all(reason, timeout)

    def reset(self) -> None:
        """Makes the server as new, between tests: tasks are removed with their files.

        Stubs, faults and the templates of `serve` are gone, and handlers that run are told. Token, URL and clock
        stay as they are, and positions of the stream of all tasks go on.
        """
        self._started.call(lambda engine: engine.reset())
        self._faults.clear()

    def act(self, key: str, /, *, result: object = None, error: str | None = None) -> None:
        """Ends a node whose handler has called `ctx.defer`, as `POST /act/{key}` does.

        Args:
            key: What `ctx.defer` returned.
            result: The data of the node: any JSON. Default: None.
            error: If given, the node fails with this text instead.

        Raises:
            ConfigurationError: The result is not JSON, or an error is given as well.
            UsageError: Nothing waits for this key: it is wrong, or the node has ended. Or the node waits, but this
                server does not serve its template.
        """
        outcome = outcome_of(result, error)
        try:
            self._started.call(lambda engine: engine.act(key, outcome))
        except (LookupError, NotNowError) as problem:
            raise UsageError(str(problem)) from None

    def __enter__(self) -> Self:
        if self._runtime is not None:
            raise UsageError("This LocalServer is running already")
        self._runtime = Runtime(self._settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runtime is not None:
            self._runtime.stop()
            self._runtime = None

    async def __aenter__(self) -> Self:
        try:
            await _aside(self.__enter__)
        except BaseException:
            self.__exit__(None, None, None)  # cancelled while the server was starting
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _aside(partial(self.__exit__, kind, error, trace))

    def __repr__(self) -> str:
        where = self._runtime.address.url if self._runtime else "not started"
        return f"<LocalServer {word(where, 60)} templates={listed(self._settings.graphs)}>"

    @property
    def _started(self) -> Runtime:
        if self._runtime is None:
            raise UsageError("This LocalServer does not run; use it inside `with server:`")
        return self._runtime


async def _aside(call: Callable[[], object]) -> None:
    """Waits for a blocking call without blocking the event loop, and leaves no idle thread behind."""
    with ThreadPoolExecutor(1, "requence-local-switch") as thread:
        await asyncio.get_running_loop().run_in_executor(thread, call)


def _checked_retention(value: object) -> timedelta | None:
    if value is not None and (not isinstance(value, timedelta) or not timedelta() <= value <= _LONGEST):
        raise ConfigurationError(
            f"retention must be a timedelta of at most {_LONGEST.days} days or None, not {value!r}"
        )
    return value


def _checked(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return value
