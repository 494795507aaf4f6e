"""What can be asked of a task by its id alone: checked at once, to be run on the I/O thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from requence._client import Client, checked_client
from requence._token import AccessToken
from requence._transport.credentials import find_access_token
from requence.task.arguments import check_identifier, check_optional_text
from requence.task.snapshot import TaskSnapshot, read_snapshot

if TYPE_CHECKING:
    from requence._transport.api import Api
    from requence._transport.io_loop import Work

__all__ = ["abort", "get", "protect"]


def get(task_id: str, access_token: str | None, client: Client | None) -> Work[TaskSnapshot]:
    """Returns what reads a task."""
    task_id, reach = check_identifier("task_id", task_id), _reach(access_token, client)

    async def work() -> TaskSnapshot:
        from requence.task.revive import fetched_report  # as below: it imports the HTTP libraries

        report = await _api(*reach).get(task_id)
        return read_snapshot(task_id, await fetched_report(report, reach[1]))

    return work


def abort(task_id: str, access_token: str | None, reason: str | None, client: Client | None) -> Work[None]:
    """Returns what aborts a task."""
    task_id, reason = check_identifier("task_id", task_id), check_optional_text("reason", reason)
    reach = _reach(access_token, client)

    async def work() -> None:
        await _api(*reach).abort(task_id, reason)

    return work


def protect(task_id: str, access_token: str | None, client: Client | None) -> Work[None]:
    """Returns what protects a task."""
    task_id, reach = check_identifier("task_id", task_id), _reach(access_token, client)

    async def work() -> None:
        await _api(*reach).protect(task_id)

    return work


def _reach(access_token: str | None, client: Client | None) -> tuple[AccessToken, Client]:
    client = checked_client(client)
    return find_access_token(access_token, client), client


def _api(token: AccessToken, client: Client) -> Api:
    from requence._transport.api import Api  # on the I/O thread: it imports the HTTP libraries

    return Api(token, client)
