"""Watches what a local server is asked and answers, from between it and its web server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Exchange", "watched"]


@dataclass
class Exchange:
    """A request and its answer, as far as they came; names of headers in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    status: int = 0
    answer_headers: dict[str, str] = field(default_factory=dict[str, str])
    answer: bytes = b""


def watched(app: ASGIApp, see: Callable[[Exchange], None]) -> ASGIApp:
    """Returns the application, which now shows each exchange when it is over."""

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            _texts(scope["headers"]),
        )
        body, answer = bytearray(), bytearray()

        async def received() -> Message:
            message = await receive()
            body.extend(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                exchange.answer_headers = _texts(message["headers"])
            answer.extend(message.get("body", b""))
            await send(message)

        try:
            await app(scope, received, sent)
        finally:
            if exchange.status:
                exchange.body, exchange.answer = bytes(body), bytes(answer)
                see(exchange)

    return watching


def _texts(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
