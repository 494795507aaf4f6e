"""`LocalServer`: a task server in a thread of this program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from requence._client import Client, default_client_set_to
from requence.exceptions import ConfigurationError, UsageError
from requence.local.faults import Faults
from requence.local.graph import Graph
from requence.local.runtime import Runtime, Settings
from requence.local.template import TaskTemplate

__all__ = ["LocalServer"]


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
        *templates: What can be started.
        port: The port; 0 takes the one that `db` was last served on, else a free one. Default 0.
        db: The SQLite file to keep everything in; it is created if need be, readable by its owner only. Default:
            None, everything is gone when the server stops.
        host: "localhost" or an address of the loopback interface. Default "127.0.0.1".
        allow_network: Whether `host` may be another address of this machine, or "0.0.0.0" for all of them, so that
            other machines can use the server. It then warns in the log: whoever has the token can run the
            templates, and nothing is encrypted. Default: False.
        workers: How many tasks run at once, and how many plain functions of theirs in threads at once.
            Default 8.
        max_payload_size: The largest body that starts a task, in bytes. Default 4 MiB.
        max_file_size: The largest file or stream, in bytes. Default 100 MiB.
        strict: Whether answers and events are held against the API's contract before they are sent. One that
            breaks it becomes a status 500, or a cut stream, and the log `requence.local` says where. It is there
            to find mistakes of this server. Default: False.

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
        strict: bool = False,
    ) -> None:
        self._faults = Faults()
        self._settings = Settings(
            graphs=_graphs(templates),
            port=_checked("port", port, 0, 65_535),
            db=None if db is None or str(db) == ":memory:" else Path(db),
            host=host,
            allow_network=allow_network,
            workers=_checked("workers", workers, 1, 10_000),
            max_payload_size=_checked("max_payload_size", max_payload_size, 1, 2**31),
            max_file_size=_checked("max_file_size", max_file_size, 1, 2**50),
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

    def __enter__(self) -> Self:
        if self._runtime is not None:
            raise UsageError("This LocalServer is running already")
        self._runtime = Runtime(self._settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.stop()

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
        return f"<LocalServer {where} templates={list(self._settings.graphs)}>"

    @property
    def _started(self) -> Runtime:
        if self._runtime is None:
            raise UsageError("This LocalServer does not run; use it inside `with server:`")
        return self._runtime


async def _aside(call: Callable[[], object]) -> None:
    """Waits for a blocking call without blocking the event loop, and leaves no idle thread behind."""
    with ThreadPoolExecutor(1, "requence-local-switch") as thread:
        await asyncio.get_running_loop().run_in_executor(thread, call)


def _graphs(templates: Sequence[object]) -> dict[str, Graph]:
    graphs: dict[str, Graph] = {}
    for template in templates:
        if not isinstance(template, TaskTemplate):
            raise ConfigurationError(f"LocalServer takes TaskTemplates, not {type(template).__name__}")
        if template.name in graphs:
            raise ConfigurationError(f'Two templates have the name "{template.name}"')
        graphs[template.name] = template.graph()
    if not graphs:
        raise ConfigurationError("LocalServer needs at least one TaskTemplate")
    return graphs


def _checked(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return value
