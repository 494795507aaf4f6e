"""Confirming that the outcome of a task has arrived, where the service asks for that."""

from __future__ import annotations

import asyncio

from requence._transport.api import Api
from requence.exceptions import RequenceError, RequenceUnreachableException, TaskException

__all__ = ["Delivery"]


class Delivery:
    """The acknowledgement of one task: sent once, however many consumers have seen its end."""

    def __init__(self, api: Api, task_id: str) -> None:
        self._api = api
        self._task_id = task_id
        self._confirming: asyncio.Task[RequenceError | None] | None = None

    async def confirm(self) -> RequenceError | None:
        """Confirms the delivery, repeating the request as needed; returns what was in the way, or None."""
        if self._confirming is None:
            self._confirming = asyncio.create_task(self._confirm())
        return await asyncio.shield(self._confirming)

    async def _confirm(self) -> RequenceError | None:
        try:
            await self._api.ack(self._task_id)
        except (TaskException, RequenceUnreachableException) as error:
            return error
        return None
