"""The I/O thread of this process: one, made at its first use, and another one in a forked child."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requence._transport.io_loop import IOThread

__all__ = ["io_thread", "io_thread_if_running"]

# Now, though the thread needs it and not this module: it refuses to be imported once the main thread has ended,
# when other threads and exit handlers may still begin a first task.
importlib.import_module("concurrent.futures.thread")

# What tasks need in their callers' threads, once there is an I/O thread. Named, since it builds on this module.
_IMPORTED_WITH_IT = "requence.task.run"

_FORK_DEADLINE = 10.0  # seconds

_lock = threading.Lock()
_current: IOThread | None = None
_of_parents: list[IOThread] = []


def io_thread() -> IOThread:
    """Returns the I/O thread of this process, started at the first call.

    That call imports what needs asyncio, so that nobody waits for it who only imports the SDK. It does so with the
    lock held, for which a fork waits: else that could leave a child in which these imports never end.
    """
    global _current
    with _lock:
        if _current is None:
            from requence._transport.io_loop import IOThread

            importlib.import_module(_IMPORTED_WITH_IT)
            _current = IOThread()
        return _current


def io_thread_if_running() -> IOThread | None:
    """Returns the I/O thread of this process if there is one already."""
    with _lock:
        return _current


def _start_afresh_in_child() -> None:
    global _lock, _current
    _lock = threading.Lock()  # the parent may have held it while it forked
    _fork.pop_all()
    if _current is not None:
        # Kept alive on purpose: collecting it here would close sockets and loops that belong to the parent.
        _of_parents.append(_current)
    _current = None


_fork = contextlib.ExitStack()


def _before_fork() -> None:
    # Held until the fork is over: whoever makes the thread right now is importing, or has the thread do it.
    _fork.enter_context(_held(_lock))
    if _current is not None:
        _fork.enter_context(_current.prepared_for_fork(_FORK_DEADLINE))


@contextlib.contextmanager
def _held(lock: threading.Lock) -> Generator[None]:
    held = lock.acquire(timeout=_FORK_DEADLINE)
    try:
        yield
    finally:
        if held:
            lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_fork.close, after_in_child=_start_afresh_in_child
    )
