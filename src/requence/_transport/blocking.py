"""What a wait tells people: that it blocks an event loop, and, when it is given up, that the task goes on."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from requence._transport.io_loop import IOThread, Work
    from requence._transport.outcome import Outcome

__all__ = [
    "WhatGoesOn",
    "block",
    "block_or_tell",
    "block_until_known",
    "blocks_a_loop",
    "telling_what_goes_on",
    "wait_or_tell",
    "wait_until_known",
]

T = TypeVar("T")

WhatGoesOn = Callable[[], str | None]
"""Returns what becomes of a task when a wait for it is given up, without I/O; None if nothing does."""

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def block(io: IOThread, work: Work[T], *, instead: str) -> T:
    """Runs a coroutine on the I/O thread and blocks until it is done.

    Args:
        io: The I/O thread.
        work: Makes the coroutine.
        instead: How to write the same without blocking a running event loop.

    Raises:
        UsageError: Called on the I/O thread itself.
    """
    _warn_of_a_running_loop(io, instead)
    return io.run(work)


def block_or_tell(io: IOThread, work: Work[T], goes_on: WhatGoesOn, *, instead: str) -> T:
    """Blocks like `block`; Ctrl-C then tells what goes on."""
    with telling_what_goes_on(goes_on):
        _warn_of_a_running_loop(io, instead)
        return io.run(work)


def block_until_known(io: IOThread, ask: Callable[[], Outcome[T]], goes_on: WhatGoesOn, *, instead: str) -> T:
    """Blocks like `block_or_tell` until something is known, and returns it.

    It is asked for here, since Ctrl-C may come as soon as that has begun.
    """
    with telling_what_goes_on(goes_on):
        _warn_of_a_running_loop(io, instead)
        return io.wait(ask())


async def wait_or_tell(io: IOThread, work: Work[T], goes_on: WhatGoesOn) -> T:
    """Waits in the running loop for what runs on the I/O thread; a cancellation then tells what goes on."""
    with telling_what_goes_on(goes_on):
        return await io.run_async(work)


async def wait_until_known(io: IOThread, outcome: Outcome[T], goes_on: WhatGoesOn) -> T:
    """Waits like `wait_or_tell` until something is known, and returns it."""
    with telling_what_goes_on(goes_on):
        return await io.wait_async(outcome)


@contextmanager
def telling_what_goes_on(goes_on: WhatGoesOn) -> Generator[None]:
    """Notes on the exception that ends a wait from outside that only the wait has ended.

    Under `asyncio.run`, Ctrl-C is a cancellation, whose notes the traceback shows as well.
    """
    import asyncio  # here, as below: whoever waits has it already, and whoever only imports this needs it not yet

    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        note = goes_on()
        if note is not None and note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise


def blocks_a_loop(io: IOThread) -> bool:
    """Says whether an event loop runs in this thread that a blocking call would hold up.

    Our own does not count: where gevent has made all threads one, it seems to run in the caller's.
    """
    import asyncio

    try:
        return asyncio.get_running_loop() is not io.loop
    except RuntimeError:
        return False


def _warn_of_a_running_loop(io: IOThread, instead: str) -> None:
    """Warns, once for each place in the caller's code, that a call there blocks the event loop of its thread.

    Not in IPython and Jupyter, where a loop always runs and cells are meant to block.
    """
    if not blocks_a_loop(io) or _in_ipython():
        return
    warnings.warn(
        f"This blocks the running event loop; write `{instead}` instead",
        RuntimeWarning,
        stacklevel=_levels_to_the_caller(),
    )


def _in_ipython() -> bool:
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and get_ipython() is not None


def _levels_to_the_caller() -> int:
    """Returns the `stacklevel` with which `_warn_of_a_running_loop` names the line of the user."""
    frame: FrameType | None = inspect.currentframe()
    levels = 0
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
        levels += 1
    return levels
