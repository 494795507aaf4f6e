"""Confirming that the outcome of a task has arrived, where the service asks for that."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TypeAlias
from weakref import WeakValueDictionary

from requence._token import AccessToken
from requence._transport.api import Api
from requence.exceptions import RequenceError, RequenceUnreachableException, TaskException

__all__ = ["Delivery", "delivery"]

_REMEMBERED = 4096


_Key: TypeAlias = tuple[asyncio.AbstractEventLoop, AccessToken, str]


class Delivery:
    """The acknowledgement of one task: confirmed once, however many consumers have seen its end."""

    def __init__(self, api: Api, key: _Key) -> None:
        self._api = api
        self._key = key
        self._confirming: asyncio.Task[RequenceError | None] | None = None

    async def confirm(self) -> RequenceError | None:
        """Confirms the delivery if it was not confirmed yet; returns what was in the way, or None.

        The request is repeated as needed. What has failed for good may be tried again with a new call.
        """
        if self._key in _confirmed:
            return None
        if self._confirming is None or self._confirming.done():
            self._confirming = asyncio.create_task(self._confirm())
        return await asyncio.shield(self._confirming)

    async def _confirm(self) -> RequenceError | None:
        try:
            await self._api.ack(self._key[2])
        except (TaskException, RequenceUnreachableException) as error:
            return error
        except (
            Exception
        ) as error:  # an id that cannot be sent, say: whoever waits for the outcome must get it
            return TaskException(f"The acknowledgement could not be sent: {error!r}")
        _confirmed[self._key] = None
        if len(_confirmed) > _REMEMBERED:
            _confirmed.popitem(last=False)
        return None


_deliveries: WeakValueDictionary[_Key, Delivery] = WeakValueDictionary()
_confirmed: OrderedDict[_Key, None] = OrderedDict()  # by whatever handle or watcher, maybe gone by now


def delivery(api: Api, task_id: str) -> Delivery:
    """Returns the delivery of a task, which all handles and watchers of this process share."""
    key = (asyncio.get_running_loop(), api.token, task_id)
    found = _deliveries.get(key)
    if found is None:
        found = _deliveries[key] = Delivery(api, key)
    return found
