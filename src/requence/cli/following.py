"""Follows a task that a command has started, or waits for one, and tells what becomes of it."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import typer

from requence.cli.interruption import Interruption, interruptible
from requence.cli.lines import node_errors, update_line
from requence.cli.output import error_as_json, put, put_json, put_json_line, say, say_error, say_unwritten
from requence.cli.status import Status, status_of
from requence.exceptions import RequenceError, TaskAbortedError, TaskFailedError, TaskWaitTimeout
from requence.task import Task, TaskRef, TaskResult, Update, flush

__all__ = ["follow", "tell_update", "wait_for_end"]

_LAST_WAIT = 5.0  # seconds, for the answer to a start when it is interrupted
_UNSAID = 0.5  # seconds of these that pass without a word
_GLANCE = 0.1  # seconds until it is seen that somebody asks for haste


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
    with interruptible() as interruption:
        try:
            task = begin()
            ref = task.sync.ref()
            status: int = _followed(task, ref, watch=watch, as_json=as_json)
        except KeyboardInterrupt:
            status = _tell_interruption(task, interruption, as_json=as_json)
    raise typer.Exit(status)


def wait_for_end(task: Task, ref: TaskRef, *, as_json: bool) -> NoReturn:
    """Waits for the end of a task that was started before, and ends the command as `follow` does.

    Raises:
        typer.Exit: Always, with the status.
        RequenceError: The end cannot be learnt.
    """
    with interruptible() as interruption:
        try:
            if not as_json:
                say(f"Waiting for the end of task {ref.task_id}")
            status: int = _tell_end(task, ref, as_json=as_json)
        except KeyboardInterrupt:
            status = _tell_interruption(task, interruption, as_json=as_json)
    raise typer.Exit(status)


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
        _tell_what_became_unknown(error, ref, as_json=as_json)
        return Status.NOT_KNOWN
    except (OSError, RecursionError) as error:
        say_unwritten(error)
        _tell_how_to_go_on("The task was started, and may still run", ref)
        return Status.NOT_KNOWN


def _tell_what_became_unknown(error: RequenceError, ref: TaskRef, *, as_json: bool) -> None:
    if as_json:
        try:
            put_json_line("error", **error_as_json(error, Status.NOT_KNOWN))
        except BrokenPipeError:
            raise
        except OSError as unwritten:
            say_unwritten(unwritten)
        return
    say_error(error.message, error.hint)
    if getattr(error, "result", None) is None:
        _tell_how_to_go_on("The task was started, and may still run", ref)
    else:
        say(f"The task has succeeded; see what there is of it: requence get {shlex.quote(ref.task_id)}")


def _show_updates(task: Task, ref: TaskRef, *, as_json: bool) -> None:
    if as_json:
        _each(task.sync.updates, tell_update)
        return
    from requence.cli.tree import LiveTree, console_for  # here, since Rich takes its time

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


def _tell_interruption(task: Task | None, interruption: Interruption, *, as_json: bool) -> int:
    """Says that the task goes on: Ctrl-C ends the command and nothing else. Returns the status for it."""
    ref, problem = (None, None) if task is None else _what_was_started(task, interruption, as_json=as_json)
    try:
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
    except BrokenPipeError:
        raise
    except OSError as error:
        say_unwritten(error)
    return interruption.status


def _what_was_started(
    task: Task, interruption: Interruption, *, as_json: bool
) -> tuple[TaskRef | None, RequenceError | None]:
    """Returns the task if its start is confirmed, or why it was not started, if that is known.

    The start was sent, or will be at the end of the process; mostly the answer is near.
    """
    begin, is_said = time.monotonic(), as_json
    while True:
        problem = next((error for unstarted, error in flush(_GLANCE) if unstarted is task), None)
        waited = time.monotonic() - begin
        if (
            task.known_id is not None
            or not isinstance(problem, TaskWaitTimeout)  # it is decided
            or waited > (_UNSAID if interruption.is_urgent else _LAST_WAIT)
        ):
            return (None if task.known_id is None else task.sync.ref()), problem
        if waited > _UNSAID and not is_said:
            is_said = True
            say("Interrupted: the service has not answered the start yet; Ctrl-C once more waits no longer")


def _tell_how_to_go_on(what: str, ref: TaskRef) -> None:
    say(f"{what}: {ref.task_id}")
    if ref.task_url is not None:
        say(f"  {ref.task_url}")
    task_id = shlex.quote(ref.task_id)  # the service has made it up, and somebody will paste it into a shell
    say(f"  wait for its end:  requence get {task_id} --wait")
    say(f"  stop it:           requence abort {task_id}")
