"""Ctrl-C, SIGTERM and a terminal that is closed: the first ends the command, in order, with time to say so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interruption", "interruptible"]


class Interruption:
    """What has asked a command to end, so far.

    The first signal raises `KeyboardInterrupt`. The second does not, so that what is being said is said: it only
    asks for haste. Whoever sends a third does not want to know.
    """

    def __init__(self) -> None:
        """Nothing has asked yet."""
        self._signals: list[int] = []

    @property
    def status(self) -> int:
        """The exit status for it, as shells tell it: 128 and the number of the signal."""
        return 128 + (self._signals[0] if self._signals else signal.SIGINT)

    @property
    def is_urgent(self) -> bool:
        """Whether it was asked more than once."""
        return len(self._signals) > 1

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Takes a signal.

        Raises:
            KeyboardInterrupt: It is any but the second.
        """
        self._signals.append(number)
        if len(self._signals) != 2:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Generator[Interruption]:
    """Lets signals that ask the process to end be taken one after the other, as long as it lasts.

    What the process was started to ignore, as under `nohup`, stays ignored.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():  # where signals are not to be had
        yield interruption
        return
    asking = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.getsignal(number) for number in asking}
    heeded = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    try:
        for number in heeded:
            signal.signal(number, interruption.take)
        yield interruption
    finally:
        for number, old in heeded.items():
            signal.signal(number, old)
