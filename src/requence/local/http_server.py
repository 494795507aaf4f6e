"""uvicorn, made to start and stop inside a program that has other things to do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from requence.local.connection import Protocol

__all__ = ["serve"]

_GRACE_SECONDS = 1.0
_LOOK_SECONDS = 0.005


@asynccontextmanager
async def serve(app: ASGIApp, listener: socket.socket) -> AsyncGenerator[None]:
    """Serves on a bound socket while the context lasts, then closes it and every connection.

    The program's logging and signal handlers stay as they are.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=Protocol,  # the same behaviour everywhere, whatever faster parser happens to be installed
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        # Longer than clients keep idle connections, so that they close first and no request meets a closed one.
        timeout_keep_alive=120,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    up = asyncio.create_task(server.up.wait())
    try:
        await asyncio.wait((serving, up), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            up.cancel()
            serving.result()
            raise RuntimeError("the HTTP server has ended before it started")
        yield
    finally:
        server.leave.set()
        await serving


class _Server(uvicorn.Server):
    """Starts and stops by events, where uvicorn's own looks around ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.leave = asyncio.Event()

    async def main_loop(self) -> None:
        self.up.set()
        await self.leave.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 (uvicorn's signature)
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()  # at once if it is idle, else after its answer
        deadline = asyncio.get_running_loop().time() + _GRACE_SECONDS
        # uvicorn keeps its connections in a set that rings no bell.
        while self.server_state.connections and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # its reader has stopped reading, and is not going to take the rest
        if answers := set(self.server_state.tasks):
            await asyncio.wait(answers, timeout=_GRACE_SECONDS)
