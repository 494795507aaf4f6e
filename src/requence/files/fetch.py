"""Getting the values that claim checks stand for."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from requence._client import Client
from requence._json import places_in
from requence._transport.file_api import FileApi
from requence.exceptions import FileUnavailableError, RequenceError
from requence.files.claim_check import ClaimCheck
from requence.files.references import with_objects

__all__ = ["with_values"]

_log = logging.getLogger("requence.task")

_AT_ONCE = 4
_DEEPEST = 8  # claim checks inside of what others stand for


async def with_values(
    value: Any, client: Client, *, in_input: bool = False
) -> tuple[Any, RequenceError | None]:
    """Returns data with values in the place of claim checks, and what was in the way of one of them, or None.

    What cannot be fetched stays a `ClaimCheck`, and is logged. The containers are changed, not copied.

    Args:
        value: Data, with objects in the place of references.
        client: How to reach the service.
        in_input: Whether this is the input of a task.
    """
    holder: list[Any] = [value]
    problem: RequenceError | None = None
    places = _claim_checks(holder)
    fetch = _Fetch(client, in_input)
    for _ in range(_DEEPEST):
        if not places:
            break
        problems = await asyncio.gather(*(fetch.into(container, key) for container, key in places))
        problem = problem or next((each for each in problems if each is not None), None)
        fetched = [place for place, its in zip(places, problems, strict=True) if its is None]
        places = [place for container, key in fetched for place in _inside(container, key)]
    for container, key in places:
        unfetched = FileUnavailableError(
            "a value that was too large for an update cannot be read: "
            f"it is inside of more than {_DEEPEST} others that were too large, too"
        )
        _log.warning("%r stays in its place: %s", container[key], unfetched)
        problem = problem or unfetched
    return holder[0], problem


class _Fetch:
    def __init__(self, client: Client, in_input: bool) -> None:
        self._client = client
        self._in_input = in_input
        self._api = FileApi(client)
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def into(self, container: Any, key: Any) -> RequenceError | None:
        """Puts the value of a claim check into its place; returns why that was not possible, or None."""
        claim: ClaimCheck = container[key]
        try:
            async with self._places:
                value = await self._api.fetch_value(claim.claim_check_object["url"])
        except RequenceError as error:
            _log.warning("%r stays in its place: %s", claim, error)
            return error
        container[key], _ = with_objects(value, self._client, in_input=self._in_input)
        return None


def _inside(container: Any, key: Any) -> list[tuple[Any, Any]]:
    """Returns where claim checks are in what was fetched into a place, or that it is one itself."""
    value = container[key]
    return [(container, key)] if isinstance(value, ClaimCheck) else _claim_checks(value)


def _claim_checks(value: Any) -> list[tuple[Any, Any]]:
    """Returns the containers and keys of all claim checks in some data."""
    found: list[tuple[Any, Any]] = []
    containers: list[Any] = [value]
    while containers:
        container = containers.pop()
        for key, item in places_in(container):
            if isinstance(item, ClaimCheck):
                found.append((container, key))
            elif isinstance(item, dict | list):
                containers.append(item)
    return found
