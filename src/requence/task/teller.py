"""Giving the updates of a task to its callback `on_update`, from a stream that waiters may use along with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable

from requence.exceptions import RequenceError
from requence.task.callbacks import Callbacks
from requence.task.feed import Feed
from requence.task.updates import Update

__all__ = ["Teller"]

_log = logging.getLogger("requence.task")

_tellers: set[asyncio.Task[None]] = set()  # they go on to the end, also where the handle has gone


class Teller:
    """Reads a stream for a callback. While the callback keeps up, whoever waits for the outcome waits on it, too.

    Attributes:
        released: Done when the stream is of no more use to waiters: the callback has fallen behind the updates,
            and the stream waits for it; or the outcome is known; or the stream has failed. Cancelled as the
            process ends, when nobody shall begin another stream.
    """

    def __init__(
        self,
        updates: Callable[[asyncio.Event], AsyncGenerator[list[Update]]],
        callbacks: Callbacks,
        *,
        task_id: str,
    ) -> None:
        """Begins to read."""
        self.released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._feed = Feed(updates, on_full=self.release)
        self._task_id = task_id
        task = asyncio.create_task(self._tell(callbacks), name=f"on_update of {task_id}")
        _tellers.add(task)
        task.add_done_callback(_tellers.discard)

    def release(self) -> None:
        """Lets the waiters go."""
        if not self.released.done():
            self.released.set_result(None)

    async def _tell(self, callbacks: Callbacks) -> None:
        try:
            while await self._feed.ready():
                await callbacks.call_each("on_update", [(update,) for update in self._feed.take()])
        except RequenceError as error:
            _log.error("on_update is given no more updates of task %s: %s", self._task_id, error)
        except RuntimeError as error:
            _log.warning("on_update cannot be called any more for task %s: %s", self._task_id, error)
        except asyncio.CancelledError:
            self.released.cancel()
            raise
        finally:
            self._feed.close()
            self.release()
