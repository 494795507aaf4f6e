"""The helper thread of the I/O thread, for calls that block: resolving host names."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

__all__ = ["Worker"]

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
