"""The one thread that does all I/O, whatever threads and event loops the caller has.

User threads and user event loops only wait for what runs here, so a handle works in a plain script, inside a
running loop, in several loops one after the other and in many threads at once.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context, copy_context
from functools import partial
from typing import Any, TypeVar

from requence._transport.crossing import Submitted, Work
from requence._transport.outcome import Outcome
from requence._transport.worker import CallbackThreads, Worker
from requence.exceptions import ForkedHandleError, UsageError

__all__ = ["IOThread", "Work"]

T = TypeVar("T")

_EXIT_DEADLINE = 5.0
_CALLBACKS_AT_ONCE = 8
_LAST_WORDS = 1.0  # seconds that they may take

# What the thread will need. Slow to import, since the HTTP libraries come with it: neither the caller's thread nor
# the running loop waits for that. Named, not imported, since these modules build on this one.
_IMPORTED_FIRST = ("requence.task.start", "requence.task.follow", "encodings.idna")


class IOThread:
    """A daemon thread that runs one event loop until the interpreter ends, after all threads that it waits for.

    Attributes:
        loop: The loop.
        callbacks: The threads for what users want to be called.
        last_words: What to call, on the thread, at the end of a process that runs no exit handlers.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._closed = False
        self._posted: deque[tuple[Callable[[], object], Context]] = deque()
        self._rung = False
        self._due_before_exit: set[Outcome[Any]] = set()
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self.last_words: dict[int, Callable[[], object]] = {}
        self.loop = asyncio.new_event_loop()
        self.callbacks = CallbackThreads("requence-callback", at_most=_CALLBACKS_AT_ONCE)
        self._thread = threading.Thread(target=self._run, name="requence-io", daemon=True)
        try:
            self._worker = Worker("requence-io-worker")
            self.loop.set_default_executor(self._worker)
            self._thread.start()
        except RuntimeError as error:
            self.loop.close()
            raise UsageError(f"No task can be started or followed here: {error}") from error
        _when_the_main_thread_ends(self._finish)
        atexit.register(self.close)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        with contextlib.suppress(Exception):  # who needs a module imports it again, and is told there
            for module in _IMPORTED_FIRST:
                importlib.import_module(module)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    @property
    def is_here(self) -> bool:
        """Whether this process has the thread; a forked child has only the memory of it."""
        return self._pid == os.getpid()

    def submit(self, work: Work[T], *, before_exit: bool = False) -> Submitted[T]:
        """Runs a coroutine on the I/O thread.

        Args:
            work: Makes the coroutine, there: so Ctrl-C here never leaves one behind that nobody runs.
            before_exit: Whether the end of the script waits for it (at most 5 seconds).

        Returns:
            Its outcome, that can be waited for in any thread.

        Raises:
            ForkedHandleError: This thread stayed in the parent process.
            UsageError: The interpreter is shutting down.
        """
        self.check_usable()
        outcome = Submitted(work, self.loop)
        if before_exit:
            self._due_before_exit.add(outcome)
            outcome.on_done(partial(self._due_before_exit.discard, outcome))
        self._post(outcome.begin)
        return outcome

    def run(self, work: Work[T]) -> T:
        """Runs a coroutine on the I/O thread and blocks until it is done.

        However the wait ends, also by Ctrl-C, the coroutine has ended or was told to.

        Raises:
            UsageError: Called on the I/O thread itself, which would wait for itself for ever.
        """
        submitted = self.submit(work)
        try:
            return self.wait(submitted)
        finally:
            submitted.cancel()

    def wait(self, outcome: Outcome[T]) -> T:
        """Blocks until something is known; leaves it alone if the wait is interrupted.

        Raises:
            UsageError: Called on the I/O thread itself.
        """
        self._check_may_block()
        if not outcome.is_done:  # else it has come along
            self.check_usable()
            outcome.block(look=self.check_usable)
        return outcome.get()

    async def run_async(self, work: Work[T]) -> T:
        """Runs a coroutine on the I/O thread and waits for it in the running loop, whichever that is.

        Cancelling the wait cancels the coroutine, nothing else.
        """
        submitted = self.submit(work)
        try:
            return await self.wait_async(submitted)
        finally:
            submitted.cancel()

    async def wait_async(self, outcome: Outcome[T]) -> T:
        """Waits in the running loop until something is known; leaves it alone if the wait is cancelled."""
        if not outcome.is_done:  # else it has come along
            self.check_usable()
            await outcome.wait()
        return outcome.get()

    def call(self, function: Callable[[], object]) -> None:
        """Calls a function on the I/O thread, soon, without waiting.

        Raises:
            ForkedHandleError: This thread stayed in the parent process.
            UsageError: The interpreter is shutting down.
        """
        self.check_usable()
        self._post(function)

    def call_soon(self, function: Callable[[], object]) -> None:
        """Calls a function on the I/O thread, soon, without waiting; in the caller's if that thread has ended."""
        if not self.is_here:
            return
        try:
            self._post(function)
        except RuntimeError:
            function()

    def _post(self, function: Callable[[], object]) -> None:
        """Has something called on the loop, in this context; one wake-up for all that gathers before it looks.

        Raises:
            RuntimeError: The loop has ended.
        """
        self._posted.append((function, copy_context()))
        if not self._rung:
            try:
                self._rung = True
                self.loop.call_soon_threadsafe(self._take_posted)
            except BaseException:  # also Ctrl-C, after which nobody would ring any more
                self._rung = False
                raise

    def _take_posted(self) -> None:
        self._rung = False  # before looking: what comes from now on rings again
        for _ in range(len(self._posted)):
            function, context = self._posted.popleft()
            # At once, not in the loop's next round: an abort comes before an answer that the loop finds with it.
            try:
                context.run(function)
            except Exception as error:
                self.loop.call_exception_handler({"message": f"{function!r} has failed", "exception": error})

    def on_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Registers what to close before the loop ends; the last registered is closed first."""
        self._closers.append(closer)

    def flush(self, deadline: float = _EXIT_DEADLINE) -> None:
        """Waits until what is due before exit is done, once for each request and for some seconds only."""
        if self._is_running():
            end = time.monotonic() + deadline
            for outcome in self._due_before_exit.copy():
                if not outcome.block(end - time.monotonic()):
                    self._due_before_exit.discard(outcome)

    def _finish(self) -> None:
        """Waits for what is due, as the main thread ends. Other threads may go on after that, and ask for more."""
        try:
            self.flush()
        except KeyboardInterrupt:  # whoever presses Ctrl-C now does not want to wait again in `close`
            self._due_before_exit.clear()
        if self._is_running() and _runs_no_exit_handlers():
            self.submit(self._say_last_words).block(_LAST_WORDS)

    async def _say_last_words(self) -> None:
        while self.last_words:
            self.last_words.popitem()[1]()

    def close(self) -> None:
        """Finishes what is due before exit, drops everything else, ends the loop and joins the thread."""
        self.flush()
        if self._is_running():
            self._closed = True
            self.loop.call_soon_threadsafe(Submitted(self._close_on_loop, self.loop).begin)
            self._thread.join(timeout=_EXIT_DEADLINE)

    @contextlib.contextmanager
    def prepared_for_fork(self, deadline: float) -> Generator[None]:
        """Stops both threads where they hold no lock, since nobody would release it in the child.

        Such as the import locks, those of log files, and those that the C library takes to resolve a name. Waits
        `deadline` seconds at most, for each.
        """
        if not self._is_running():
            yield
            return
        stands, over = threading.Event(), threading.Event()

        def stand_still() -> None:
            stands.set()
            over.wait(deadline)

        if threading.current_thread() is not self._thread:
            self.call_soon(stand_still)
            stands.wait(deadline)
        paused = self._worker.pause(deadline)
        try:
            yield
        finally:
            over.set()
            if paused:
                self._worker.resume()

    def _is_running(self) -> bool:
        return not self._closed and self.is_here and self._thread.is_alive()

    async def _close_on_loop(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for closer in reversed(self._closers):
            await closer()
        self.loop.stop()

    def _check_may_block(self) -> None:
        if threading.current_thread() is self._thread:
            raise UsageError(
                "A blocking call was made on the SDK's own I/O thread, which would wait for itself",
                hint="use the awaitable form there, or call from another thread",
            )

    def check_usable(self) -> None:
        """Says whether anything can be waited for here.

        Raises:
            ForkedHandleError: This thread stayed in the parent process.
            UsageError: The interpreter is shutting down.
        """
        if not self.is_here:
            raise ForkedHandleError(
                "This was begun before the process forked, and its connection stayed in the parent",
                hint="begin it anew here, from the handle or the task's id",
            )
        if self._closed:
            raise UsageError("The interpreter is shutting down, so no request can be sent any more")


def _when_the_main_thread_ends(function: Callable[[], None]) -> None:
    # Before other threads are waited for, and also in the children of `multiprocessing`, which run no `atexit`
    # callbacks. Where the standard library has no such hook any more, those are all there is.
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with contextlib.suppress(RuntimeError):  # the main thread has ended: `atexit` is still to come
            register(function)


def _runs_no_exit_handlers() -> bool:
    """Says whether this is a child of `multiprocessing`, which ends without `atexit`."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None
