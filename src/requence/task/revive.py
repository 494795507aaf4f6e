"""Putting objects, such as files, into the places of references in what the service says of a task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from requence._client import Client
from requence.exceptions import RequenceError

if TYPE_CHECKING:
    from requence._transport.api import Report
    from requence._transport.event_log import LogEvent

__all__ = ["Reviver", "fetch_into", "fetched_report", "revived_report"]


class Reviver:
    """Revives what one stream brings.

    Attributes:
        has_claims: Whether values are still to be fetched: claim checks stand in their places.
    """

    def __init__(self, client: Client) -> None:
        self.has_claims = False
        self._client = client

    def __call__(self, events: Iterable[LogEvent]) -> None:
        """Puts objects into the payloads of some events."""
        from requence.files.references import with_objects  # here, as below: few need it

        for _, _, payload in events:
            for name, value in payload.items():
                if isinstance(value, dict | list):
                    payload[name], claims = with_objects(value, self._client, in_input=name == "input")
                    self.has_claims = self.has_claims or claims

    async def fetch(self, events: Iterable[LogEvent]) -> bool:
        """Puts values into the places of claim checks; what cannot be fetched is logged, and stays.

        Returns:
            Whether all could be fetched.
        """
        self.has_claims = False
        problems = [await fetch_into(payload, self._client) for _, _, payload in events]
        return not any(problems)


async def fetch_into(fields: dict[str, Any], client: Client) -> dict[str, RequenceError]:
    """Puts values into the places of claim checks in some fields; returns what was in the way, by the field."""
    from requence.files.fetch import with_values

    problems: dict[str, RequenceError] = {}
    for name, value in fields.items():
        fields[name], problem = await with_values(value, client, in_input=name == "input")
        if problem is not None:
            problems[name] = problem
    return problems


def revived_report(report: Report, client: Client) -> tuple[Report, bool]:
    """Returns a report with objects in the places of references, and whether claim checks are among them."""
    if not report.has_references:
        return report, False
    from requence.files.references import with_objects

    whole = {"input": report.input, "result": report.result, "node_data": report.node_data}
    claims = False
    for name, value in whole.items():
        whole[name], found = with_objects(value, client, in_input=name == "input")
        claims = claims or found
    return replace(report, **whole), claims


async def fetched_report(report: Report, client: Client) -> Report:
    """Returns a report with objects and values in the places of references."""
    report, claims = revived_report(report, client)
    if not claims:
        return report
    whole = {"input": report.input, "result": report.result, "node_data": report.node_data}
    await fetch_into(whole, client)
    return replace(report, **whole)
