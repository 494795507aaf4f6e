"""A server whose handler tells what it was started with."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from requence._token import decode_access_token, encode_access_token
from requence.local import LocalServer, NodeContext, TaskTemplate


@dataclass(frozen=True)
class Notes:
    """The server `access_token` is for, and what the inputs of its tasks said `from`."""

    access_token: str
    seen: queue.Queue[str]

    def next(self) -> str:
        """Returns the next of them, waiting for it."""
        return self.seen.get(timeout=10)


@pytest.fixture(params=["127.0.0.1", "localhost"])
def notes(request: pytest.FixtureRequest) -> Iterator[Notes]:
    """The token names the server by address or by host name: resolving one needs a worker thread.

    A closing interpreter gives no new one.
    """
    seen: queue.Queue[str] = queue.Queue()
    template = TaskTemplate("note")

    @template.node
    def note(ctx: NodeContext) -> str:
        seen.put(ctx.input["from"])
        if ctx.input.get("wait", True):
            ctx.terminated.wait()
        return "noted"

    with LocalServer(template) as server:
        bearer = decode_access_token(server.access_token, source="the server").bearer
        yield Notes(encode_access_token(bearer, server.url.replace("127.0.0.1", request.param)), seen)
