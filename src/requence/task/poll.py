"""Learning how a task is by asking: where its stream is not known, or has not shown it."""

from __future__ import annotations

import asyncio
from collections.abc import Container

from requence._transport.api import Api, Report
from requence._transport.patience import Patience
from requence._transport.retry import is_transient
from requence.exceptions import RequenceUnreachableException, TaskException
from requence.task.snapshot import known_status

__all__ = ["ask_patiently", "poll"]

_FIRST_PAUSE = 0.5
_GROWTH = 1.5
_LONGEST_PAUSE = 30.0


async def poll(api: Api, task_id: str, until: Container[str]) -> Report:
    """Asks until the task has one of these statuses, with growing pauses.

    Raises:
        StreamInterruptedError: There was no answer for longer than the client's patience.
        TaskException: The service refuses to tell.
    """
    pause = _FIRST_PAUSE
    while True:
        report = await ask_patiently(api, task_id)
        if known_status(report.status) in until:
            return report
        await asyncio.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


async def ask_patiently(api: Api, task_id: str) -> Report:
    """Asks until there is an answer, with growing pauses.

    Raises:
        StreamInterruptedError: There was none for longer than the client's patience.
        TaskException: The service refuses to tell.
    """
    loop = asyncio.get_running_loop()
    patience = Patience(api.client.patience, what=f"task {task_id}", now=loop.time())
    pause = _FIRST_PAUSE
    while True:
        try:
            return await api.get(task_id)
        except (RequenceUnreachableException, TaskException) as error:
            status = error.status_code if isinstance(error, TaskException) else error.status
            if isinstance(error, TaskException) and (status is None or not is_transient(status)):
                raise
            if patience.is_over(loop.time()):
                raise patience.error(loop.time(), error, status=status) from error
        await asyncio.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
