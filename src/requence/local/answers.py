"""What the HTTP operations have in common: reading bodies and path segments, and writing answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from requence.local.json_values import compact

__all__ = ["body", "discarded", "json_answer", "reason", "segment", "text", "too_large"]

# How much of a body that is too large is read to its end and thrown away, so that the client, which sends before
# it reads, gets to see the answer; beyond that the connection is simply closed.
_DISCARDED_BYTES = 64 * 2**20
_DISCARD_SECONDS = 10.0
_REASON_BYTES = 64 * 1024


async def body(request: Request, limit: int, *, cut: bool = False) -> bytes | None:
    """Reads a body of at most `limit` bytes; of a larger one returns None, or with `cut` its beginning."""
    kept = bytearray()
    chunks = request.stream()
    async for chunk in chunks:
        kept += chunk[: limit + 1 - len(kept)]
        if len(kept) > limit:
            await discarded(chunks)
            return bytes(kept[:limit]) if cut else None
    return bytes(kept)


async def reason(request: Request) -> str | None:
    """Reads the reason of an abort: the body as text, cut where it is too long; None if there is none."""
    sent = await body(request, _REASON_BYTES, cut=True)
    return (sent or b"").decode("utf-8", "replace").strip() or None


async def discarded(chunks: AsyncIterator[bytes]) -> None:
    """Reads what is left of a body that nobody wants, within limits."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for chunk in chunks:
                size += len(chunk)
                if size > _DISCARDED_BYTES:
                    return


def segment(request: Request, name: str) -> str:
    """Returns a parameter of the path, decoded.

    Raises:
        HTTPException: It is not text in UTF-8.
    """
    try:
        return unquote(request.path_params[name], errors="strict")
    except UnicodeDecodeError:
        raise HTTPException(404) from None


def json_answer(value: object) -> Response:
    """Returns an answer with a JSON value."""
    # Clients learn by which clock the times of events are.
    now = format_datetime(datetime.now(UTC), usegmt=True)
    return Response(compact(value), media_type="application/json", headers={"Date": now})


def text(status: int, content: str, headers: dict[str, str] | None = None) -> Response:
    """Returns an answer with a text for people."""
    # Names out of a request may hold what UTF-8 cannot carry.
    return PlainTextResponse(content.encode("utf-8", "replace"), status, headers)


def too_large(what: str, limit: int) -> Response:
    """Returns the answer to a body over the limit; the rest of it is not read from this connection."""
    return text(413, f"{what} is larger than {limit} bytes", {"Connection": "close"})
