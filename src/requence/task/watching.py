"""A watcher's part on the I/O thread: it runs there until it is stopped, and hands on what it sees."""

from __future__ import annotations

import logging
from typing import TypeAlias

from requence._client import Client
from requence._token import AccessToken
from requence._transport.io_loop import IOThread
from requence.task.broadcast import Broadcast, Inbox
from requence.task.callbacks import Callbacks
from requence.task.updates import Update

__all__ = ["Seen", "Watching"]

_log = logging.getLogger("requence.task")

Seen: TypeAlias = tuple[Update, bool]
"""An update of any task, and whether the beginning of that task was missed."""


class Watching:
    """What a watcher has on the I/O thread.

    Attributes:
        io: That thread.
        since: Where the watcher began.
        broadcast: Takes the updates to all who iterate.
    """

    def __init__(
        self,
        io: IOThread,
        token: AccessToken,
        client: Client,
        callbacks: Callbacks,
        *,
        since: str,
        only: frozenset[str] | None,
        ack: bool,
    ) -> None:
        self.io = io
        self.since = since
        self.broadcast = Broadcast[Seen]()
        self._stopped = False
        # Not the callbacks, which may belong to who holds the watcher.
        self._callbacks_stopped = callbacks.stopped
        self._running = io.submit(lambda: self._run(token, client, callbacks, only=only, ack=ack))

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self._stopped or self._running.is_done

    def inbox(self) -> Inbox[Seen]:
        """Returns what one iteration reads."""
        return Inbox(self.broadcast)

    def stop(self) -> None:
        """Ends it, in any thread."""
        self._stopped = True
        self._callbacks_stopped.set()
        self.io.call_soon(self._end)

    def _end(self) -> None:
        self._running.cancel()
        self.broadcast.stop()

    async def _run(
        self,
        token: AccessToken,
        client: Client,
        callbacks: Callbacks,
        *,
        only: frozenset[str] | None,
        ack: bool,
    ) -> None:
        try:
            from requence._transport.api import Api  # on the I/O thread: it imports the HTTP libraries
            from requence.task.watch import Watch

            watch = Watch(Api(token, client), self.broadcast, callbacks, since=self.since, only=only, ack=ack)
            await watch.run()
        except Exception as error:  # a broken installation, or a fault of ours: nobody must wait for ever
            _log.exception("Watching all tasks has ended")
            self.broadcast.end(error)
