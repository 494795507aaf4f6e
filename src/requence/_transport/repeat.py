"""Sending a request until it is answered: what may be repeated is, after growing pauses."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime

from requence._client import Client
from requence._transport.retry import CALLS, is_transient, retry_after
from requence._transport.session import Answer, LostConnectionError, Request, session
from requence.exceptions import RequenceUnreachableException

__all__ = ["pause", "repeated", "unreachable", "wanted_pause"]

_logger = logging.getLogger("requence.transport")


async def repeated(step: str, request: Request, client: Client, retries: int | None = None) -> Answer:
    """Sends a request that may reach the service more than once, and returns its last answer, of any status.

    Args:
        step: What is asked for, for the log.
        request: The request.
        client: How to get there.
        retries: How often it is repeated; by default as the client says.

    Raises:
        RequenceUnreachableException: No whole answer came.
    """
    retries = client.retries if retries is None else retries
    repetition = 0
    while True:
        last, wanted = repetition >= retries, 0.0
        try:
            answer = await session().exchange(request, client)
        except LostConnectionError as error:
            if last or error.lasting:
                raise unreachable(error) from error.__cause__
        else:
            if last or not is_transient(answer.status):
                return answer
            wanted = wanted_pause(answer)
        repetition += 1
        await pause(step, repetition, retries, at_least=wanted)


def unreachable(error: LostConnectionError) -> RequenceUnreachableException:
    """Returns the public form of a failed connection."""
    hint = error.hint or "check the network, and the base URL in the access token"
    return RequenceUnreachableException(error.message, hint=hint)


def wanted_pause(answer: Answer) -> float:
    """Returns the pause that the service asks for, in seconds."""
    return retry_after(answer.headers.get("Retry-After"), now=datetime.now(UTC))


async def pause(step: str, repetition: int, retries: int, *, at_least: float) -> None:
    """Waits before the first, second, … repetition."""
    seconds = CALLS.pause(repetition - 1, dice=random.random(), at_least=at_least)  # noqa: S311 (jitter)
    _logger.debug("%s: repetition %d of %d in %.2f s", step, repetition, retries, seconds)
    await asyncio.sleep(seconds)
