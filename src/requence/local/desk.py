"""What a handler hands in while it runs is carried over from its thread to the event loop."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["LoopDesk"]

T = TypeVar("T")


class LoopDesk:
    """Does on the event loop what is asked from any thread, as long as it is open.

    Whoever asks from another thread waits until it is done, so what a handler hands in is in the log before the
    handler goes on, and a fast one cannot run away from the log. Made on the event loop.

    Args:
        deliver: Writes down the JSON text of a value for an output.
        defer: Writes down that the node ends from outside, and returns the key.
    """

    def __init__(
        self,
        deliver: Callable[[str | None, str], None],
        defer: Callable[[str | None, float | None], str],
    ) -> None:
        self._deliver = deliver
        self._defer = defer
        self._loop = asyncio.get_running_loop()
        self._home = threading.get_ident()
        self._lock = threading.Lock()
        self._asked: set[Future[Any]] = set()
        self._closed = False

    def deliver(self, output: str | None, text: str) -> None:
        """Takes a value; drops it if nobody waits for the node any more."""
        self._ask(lambda: self._deliver(output, text))

    def defer(self, reason: str | None, timeout: float | None) -> str:
        """Returns the key; one that opens nothing if nobody waits for the node any more."""
        key = self._ask(lambda: self._defer(reason, timeout))
        return secrets.token_urlsafe(32) if key is None else key

    def close(self) -> None:
        """Drops what comes from now on, and lets go who still waits."""
        with self._lock:
            self._closed = True
            left = list(self._asked)
        for answer in left:
            answer.cancel()

    def _ask(self, action: Callable[[], T]) -> T | None:
        if threading.get_ident() == self._home:
            return None if self._closed else action()
        answer: Future[T] = Future()
        with self._lock:
            if self._closed:
                return None
            self._asked.add(answer)

        def act() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(action())
            except BaseException as error:
                answer.set_exception(error)

        try:
            with suppress(CancelledError):  # the desk was closed meanwhile
                self._loop.call_soon_threadsafe(act)
                return answer.result()
            return None
        finally:
            with self._lock:
                self._asked.discard(answer)
