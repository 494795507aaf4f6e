"""What commands write: data to standard output, everything else to standard error; and how they end on errors."""

from __future__ import annotations

import logging
import os
import select
import stat
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import typer

from requence.cli.printable import json_line, json_text, one_line, printable
from requence.cli.status import Status, status_of
from requence.exceptions import RequenceError

__all__ = [
    "call_when_unread",
    "ending_well",
    "error_as_json",
    "put",
    "put_json",
    "put_json_line",
    "say",
    "say_error",
    "say_unwritten",
    "showing_logs",
]


def put(line: str) -> None:
    """Writes a line of data, at once: whoever reads it may be waiting.

    Raises:
        BrokenPipeError: Whoever has read it has gone.
        OSError: It cannot be written.
    """
    stream: TextIO | None = sys.stdout
    if stream is not None:  # it was closed by whoever has started this, who wants to be told nothing
        stream.write(printable(line, _encoding(stream)) + "\n")
        stream.flush()


def put_json(value: object) -> None:
    """Writes JSON for people. Raises like `put`."""
    stream: TextIO | None = sys.stdout
    if stream is not None:
        stream.write(json_text(value, _encoding(stream)) + "\n")
        stream.flush()


def put_json_line(kind: str, **fields: Any) -> None:
    """Writes JSON for programs: an object on a line of its own. Raises like `put`."""
    put(json_line({"kind": kind, **fields}))


def call_when_unread(call: Callable[[], object]) -> None:
    """Calls a function, in a thread of its own, when whoever reads standard output has gone.

    For what may have nothing to write for a long time, which is how else one would learn it. Only a pipe tells it,
    and not on every system.
    """
    try:
        number = sys.stdout.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(number).st_mode)
    except (AttributeError, OSError, ValueError):  # it was closed, or is no file
        return
    if is_pipe and sys.platform != "win32":
        threading.Thread(target=_wait_and_call, args=(number, call), daemon=True).start()


def _wait_and_call(number: int, call: Callable[[], object]) -> None:
    unread = select.poll()
    unread.register(number, 0)  # an error is told in any case
    unread.poll()
    call()


def say(line: str) -> None:
    """Writes a line for people. If that is not possible, nobody misses it."""
    stream: TextIO | None = sys.stderr
    if stream is not None:
        with suppress(OSError, ValueError):
            stream.write(printable(line, _encoding(stream)) + "\n")
            stream.flush()


def say_error(message: str, hint: str | None = None) -> None:
    """Says what is wrong, and what to do about it."""
    say(f"requence: {one_line(message)}")
    if hint:
        say(f"hint: {one_line(hint)}")


def say_unwritten(error: OSError | RecursionError) -> None:
    """Says why standard output could not be written, and writes nothing more to it."""
    if isinstance(error, RecursionError):
        say_error("The data are nested too deeply to be shown")
    else:
        _leave_standard_output()
        say_error(f"The output cannot be written: {error.strerror or error}")


def error_as_json(error: RequenceError, status: Status) -> dict[str, Any]:
    """Returns an error as the fields of a line of JSON."""
    return {
        "error": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "task_id": getattr(error, "task_id", None),
        "task_url": getattr(error, "task_url", None),
        "exit_status": int(status),
    }


@contextmanager
def ending_well(*, as_json: bool = False) -> Generator[None]:
    """Ends the command with a message and the fitting status, whatever goes wrong inside.

    Args:
        as_json: Whether errors are told as a line of JSON, on standard output, and not to people.
    """
    try:
        with showing_logs(say):
            yield
    except BrokenPipeError:
        _leave_standard_output()
        raise typer.Exit(Status.CLOSED) from None
    except KeyboardInterrupt:
        raise typer.Exit(Status.INTERRUPTED) from None
    except RequenceError as error:
        status = status_of(error)
        if as_json:
            with _or_closed():
                put_json_line("error", **error_as_json(error, status))
        else:
            say_error(_naming_the_task(error), error.hint)
        raise typer.Exit(status) from None
    except (OSError, RecursionError) as error:
        say_unwritten(error)
        raise typer.Exit(Status.REFUSED) from None


def _naming_the_task(error: RequenceError) -> str:
    """Returns the message, with the id of the task where the service has not said it."""
    task_id = getattr(error, "task_id", None)
    return error.message if not task_id or task_id in error.message else f"Task {task_id}: {error.message}"


@contextmanager
def showing_logs(show: Callable[[str], object]) -> Generator[None]:
    """Shows what the SDK has to say, from WARNING on, one line for each."""
    logger, handler = logging.getLogger("requence"), _Lines(show)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


class _Lines(logging.Handler):
    def __init__(self, show: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a line that is lost ends no command
            self._show(f"requence: {one_line(record.getMessage())}")


@contextmanager
def _or_closed() -> Generator[None]:
    try:
        yield
    except OSError:
        _leave_standard_output()


def _leave_standard_output() -> None:
    """Lets what is still to be written go nowhere, so that the interpreter does not stumble over it at its end."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _encoding(stream: TextIO) -> str:
    return getattr(stream, "encoding", None) or "ascii"
