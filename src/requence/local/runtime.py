"""A server while it runs: its file, its socket, and the thread with the event loop."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from requence._token import encode_access_token
from requence.exceptions import UsageError
from requence.local.address import Address, bind
from requence.local.engine import Engine
from requence.local.faults import Faults
from requence.local.graph import Graph
from requence.local.page.key import LIST, key
from requence.local.store import Store

__all__ = ["Runtime", "Settings"]

T = TypeVar("T")

_log = logging.getLogger("requence.local")

_IN_NETWORK = (
    "THIS SERVER IS OPEN TO OTHER MACHINES: it listens on %s, port %d. Whoever has its access token can run its "
    "templates here, and token and data travel unencrypted. Use it in networks that you trust, and stop it soon."
)

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_CALL_SECONDS = 30.0
_HANDLER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with; the fields are those of `LocalServer`."""

    graphs: Mapping[str, Graph]
    port: int
    db: Path | None
    host: str
    allow_network: bool
    workers: int
    max_payload_size: int
    max_file_size: int
    retention: timedelta | None
    strict: bool
    faults: Faults


class Runtime:
    """Starts a server at once; returns when it answers.

    Raises:
        ConfigurationError: The file or the port cannot be used.
    """

    address: Address
    access_token: str
    page_url: str

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._up: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None
        self._engine: Engine | None = None
        with ExitStack() as undo:
            self._store = Store(settings.db)
            undo.callback(self._store.close)
            self._listener, self.address = bind(
                settings.host, self._wanted_port(), allow_network=settings.allow_network
            )
            undo.callback(self._listener.close)
            self._store.remember("port", str(self.address.port))
            self._files = self._store.files(_beside(settings.db), settings.max_file_size)
            undo.callback(self._files.close)
            self._bearer = self._store.secret("bearer")
            self.access_token = encode_access_token(self._bearer, self.address.url)
            self._page_secret = self._store.secret("page")
            self.page_url = f"{self.address.url}/tasks?key={key(self._page_secret, LIST)}"
            self._thread = threading.Thread(target=self._work, name="requence-local", daemon=True)
            self._thread.start()
            undo.callback(self._end_thread)
            self._up.result(_START_SECONDS)
            if self.address.in_network:
                _log.warning(_IN_NETWORK, settings.host, self.address.port)
            undo.pop_all()

    def call(self, ask: Callable[[Engine], T]) -> T:
        """Asks the engine something from any thread; what it has written by then is safe.

        Raises:
            UsageError: The server has ended, because of an error, or it cannot write; then nothing has happened.
        """
        engine, loop = self._engine, self._loop
        if engine is None or loop is None or not self._thread.is_alive():
            raise UsageError("The local server does not run any more")

        def asked() -> T:
            try:
                answer = ask(engine)
                engine.journal.commit()
            except sqlite3.Error as error:
                raise UsageError(f"The local server cannot keep anything at the moment: {error}") from error
            return answer

        if threading.current_thread() is self._thread:
            return asked()

        async def on_loop() -> T:
            return asked()

        try:
            return asyncio.run_coroutine_threadsafe(on_loop(), loop).result(_CALL_SECONDS)
        except (CancelledError, TimeoutError):  # it was stopped just now
            raise UsageError("The local server does not answer any more") from None

    def abort_all(self, reason: str | None, timeout: float) -> list[str]:
        """Ends all tasks, and waits for their handlers; returns the names of those that still run.

        Args:
            reason: Why.
            timeout: The longest wait in seconds, for all of them together.

        Raises:
            UsageError: A handler of this server has called it; or see `call`.
        """
        self._check_is_no_handler(
            "A handler cannot wait for itself: leave this to who has started the server"
        )
        self.call(lambda engine: engine.abort_all(reason))
        engine, loop = self._engine, self._loop
        if engine is None or loop is None:
            return []
        deadline = time.monotonic() + timeout
        left = engine.handlers.join(timeout)
        seconds = max(0.0, deadline - time.monotonic())
        with suppress(CancelledError, RuntimeError, TimeoutError):  # it was stopped just now
            cleaning = asyncio.run_coroutine_threadsafe(engine.cleaned_up(seconds), loop)
            left += cleaning.result(seconds + _CALL_SECONDS)
        return left

    def stop(self) -> None:
        """Stops the server: streams end, handlers are told, and nothing of it is left behind.

        A handler that ignores `ctx.terminated` is waited for a short time only; then it is named in a warning and
        left to itself.

        Raises:
            UsageError: A handler of this server has called it.
        """
        self._check_is_no_handler(
            "A handler cannot stop the server that runs it: who has started it does that"
        )
        self._end_thread()
        left = self._engine.handlers.join(_HANDLER_SECONDS) if self._engine else []
        if left:
            _log.warning(
                "These handlers did not stop when they were told (ctx.terminated): %s", ", ".join(left)
            )
        if self._thread.is_alive():
            _log.warning(
                "The local server did not stop in time; a coroutine handler keeps its event loop busy"
            )
            return
        self._files.close()
        self._store.close()

    def _check_is_no_handler(self, otherwise: str) -> None:
        here = threading.current_thread()
        if here is self._thread or (self._engine is not None and self._engine.handlers.runs_in(here)):
            raise UsageError(otherwise)

    def _end_thread(self) -> None:
        if self._loop is not None and self._leave is not None:
            with suppress(RuntimeError):  # the loop is closed: the server had ended because of an error
                self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(_STOP_SECONDS)

    def _wanted_port(self) -> int:
        if self._settings.port:
            return self._settings.port
        # Whoever has the access token has the port in it, so a server on the same file comes back on the same.
        return int(self._store.remembered("port") or 0)

    def _work(self) -> None:
        try:
            with asyncio.Runner() as runner:
                _run(runner.get_loop(), self._serve())
        except BaseException as error:
            if self._up.done():
                _log.exception("The local server has stopped because of an error")
            else:
                self._up.set_exception(error)

    async def _serve(self) -> None:
        # Imported here, so that templates can be declared and tested without a web server.
        from requence.local.app import TaskApi
        from requence.local.http_server import serve

        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        engine = self._engine = Engine(
            self._settings.graphs,
            self._store,
            self._files,
            self._settings.workers,
            self._settings.retention,
        )
        api = TaskApi(
            engine,
            self.address,
            bearer=self._bearer,
            page_secret=self._page_secret,
            max_payload_size=self._settings.max_payload_size,
            max_file_size=self._settings.max_file_size,
            files=self._files,
            faults=self._settings.faults,
            strict=self._settings.strict,
            leaving=self._leave,
        )
        engine.recover()
        engine.clean()
        async with serve(api.asgi(), self._listener):
            self._up.set_result(None)
            await self._leave.wait()
            self._files.stop()
            await engine.stop()


def _run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine to its end, whatever handlers do to the event loop.

    asyncio lets `SystemExit` and `KeyboardInterrupt` of any task out of the loop, and a handler may stop it. Both
    only interrupt the loop: what was due is done when it runs again.
    """
    serving = loop.create_task(work)
    while not serving.done():
        try:
            loop.run_until_complete(serving)
        except BaseException:
            if serving.done():
                raise
            _log.exception("A handler has interrupted the event loop; the local server goes on")


def _beside(db: Path | None) -> Path | None:
    """The folder for the contents of files, beside the database."""
    return None if db is None else db.with_name(f"{db.name}.files")
