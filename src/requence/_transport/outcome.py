"""What one thread finds out and others wait for: in any thread, on any loop, without a trip to that thread."""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["Outcome", "SharedOutcome", "fresh"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

# Seconds. On Windows Ctrl-C does not end a wait that is under way. Elsewhere it does, but not if it hits just
# before the wait begins: the interpreter has looked for signals, and is asleep before it looks again.
_SLICE = 0.1 if os.name == "nt" else 1.0


class Outcome(Generic[T]):
    """A value or an error that is to come. Set on one thread only, once; the rest may be used in any thread.

    Much smaller than a future of the standard library, since each task has several.

    Attributes:
        is_done: Whether it has come.
        error: The error that it is; None if it is a value, or has not come.
    """

    __slots__ = ("__weakref__", "_value", "_waiters", "error", "is_done")

    _value: T

    def __init__(self) -> None:
        self.is_done = False
        self.error: BaseException | None = None
        # Taken one by one, which is one step for the interpreter: so each is called once, in whatever thread.
        self._waiters: list[Callable[[], object]] = []

    @property
    def value(self) -> T | None:
        """The value, or None if it has not come or is an error."""
        return self._value if self.is_done and self.error is None else None

    @property
    def waiting(self) -> int:
        """How many wait for it, or are to be called when it comes."""
        return len(self._waiters)

    def set(self, value: T) -> None:
        """Makes it a value, if it has not come yet."""
        if not self.is_done:
            self._value = value
            self._finish()

    def fail(self, error: BaseException) -> None:
        """Makes it an error, if it has not come yet."""
        if not self.is_done:
            self.error = error
            self._finish()

    def get(self) -> T:
        """Returns the value, or raises the error; to be called when it has come."""
        if self.error is not None:
            raise self.error
        return self._value

    def on_done(self, call: Callable[[], object]) -> None:
        """Has something called when it comes, on the thread that sets it; now if it has come."""
        self._waiters.append(call)
        if self.is_done:  # maybe only just now: then either side may have it, and here only this one is ours
            try:
                self._waiters.remove(call)
            except ValueError:
                return
            call()

    def forget(self, call: Callable[[], object]) -> None:
        """Takes an `on_done` back."""
        with suppress(ValueError):  # it was called
            self._waiters.remove(call)

    def block(self, timeout: float | None = None, *, look: Callable[[], object] | None = None) -> bool:
        """Blocks until it has come.

        Args:
            timeout: For so many seconds at most; default without limit.
            look: Called about every second; what it raises ends the wait.

        Returns:
            Whether it has come.
        """
        if self.is_done:
            return True
        done = threading.Lock()
        done.acquire()
        self.on_done(done.release)
        try:
            rest = float("inf") if timeout is None else timeout
            while not done.acquire(timeout=max(min(rest, _SLICE), 0)):
                rest -= _SLICE
                if rest <= 0:
                    break
                if look is not None:
                    look()
        finally:
            self.forget(done.release)
        return self.is_done

    async def wait(self) -> None:
        """Waits in the running loop until it has come; a wait that is cancelled disturbs nobody."""
        if self.is_done:
            return
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        wake = partial(_wake, loop, woken)
        self.on_done(wake)
        try:
            await woken
        finally:
            self.forget(wake)

    def _finish(self) -> None:
        self.is_done = True
        while self._waiters:
            try:
                call = self._waiters.pop(0)
            except IndexError:  # it was forgotten meanwhile
                return
            call()


class SharedOutcome(Outcome[T]):
    """An outcome that many may wait for: each is raised an error of its own."""

    __slots__ = ()

    def get(self) -> T:
        """Returns the value, or raises a copy of the error; to be called when it has come."""
        if self.error is not None:
            raise fresh(self.error) from self.error.__cause__
        return self._value


def fresh(error: E) -> E:
    """Returns a copy of an error that is raised more than once, so that tracebacks do not pile up in it."""
    try:
        own = copy.copy(error)
    except Exception:  # an exception of another package, that cannot be copied
        return error
    own.__cause__ = error.__cause__
    return own


class _Alarm:
    """Wakes who waits on one loop, from another: all at once whom one turn of that other loop has something for.

    Each wake-up costs as much as half a request, and has the interpreter change threads.
    """

    def __init__(self) -> None:
        self._to_wake: deque[asyncio.Future[None]] = deque()
        self._rung = False

    def wake(self, loop: asyncio.AbstractEventLoop, woken: asyncio.Future[None]) -> None:
        self._to_wake.append(woken)
        if not self._rung:
            self._rung = True
            asyncio.get_running_loop().call_soon(self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.call_soon_threadsafe(self._wake_all)
        except RuntimeError:  # the loop was closed (its `asyncio.run` ended): nobody waits there
            self._to_wake.clear()  # else these keep the loop, and so this alarm, for ever

    def _wake_all(self) -> None:
        self._rung = False  # before looking: what comes from now on rings again
        with suppress(IndexError):
            while True:
                _set(self._to_wake.popleft())


_alarms: WeakKeyDictionary[asyncio.AbstractEventLoop, _Alarm] = WeakKeyDictionary()


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Future[None]) -> None:
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        _set(woken)
    else:
        alarm = _alarms.get(loop)
        if alarm is None:
            alarm = _alarms.setdefault(loop, _Alarm())
        alarm.wake(loop, woken)


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
