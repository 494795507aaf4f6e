"""Follows a task that a command has started, or waits for one, and tells what becomes of it."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import typer

from requence.cli.lines import node_errors, update_line
from requence.cli.output import error_as_json, put, put_json, put_json_line, say, say_error, say_unwritten
from requence.cli.status import Status, status_of
from requence.exceptions import RequenceError, TaskAbortedError, TaskFailedError
from requence.task import Task, TaskRef, TaskResult, Update, flush

__all__ = ["follow", "tell_update", "wait_for_end"]

_TERMINATED = 128 + 15  # as shells tell SIGTERM
_LAST_WAIT = 5.0  # seconds, for the answer to a start when it is interrupted


def follow(begin: Callable[[], Task], *, watch: bool, as_json: bool) -> NoReturn:
    """Starts a task, shows how it goes, tells its end, and ends the command with the fitting status.

    Args:
        begin: Starts the task.
        watch: Whether it is followed to its end; else only until it was accepted.
        as_json: Whether all is told as lines of JSON.

    Raises:
        typer.Exit: Always, with the status.
        RequenceError: The task was not started.
    """
    task: Task | None = None
    try:
        with _terminated_in_order():
            task = begin()
            ref = task.sync.ref()
            raise typer.Exit(_followed(task, ref, watch=watch, as_json=as_json))
    except KeyboardInterrupt as asked:
        raise typer.Exit(_tell_interruption(task, asked, as_json=as_json)) from None


def wait_for_end(task: Task, ref: TaskRef, *, as_json: bool) -> NoReturn:
    """Waits for the end of a task that was started before, and ends the command as `follow` does.

    Raises:
        typer.Exit: Always, with the status.
        RequenceError: The end cannot be learnt.
    """
    try:
        with _terminated_in_order():
            if not as_json:
                say(f"Waiting for the end of task {ref.task_id}")
            raise typer.Exit(_tell_end(task, ref, as_json=as_json))
    except KeyboardInterrupt as asked:
        raise typer.Exit(_tell_interruption(task, asked, as_json=as_json)) from None


def tell_update(update: Update) -> None:
    """Writes an update as a line of JSON."""
    put_json_line(
        "update",
        position=update.position,
        synthetic=update.synthetic,
        incomplete=update.incomplete,
        update=update.to_dict(context=False),
    )


def _followed(task: Task, ref: TaskRef, *, watch: bool, as_json: bool) -> Status:
    """Follows a task that was started: so whatever goes wrong, a script must not take it for one that was not."""
    try:
        _tell_start(ref, watch=watch, as_json=as_json)
        if not watch:
            return Status.SUCCESS
        _show_updates(task, ref, as_json=as_json)
        return _tell_end(task, ref, as_json=as_json)
    except BrokenPipeError:
        raise
    except RequenceError as error:
        if as_json:
            put_json_line("error", **error_as_json(error, Status.NOT_KNOWN))
        else:
            say_error(error.message, error.hint)
            if getattr(error, "result", None) is None:
                _tell_how_to_go_on("The task was started, and may still run", ref)
            else:
                say(
                    f"The task has succeeded; see what there is of it: requence get {shlex.quote(ref.task_id)}"
                )
        return Status.NOT_KNOWN
    except (OSError, RecursionError) as error:
        say_unwritten(error)
        _tell_how_to_go_on("The task was started, and may still run", ref)
        return Status.NOT_KNOWN


def _show_updates(task: Task, ref: TaskRef, *, as_json: bool) -> None:
    if as_json:
        _each(task.sync.updates, tell_update)
        return
    from requence.cli.live import LiveTree  # here, as below, since Rich takes its time
    from requence.cli.tree import console_for

    console = console_for(sys.stderr)
    if console is None:
        _each(task.sync.updates, lambda update: say(update_line(update)))
        return
    with LiveTree(console, ref) as tree:
        _each(task.sync.updates, tree.show)


def _each(updates: Iterable[Update], show: Callable[[Update], object]) -> None:
    for update in updates:
        show(update)


def _tell_start(ref: TaskRef, *, watch: bool, as_json: bool) -> None:
    if as_json:
        put_json_line("started", task_id=ref.task_id, task_url=ref.task_url, task_template=ref.task_template)
        return
    tell = say if watch else put
    tell(f"Started task {ref.task_id}" if watch else ref.task_id)
    if ref.task_url is not None:
        tell(ref.task_url)


def _tell_end(task: Task, ref: TaskRef, *, as_json: bool) -> Status:
    try:
        result = task.sync.result
    except (TaskFailedError, TaskAbortedError) as error:
        _tell_failure(error, ref, as_json=as_json)
        return status_of(error)
    if as_json:
        _put_outcome(ref, "successful", result=_sent(result), reason=None, node_error=result.node_error)
    else:
        put_json(_sent(result))
    return Status.SUCCESS


def _tell_failure(error: TaskFailedError | TaskAbortedError, ref: TaskRef, *, as_json: bool) -> None:
    failed = isinstance(error, TaskFailedError)
    errors = {} if error.context is None else dict(error.context.node_error)
    if as_json:
        status = "failed" if failed else "stopped"  # as the service calls it
        _put_outcome(ref, status, result=None, reason=error.reason, node_error=errors)
        return
    what = "The task failed" if failed else "The task was aborted"
    say_error(f"{what}: {error.reason}" if error.reason else what)
    for line in node_errors(errors):
        say(line)


def _put_outcome(ref: TaskRef, status: str, *, result: Any, reason: str | None, node_error: Any) -> None:
    put_json_line(
        "outcome",
        task_id=ref.task_id,
        task_url=ref.task_url,
        status=status,
        result=result,
        reason=reason,
        node_error=dict(node_error),
    )


def _sent(result: TaskResult[Any]) -> Any:
    return result.to_dict()["result"]


def _tell_interruption(task: Task | None, asked: KeyboardInterrupt, *, as_json: bool) -> int:
    """Says that the task goes on: Ctrl-C ends the command and nothing else. Returns the status for it."""
    status = _TERMINATED if isinstance(asked, _Terminated) else Status.INTERRUPTED
    ref, problem = (None, None) if task is None else _what_was_started(task)
    if as_json:
        put_json_line(
            "interrupted",
            task_id=None if ref is None else ref.task_id,
            task_url=None if ref is None else ref.task_url,
        )
    elif ref is not None:
        _tell_how_to_go_on("Interrupted: the task goes on", ref)
    elif task is None:
        say("Interrupted: nothing was started")
    elif problem is None or status_of(problem) is Status.NOT_KNOWN:
        say("Interrupted while the task was being started: whether it runs is not known")
    else:
        say_error(problem.message, problem.hint)
    return status


def _what_was_started(task: Task) -> tuple[TaskRef | None, RequenceError | None]:
    """Returns the task if its start is confirmed, or why it was not started, if that is known."""
    if task.known_id is None:
        # It was sent, or will be at the end of the process; mostly the answer is near.
        for unstarted, error in flush(_LAST_WAIT):
            if unstarted is task:
                return None, error
    return (None if task.known_id is None else task.sync.ref()), None


def _tell_how_to_go_on(what: str, ref: TaskRef) -> None:
    say(f"{what}: {ref.task_id}")
    if ref.task_url is not None:
        say(f"  {ref.task_url}")
    task_id = shlex.quote(ref.task_id)  # the service has made it up, and somebody will paste it into a shell
    say(f"  wait for its end:  requence get {task_id} --wait")
    say(f"  stop it:           requence abort {task_id}")


class _Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM: the same as Ctrl-C but for the status."""


@contextmanager
def _terminated_in_order() -> Generator[None]:
    """Lets SIGTERM end the command as Ctrl-C does, by way of all that puts the terminal in order."""
    if threading.current_thread() is not threading.main_thread():  # where signals are not to be had
        yield
        return

    def leave(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
