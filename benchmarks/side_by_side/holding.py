"""Asks the scripted service how many streams it holds open, and to end them all. Only the standard library."""

from __future__ import annotations

import asyncio
import json
from typing import Self
from urllib.parse import urlsplit

from benchmarks.side_by_side.child import base_url

__all__ = ["Holding"]


class Holding:
    """A connection of its own, opened before anything is measured."""

    async def __aenter__(self) -> Self:
        where = urlsplit(base_url())
        self._reader, self._writer = await asyncio.open_connection(where.hostname, where.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._writer.close()

    async def until_open(self, streams: int) -> None:
        """Waits until so many streams are open, and what they have shown was read."""
        while await self._ask("GET /held") != streams:  # noqa: ASYNC110 (the service is another process)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)

    async def release(self) -> None:
        """Ends all that is held; does not wait for an answer."""
        self._writer.write(b"POST /release HTTP/1.1\r\n\r\n")
        await self._writer.drain()

    async def _ask(self, request: str) -> object:
        self._writer.write(f"{request} HTTP/1.1\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        return json.loads(await self._reader.readexactly(int(head.rpartition("Content-Length:")[2])))
