"""What a `TaskWatcher` does on the I/O thread: it reads the stream of all tasks and hands it on."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from requence._transport.api import Api
from requence._transport.connection import Drop, DropError, Watched
from requence._transport.event_log import LogEvent
from requence._transport.event_stream import EventStream, Observer
from requence._transport.retry import is_gateway_status
from requence.exceptions import RequenceError, RequenceUnreachableException, TaskException, UsageError
from requence.task.broadcast import Broadcast, Inbox
from requence.task.callbacks import Callbacks
from requence.task.delivery import Delivery, delivery
from requence.task.reading import TERMINAL_TYPES
from requence.task.revive import Reviver
from requence.task.states import TaskStates
from requence.task.updates import Update

__all__ = ["Watch"]

_log = logging.getLogger("requence.task")

_ON_ERROR_FIRST = 1.0  # seconds that iterations wait for it; it may itself wait for one of them


class Watch(Observer):
    """The stream of all tasks."""

    def __init__(
        self,
        api: Api,
        broadcast: Broadcast[tuple[Update, bool]],
        callbacks: Callbacks,
        *,
        since: str,
        only: frozenset[str] | None,
        ack: bool,
    ) -> None:
        """Prepares to watch.

        Args:
            api: Sends the requests.
            broadcast: To whom the updates go.
            callbacks: Who is told what happens.
            since: Where to begin, as ISO 8601 text in UTC.
            only: The types of the updates that are handed on; None for all.
            ack: Whether outcomes are acknowledged, where the service asks for it, before they are handed on.
        """
        self._api = api
        self._broadcast = broadcast
        self._callbacks = callbacks
        self._since = since
        self._only = only
        self._ack = ack
        self._states = TaskStates()

    async def run(self) -> None:
        """Watches until it is cancelled, or the service refuses for good."""
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow(), name="follow all tasks for a watcher")
            if "on_update" in self._callbacks and not await self._tell() and not self._broadcast.is_read:
                following.cancel()  # maybe nobody holds this watcher, who could stop it
                self._broadcast.end(UsageError("The event loop of the watcher's on_update was closed"))

    def connected(self) -> None:
        """Tells `on_connect`."""
        self._callbacks.post("on_connect")

    def lost(self, drop: DropError) -> None:
        """Tells `on_unreachable`, if the service could not be reached, and `on_reconnecting`."""
        by_gateway = drop.status is not None and is_gateway_status(drop.status)
        if drop.how is Drop.NOT_OPENED and (drop.status is None or by_gateway):
            self._callbacks.post(
                "on_unreachable", RequenceUnreachableException(str(drop), status=drop.status)
            )
        self._callbacks.post("on_reconnecting")

    async def _follow(self) -> None:
        reviver = Reviver(self._api.client)
        watched = Watched(
            "all tasks",
            "watching all tasks",
            lambda position: self._api.watch_all_request(since=self._since, last_position=position),
            revive=reviver,
        )
        stream = EventStream[None](self._api, watched, room=self._broadcast.room, observer=self)
        try:
            async with aclosing(stream.batches()) as batches:
                async for batch in batches:
                    if reviver.has_claims:
                        await reviver.fetch(batch)
                    for event in batch:
                        self._hand_on(event)
        except Exception as error:  # one of ours or not, nobody must wait for ever
            _log.error("Watching all tasks has ended: %s", error)
            told = self._callbacks.post("on_error", _status(error), str(error))
            if told is not None:
                await asyncio.wait({told}, timeout=_ON_ERROR_FIRST)
            self._broadcast.end(error)

    def _hand_on(self, event: LogEvent) -> None:
        position, name, payload = event
        update = self._states.read(name, payload, position=position)
        if update is None:
            _log.debug("an event of the stream of all tasks names no task: %s", name)
        elif self._only is None or update.type in self._only:
            self._broadcast.put((update, update.incomplete), self._confirmation(update))

    def _confirmation(self, update: Update) -> _Confirmation | None:
        """Returns what is to be done before an update is handed on."""
        wanted = update.type in TERMINAL_TYPES and getattr(update, "require_ack", None) is True
        if not (self._ack and wanted):
            return None
        return _Confirmation(delivery(self._api, update.task_id), update.task_id)

    async def _tell(self) -> bool:
        """Gives the updates to `on_update`; returns False if that cannot be called any more."""
        inbox = Inbox(self._broadcast)
        try:
            while await inbox.ready():
                await self._callbacks.call_each("on_update", [(update,) for update, _ in inbox.take()])
        except RequenceError:
            pass  # that was told to on_error
        except RuntimeError as error:
            _log.warning("on_update of a watcher cannot be called any more: %s", error)
            return False
        finally:
            inbox.close()
        return True


def _status(error: Exception) -> int | None:
    if isinstance(error, TaskException):
        return error.status_code
    return error.status if isinstance(error, RequenceUnreachableException) else None


class _Confirmation:
    """Acknowledges an outcome. What is in the way of that is logged only, since the outcome is there."""

    def __init__(self, of: Delivery, task_id: str) -> None:
        self._delivery = of
        self._task_id = task_id

    async def __call__(self) -> None:
        refused = await self._delivery.confirm()
        if refused is not None:
            _log.error("The end of task %s could not be acknowledged: %s", self._task_id, refused)
