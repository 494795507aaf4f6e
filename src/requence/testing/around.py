"""What happens before and after a test that uses `requence_server`."""

from __future__ import annotations

import gc
import time
import warnings
from collections import Counter

import pytest

from requence._settings import CA_BUNDLE_VARIABLE, PROXY_VARIABLE, SETTINGS, TOKEN_VARIABLES
from requence._transport.io_thread import io_thread_if_running
from requence.local import LocalServer

__all__ = ["begin", "end"]

_OPENING = 0.1  # seconds in which a handle opens its stream
_CLOSING_AT_ONCE = 0.2  # seconds in which a stream whose reader has left is closed nearly always
_CLOSING = 2.0  # seconds in which it is closed for sure
_STARTING = 5.0  # seconds for starts that are under way
_STOPPING = 5.0  # seconds for handlers that were told to end
_BETWEEN_LOOKS = 0.005


def begin(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Makes a server clean, and the environment lead to it and to nothing else.

    Returns:
        The streams that are open now, which an earlier test was allowed to leave.
    """
    server.reset()
    settings = [setting.variable for setting in SETTINGS.values()]
    for variable in (*TOKEN_VARIABLES, *settings, PROXY_VARIABLE, CA_BUNDLE_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", server.access_token)
    return server.open_streams()


def end(server: LocalServer, open_before: list[str | None], *, may_stay_open: bool) -> list[str]:
    """Ends all that a test has left behind.

    Args:
        server: The server.
        open_before: What `begin` has returned.
        may_stay_open: Whether streams may be left open.

    Returns:
        What the test has done wrong; mostly nothing.
    """
    try:
        server.faults.clear()
        problems = _unheard_starts(server)
        if not may_stay_open:
            problems += _open_streams(server, open_before)
        left = server.abort_all("The test has ended", timeout=_STOPPING)
        _await_ends(server, open_before)
    finally:
        server.reset()
    if left:
        text = f"These handlers still run, since they do not look at ctx.terminated: {', '.join(left)}"
        warnings.warn(pytest.PytestWarning(text), stacklevel=1)
    return problems


def _unheard_starts(server: LocalServer) -> list[str]:
    """Waits until all starts are decided, so that none comes in the next test; tells of unnoticed failures."""
    io = io_thread_if_running()
    if io is None:
        return []
    from requence.task.flush import unheard  # whoever has no I/O thread may not even have imported the client

    lines = [f"  {task!r}: {error}" for task, error in io.run(unheard(_STARTING, server.url))]
    if not lines:
        return []
    return [
        "Tasks that this test has begun were not started, and nobody has asked what became of them:",
        *lines,
        "Where that is expected, ask: with task.sync.finalized(), task.sync.result or requence.flush().",
    ]


def _open_streams(server: LocalServer, open_before: list[str | None]) -> list[str]:
    left = _left_open(server, open_before)
    if not left:
        return []
    started = {task.task_id: task for task in server.started()}

    def name(task_id: str | None) -> str:
        if task_id is None:
            return "of all tasks: a TaskWatcher, or handles of a client with shared_stream=True"
        task = started.get(task_id)
        if task is None:
            return f"of task {task_id}"
        return f'of task {task_id} ("{task.name or task.template}", {task.status})'

    return [
        "This test has left event streams open:",
        *(f"  {name(task_id)}" for task_id in left.elements()),
        "Something still holds the handle, the loop or the watcher that reads it: let go of it, wait until the",
        "task has ended, or abort it with task.sync.abort(); use TaskWatcher in a `with` block. Where streams are",
        "meant to stay open, mark the test with @pytest.mark.requence_streams_may_stay_open.",
    ]


def _left_open(server: LocalServer, open_before: list[str | None]) -> Counter[str | None]:
    """Returns the streams that are open still, after those that are just being closed had time for that."""
    # A handle that was made last may be about to open its stream; one of a task that has ended closes it at once.
    hold = _OPENING if any(task.status in ("pending", "running") for task in server.started()) else 0.0
    now = time.monotonic()
    none_since, collect_at, deadline = now, now + _CLOSING_AT_ONCE, now + _CLOSING
    while True:
        left = Counter(server.open_streams()) - Counter(open_before)
        now = time.monotonic()
        if left:
            none_since = now
        if (not left and now - none_since >= hold) or now > deadline:
            return left
        if left and now > collect_at:
            gc.collect()  # an exception that was caught may hold its test's handles, in a circle
            collect_at = deadline
        time.sleep(_BETWEEN_LOOKS)


def _await_ends(server: LocalServer, open_before: list[str | None]) -> None:
    """Waits until who follows a task that was aborted has been sent that, before it is gone."""
    deadline = time.monotonic() + _CLOSING
    while not set(server.open_streams()) <= {*open_before, None} and time.monotonic() < deadline:
        time.sleep(_BETWEEN_LOOKS)
