"""Lets in only requests that name this server as their host, and keeps path segments whole."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from requence.local.address import Address
from requence.local.answers import text

__all__ = ["Gate"]


class Gate:
    """Stands in front of the application.

    A web page of another site can make a browser send requests to this machine under a host name of its own
    (DNS rebinding); such a request has the wrong `Host`.
    """

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, as ASGI has it."""
        hosts = [value.lower() for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._address.accepts(hosts[0].decode("latin-1")):
            await text(403, "This server answers only under its own address")(scope, receive, send)
            return
        # The decoded path cannot tell `a/b` from `a%2Fb`, so routing uses the path as it was sent.
        path = scope["raw_path"].decode("latin-1")
        await self._app({**scope, "path": path}, receive, send)
