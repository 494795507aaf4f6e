"""Ends connections early, where an answer must not look complete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["Protocol", "hang_up"]

_EXTENSION = "requence.local.close"


class Protocol(H11Protocol):
    """HTTP/1.1, with a way for the application to close the connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app: Any = self.app

        async def closable(scope: Scope, receive: Receive, send: Send) -> None:
            given: dict[str, Any] = scope.get("extensions") or {}
            with suppress(
                asyncio.CancelledError
            ):  # the event loop ends; uvicorn would take that for a mistake
                await app({**scope, "extensions": {**given, _EXTENSION: self._close}}, receive, send)

        self.app = cast("Any", closable)

    def _close(self) -> None:
        self.transport.close()


async def hang_up(request: Request) -> None:
    """Closes the connection of a request after what was written to it; returns once it is closed.

    What is written to the answer after that goes nowhere.
    """
    close = cast("Callable[[], None]", request.scope["extensions"][_EXTENSION])
    close()
    while (await request.receive())["type"] != "http.disconnect":
        pass
