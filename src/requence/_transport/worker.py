"""The helper threads of the I/O thread: one that resolves host names, and some that call what users gave us."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

__all__ = ["CallbackThreads", "Worker"]

P = ParamSpec("P")
T = TypeVar("T")


class Worker(ThreadPoolExecutor):
    """An executor of one daemon thread that works as long as the process lives.

    The executors of the standard library take no more work once the main thread has ended, and Python 3.12 starts
    no thread from then on; but a start that is sent at the end of a script may have to resolve a host name. It is
    a `ThreadPoolExecutor` only because event loops accept nothing else; none of that class's threads is used.
    """

    def __init__(self, name: str) -> None:
        super().__init__(max_workers=1)
        self._busy = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Calls a function on the thread, after all that were submitted before."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._jobs.put(job)
        return future

    def shutdown(self, wait: bool = True, **_options: Any) -> None:  # noqa: ARG002
        """Ends the thread after what was submitted; never waits, since a resolver may take long."""
        self._jobs.put(None)

    def pause(self, timeout: float) -> bool:
        """Waits for the end of the present job and lets no other begin until `resume`.

        Returns:
            Whether that was reached within `timeout` seconds; otherwise nothing is paused.
        """
        return self._busy.acquire(timeout=timeout)

    def resume(self) -> None:
        """Ends a pause."""
        self._busy.release()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._busy:
                job()


class CallbackThreads:
    """Daemon threads for users' callbacks, which may block: there only while there is something to call.

    They are not the thread that resolves host names, since a callback may wait for a request that needs that.
    """

    def __init__(self, name: str, *, at_most: int) -> None:
        self._name = name
        self._free = at_most
        self._lock = threading.Lock()
        self._jobs: deque[tuple[Callable[[], object], Future[None]]] = deque()

    def submit(self, job: Callable[[], object]) -> Future[None]:
        """Calls a function on one of the threads, once one is free.

        Raises:
            RuntimeError: No thread can be started: the interpreter is shutting down.
        """
        future: Future[None] = Future()
        with self._lock:
            self._jobs.append((job, future))
            if self._free:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
                self._free -= 1
        return future

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._free += 1
                    return
                job, future = self._jobs.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                job()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(None)
