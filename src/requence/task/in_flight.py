"""The tasks of one batch that were begun and not taken yet: on the I/O thread, and from there to one consumer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, cast

from requence._transport.crossing import Submitted
from requence._transport.io_loop import IOThread
from requence._transport.outcome import SharedOutcome, fresh
from requence.exceptions import StartUncertainError, UsageError
from requence.task.recipe import Begun
from requence.task.result import T_co, TaskResult
from requence.task.run import Run
from requence.task.waiting import LongWait

__all__ = ["InFlight"]

_log = logging.getLogger("requence.task")

_REASON = "map_tasks was left before this task had ended"
_CONFIRMED_WITHIN = 10.0  # seconds that leaving waits for


class InFlight(Generic[T_co]):
    """Tells one consumer which tasks have ended, in the order of their ends.

    Attributes:
        io: The I/O thread.
        pop: Returns one that has ended, or None where something else is to be looked at. Raises IndexError if
            there is nothing; then `ready` tells when there is.
    """

    def __init__(self, io: IOThread, task_template: str, *, abort: bool) -> None:
        """Begins with nothing.

        Args:
            io: The I/O thread.
            task_template: The template, for messages.
            abort: Whether to abort what is under way when the consumer leaves.
        """
        self.io = io
        self._task_template = task_template
        self._abort = abort
        self._under_way: dict[Run, Begun[T_co]] = {}
        self._ended: deque[Begun[T_co] | None] = deque()
        self.pop: Callable[[], Begun[T_co] | None] = self._ended.popleft
        self._changed = asyncio.Event()
        self._left = False
        self._long_wait = LongWait(self._describe)

    # For the consumer

    @property
    def has_ended(self) -> bool:
        """Whether there is something to pop."""
        return bool(self._ended)

    def add(self, begun: Begun[T_co]) -> None:
        """Adds what was begun; what could not be sent has ended at once. In the consumer's thread."""
        if begun.run is None:
            self._ended.append(begun)
        else:
            self.io.call(partial(self._watch, begun, begun.run))

    def nudge(self, _: object = None) -> None:
        """Wakes the consumer. In any thread."""
        self._ended.append(None)
        self.io.call_soon(self._changed.set)

    async def ready(self) -> bool:
        """Waits until there is something to pop; False if the consumer has left. On the I/O thread."""
        with self._long_wait.waiting():
            while not (self._ended or self._left):
                self._changed.clear()
                await self._changed.wait()
        return not self._left

    def goes_on(self) -> str | None:
        """Returns what becomes of the tasks when the consumer gives up. In any thread."""
        count = len(self._under_way)
        if not count:
            return None
        which = f"{count} {'task' if count == 1 else 'tasks'} of {self._task_template!r}"
        return f"{which} are aborted (on_exit)" if self._abort else f"{which} go on (on_exit)"

    def leave(self) -> Submitted[None] | None:
        """Ends it: what is under way is left alone, or aborted. In any thread.

        Returns:
            What tells that the aborts were confirmed, if there is anything to wait for.
        """
        try:
            if self._abort:
                return self.io.submit(self._leave_and_abort, before_exit=True)
            self.io.call(self._leave)
        except UsageError:  # a forked child, whose parent has the tasks; or the interpreter shuts down
            pass
        return None

    # On the I/O thread

    def _watch(self, begun: Begun[T_co], run: Run) -> None:
        if self._left:  # it was ended in another thread than the consumer's
            if self._abort:
                self.io.submit(partial(run.abort, _REASON), before_exit=True)
            return
        self._under_way[run] = begun
        ending = run.ending()
        # Not the handle, which would then be kept by what follows the task for it.
        ending.on_done(partial(self._take_end, run, ending))

    def _take_end(self, run: Run, ending: SharedOutcome[TaskResult]) -> None:
        begun = self._under_way.pop(run, None)
        if begun is None:  # the consumer has left
            return
        run.quiet = False  # whoever waits for its handle from now on waits for it alone
        if ending.error is None:
            begun.plain = ending.value
        else:
            begun.error = cast("Exception", fresh(ending.error))
        self._ended.append(begun)
        self._changed.set()

    def _describe(self) -> str | None:
        count = len(self._under_way)
        return f"the next of {count} tasks of {self._task_template!r}" if count else None

    def _leave(self) -> list[Run]:
        """Forgets everything; returns what was under way."""
        self._left = True
        runs = list(self._under_way)
        self._under_way.clear()
        self._ended.clear()
        self._changed.set()
        return runs

    async def _leave_and_abort(self) -> None:
        runs = self._leave()
        aborts = [(run, self.io.submit(partial(run.abort, _REASON), before_exit=True)) for run in runs]
        try:
            async with asyncio.timeout(_CONFIRMED_WITHIN):
                for _, abort in aborts:
                    await abort.wait()
        except TimeoutError:
            pass
        self._report(aborts)

    def _report(self, aborts: Sequence[tuple[Run, Submitted[None]]]) -> None:
        """Logs what was not aborted: whoever leaves has an error of their own, or wants none."""
        late = sum(not abort.is_done for _, abort in aborts)
        if late:
            _log.warning(
                "%d of %d aborts of tasks of %r were not confirmed within %g seconds",
                *(late, len(aborts), self._task_template, _CONFIRMED_WITHIN),
            )
        for run, abort in aborts:
            start = run.start.error
            if abort.error is not None and (start is None or isinstance(start, StartUncertainError)):
                _log.warning(
                    "Task %s of %r was not aborted: %s", run.known_id, self._task_template, abort.error
                )
