"""Runs a command and stands aside: signals reach it, its exit status becomes ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

__all__ = ["run_command"]

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


def run_command(command: Sequence[str], environment: Mapping[str, str], *, announcement: str = "") -> int:
    """Runs a command to its end.

    Args:
        command: The program and its arguments.
        environment: What is added to the environment.
        announcement: What is said before it runs: who has read it can send signals.

    Returns:
        The exit status as a shell tells it: 128 and the signal's number if a signal ended it, 127 if there is no
        such command, 126 if it cannot be executed.
    """
    with _signals_left_to_the_child() as child:
        sys.stderr.write(announcement)
        sys.stderr.flush()
        try:
            # The command is what the user typed to be run.
            child.process = subprocess.Popen(list(command), env={**os.environ, **environment})  # noqa: S603
            for number in child.early:
                child.process.send_signal(number)
        except FileNotFoundError:
            sys.stderr.write(f"requence: there is no command {command[0]!r}\n")
            return _NOT_FOUND
        except OSError as error:
            sys.stderr.write(f"requence: the command {command[0]!r} cannot be run: {error.strerror}\n")
            return _NOT_EXECUTABLE
        status = child.process.wait()
    return 128 - status if status < 0 else status


@dataclass
class _Child:
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = field(default_factory=list[int])  # signals that came before there was a process


@contextmanager
def _signals_left_to_the_child() -> Generator[_Child]:
    child = _Child()

    def forward(number: int, _frame: FrameType | None) -> None:
        if child.process is None:
            child.early.append(number)
        else:
            child.process.send_signal(number)

    def leave(_number: int, _frame: FrameType | None) -> None:
        """Does nothing: a terminal sends Ctrl-C to the child as well, which decides what it means."""

    handlers = {signal.SIGINT: leave, signal.SIGTERM: forward}
    if sys.platform != "win32":
        handlers[signal.SIGQUIT] = leave
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under `nohup`
            handlers[signal.SIGHUP] = forward
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield child
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
