"""The HTTP face: translates requests into operations of the engine, and their errors into answers."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from requence.local import page
from requence.local.act import outcome_from_body
from requence.local.address import Address
from requence.local.contract import FinalizeRequest, InvalidRequestError, WatchRequest
from requence.local.engine import Engine
from requence.local.events import frame, frame_among_all
from requence.local.json_values import compact
from requence.local.refusals import NotStartableError, UnknownKeyError, UnknownTaskError, UnknownTemplateError

__all__ = ["TaskApi"]

_KEEP_ALIVE_SECONDS = 15.0
_REASON_BYTES = 64 * 1024
_WATCH_BYTES = 64 * 1024
# How much of a body that is too large is read to its end and thrown away, so that the client, which sends before
# it reads, gets to see the answer; beyond that the connection is simply closed.
_DISCARDED_BYTES = 64 * 2**20
_DISCARD_SECONDS = 10.0

_STATUS: dict[type[Exception], int] = {
    InvalidRequestError: 400,
    UnknownKeyError: 404,
    UnknownTaskError: 404,
    UnknownTemplateError: 404,
    NotStartableError: 409,
}


class TaskApi:
    """The application of one server.

    Args:
        engine: Who does the work.
        address: Where the server is reached.
        bearer: The secret of its access token.
        page_secret: The secret that the keys of task pages are made with.
        max_payload_size: The largest body of finalize in bytes.
    """

    def __init__(
        self, engine: Engine, address: Address, *, bearer: str, page_secret: str, max_payload_size: int
    ) -> None:
        self._engine = engine
        self._address = address
        self._authorization = f"Bearer {bearer}".encode()
        self._page_secret = page_secret
        self._max_payload_size = max_payload_size

    def asgi(self) -> ASGIApp:
        """Returns the ASGI application."""
        routes = [
            self._operation("POST", "/task/prepare/{template}", self._prepare),
            self._operation("POST", "/task/finalize/{task_id}", self._finalize),
            self._operation("POST", "/task/watch/{task_id}", self._watch),
            self._operation("POST", "/task/watch-all", self._watch_all),
            self._operation("POST", "/task/abort/{task_id}", self._abort),
            self._operation("POST", "/task/protect/{task_id}", self._protect),
            self._operation("POST", "/task/ack/{task_id}", self._ack),
            self._operation("GET", "/task/{task_id}", self._get),
            Route("/act/{key}", self._act, methods=["POST"]),
            Route("/tasks/{task_id}", self._page, methods=["GET"]),
            Route(page.STYLE_PATH, self._style, methods=["GET"]),
        ]
        app = Starlette(
            routes=routes,
            exception_handlers={
                HTTPException: _refused,
                ClientDisconnect: _unheard,
                **dict.fromkeys(_STATUS, _refused),
            },
        )
        app.router.redirect_slashes = False
        return _Gate(app, self._address)

    def _operation(self, method: str, path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
        async def authorized(request: Request) -> Response:
            given = request.headers.get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(given, self._authorization):
                return _text(401, "The access token is missing, or it is not one of this server")
            answer = await endpoint(request)
            self._engine.journal.commit()  # what an answer tells is safe
            return answer

        return Route(path, authorized, methods=[method])

    async def _prepare(self, request: Request) -> Response:
        task_id = self._engine.prepare(_segment(request, "template"))
        return _json(
            {
                "taskId": task_id,
                "finalizeUrl": f"{self._address.url}/task/finalize/{task_id}",
                "branch": "live",
                "limits": {"maxPayloadSize": self._max_payload_size},
            }
        )

    async def _finalize(self, request: Request) -> Response:
        record = self._engine.record(_segment(request, "task_id"))
        body = await _body(request, self._max_payload_size)
        if body is None:
            text = f"The body is larger than {self._max_payload_size} bytes"
            return _text(413, text, {"Connection": "close"})
        self._engine.finalize(record.id, FinalizeRequest.from_body(body))
        key = page.key(self._page_secret, record.id)
        urls = {
            "watch": f"{self._address.url}/task/watch/{record.id}",
            "show": f"{self._address.url}/tasks/{record.id}?key={key}",
        }
        return _json({"taskId": record.id, "urls": urls})

    async def _watch(self, request: Request) -> Response:
        record = self._engine.record(_segment(request, "task_id"))
        return await self._event_stream(request, record.id)

    async def _watch_all(self, request: Request) -> Response:
        return await self._event_stream(request, None)

    async def _event_stream(self, request: Request, task_id: str | None) -> Response:
        """Answers with the events of a task, or, if `task_id` is None, of all tasks."""
        body = await _body(request, _WATCH_BYTES)
        if body is None:
            return _text(400, f"The body is larger than {_WATCH_BYTES} bytes", {"Connection": "close"})
        wanted = WatchRequest.from_body(body, of_all=task_id is None)
        framed = frame_among_all if task_id is None else frame
        batches = self._engine.journal.follow(
            task_id, after=wanted.after, since=wanted.since, pause=_KEEP_ALIVE_SECONDS
        )

        async def stream() -> AsyncIterator[bytes]:
            async for batch in batches:
                if not batch:
                    yield b": keep-alive\n\n"
                for event in batch:
                    yield framed(event)
                    await asyncio.sleep(0)  # lets the server notice that the client has left

        # Without a length the server sends it chunked, so a reader sees each event at once.
        return StreamingResponse(
            stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def _abort(self, request: Request) -> Response:
        record = self._engine.record(_segment(request, "task_id"))
        body = await _body(request, _REASON_BYTES, cut=True)
        self._engine.abort(record.id, (body or b"").decode("utf-8", "replace").strip() or None)
        return _text(200, "")

    async def _protect(self, request: Request) -> Response:
        self._engine.protect(_segment(request, "task_id"))
        return _text(200, "")

    async def _ack(self, request: Request) -> Response:
        self._engine.acknowledge(_segment(request, "task_id"))
        return _text(200, "")

    async def _get(self, request: Request) -> Response:
        state = self._engine.state(_segment(request, "task_id"))
        return Response(state.to_json(), media_type="application/json")

    async def _act(self, request: Request) -> Response:
        # The key is what opens this: no token, so that a link in a mail or a webhook can do it.
        body = await _body(request, self._max_payload_size)
        if body is None:
            text = f"The body is larger than {self._max_payload_size} bytes"
            return _text(413, text, {"Connection": "close"})
        self._engine.act(_segment(request, "key"), outcome_from_body(body))
        self._engine.journal.commit()
        return _text(200, "")

    async def _page(self, request: Request) -> Response:
        task_id = _segment(request, "task_id")
        given = request.query_params.get("key", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, page.key(self._page_secret, task_id).encode()):
            # The same answer as for a task that does not exist: without the key nothing can be learned.
            raise UnknownTaskError("There is nothing here")
        return page.response(self._engine.state(task_id), self._engine.events(task_id))

    async def _style(self, request: Request) -> Response:  # noqa: ARG002 (the signature of an endpoint)
        return page.style()


class _Gate:
    """Lets in only requests that name this server as their host, and keeps path segments whole.

    A web page of another site can make a browser send requests to this machine under a host name of its own
    (DNS rebinding); such a request has the wrong `Host`.
    """

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self._app = app
        self._hosts = {host.encode("ascii") for host in address.accepted_hosts()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hosts = [value.lower() for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            await _text(403, "This server answers only under its own address")(scope, receive, send)
            return
        # The decoded path cannot tell `a/b` from `a%2Fb`, so routing uses the path as it was sent.
        path = scope["raw_path"].decode("latin-1")
        await self._app({**scope, "path": path}, receive, send)


async def _body(request: Request, limit: int, *, cut: bool = False) -> bytes | None:
    """Reads a body of at most `limit` bytes; of a larger one returns None, or with `cut` its beginning."""
    body = bytearray()
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as clock:
            async for chunk in request.stream():
                size += len(chunk)
                body += chunk[: limit - len(body)]
                if size > limit + _DISCARDED_BYTES:
                    break
                if size > limit and clock.when() is None:
                    clock.reschedule(asyncio.get_running_loop().time() + _DISCARD_SECONDS)
    return bytes(body) if cut or size <= limit else None


def _segment(request: Request, name: str) -> str:
    try:
        return unquote(request.path_params[name], errors="strict")
    except UnicodeDecodeError:
        raise HTTPException(404) from None


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _text(404, f"There is nothing at {request.method} {request.url.path}")
    return _text(_STATUS[type(error)], str(error))


async def _unheard(request: Request, error: Exception) -> Response:  # noqa: ARG001 (Starlette's signature)
    return _text(400, "The body broke off")  # nobody is there to read it; this only ends the request


def _json(value: object) -> Response:
    # Clients learn by which clock the times of events are.
    now = format_datetime(datetime.now(UTC), usegmt=True)
    return Response(compact(value), media_type="application/json", headers={"Date": now})


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    # Names out of a request may hold what UTF-8 cannot carry.
    return PlainTextResponse(text.encode("utf-8", "replace"), status, headers)
