"""The HTTP face: translates requests into operations of the engine, and their errors into answers."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from requence.exceptions import UsageError
from requence.local.act import outcome_from_body
from requence.local.address import Address
from requence.local.answers import body, json_answer, reason, segment, text, too_large
from requence.local.aside import aside
from requence.local.contract import path
from requence.local.engine import Engine
from requence.local.events import frame, frame_among_all
from requence.local.faults import Faults
from requence.local.file_api import FileApi
from requence.local.files import AlreadySentError, Files
from requence.local.gate import Gate
from requence.local.operations import Operations
from requence.local.page.api import PageApi
from requence.local.python_types import type_files
from requence.local.refusals import (
    InvalidRequestError,
    NotNowError,
    NotStartableError,
    UnknownKeyError,
    UnknownTaskError,
    UnknownTemplateError,
)
from requence.local.requests import Finalize, Watch

__all__ = ["TaskApi"]

_KEEP_ALIVE_SECONDS = 15.0
_WATCH_BYTES = 64 * 1024

_STATUS: dict[type[Exception], int] = {
    InvalidRequestError: 400,
    UnknownTaskError: 404,
    UnknownTemplateError: 404,
    UnknownKeyError: 404,
    NotStartableError: 409,
    AlreadySentError: 409,
    NotNowError: 503,
    # Nothing of it has happened, so it can be asked again.
    sqlite3.Error: 503,
}


class TaskApi:
    """The application of one server.

    Args:
        engine: Who does the work.
        address: Where the server is reached.
        bearer: The secret of its access token.
        page_secret: The secret that the keys of task pages are made with.
        max_payload_size: The largest body of finalize in bytes.
        max_file_size: The largest file or stream in bytes.
        files: Where files and streams are kept.
        faults: What goes wrong on purpose.
        strict: Whether answers and events are held against the contract before they are sent.
        leaving: Set when the server stops.
    """

    def __init__(
        self,
        engine: Engine,
        address: Address,
        *,
        bearer: str,
        page_secret: str,
        max_payload_size: int,
        max_file_size: int,
        files: Files,
        faults: Faults,
        strict: bool,
        leaving: asyncio.Event,
    ) -> None:
        self._engine = engine
        self._address = address
        self._limits = {"maxPayloadSize": max_payload_size, "maxFileSize": max_file_size}
        self._files = files
        self._file_api = FileApi(files, self._takes_files)
        self._operations = Operations(
            bearer.encode(), faults, self._template_of, _STATUS, engine.journal.commit, strict, leaving
        )
        self._pages = PageApi(engine, self._operations, page_secret)

    def asgi(self) -> ASGIApp:
        """Returns the ASGI application."""
        route, beside, files = self._operations.route, self._operations.beside, self._file_api
        routes = [
            route("prepare", "POST", "/task/prepare/{template}", self._prepare),
            route("finalize", "POST", "/task/finalize/{task_id}", self._finalize),
            route("watch", "POST", "/task/watch/{task_id}", self._watch),
            route("watch_all", "POST", "/task/watch-all", self._watch_all),
            route("abort", "POST", "/task/abort/{task_id}", self._abort),
            route("protect", "POST", "/task/protect/{task_id}", self._protect),
            route("ack", "POST", "/task/ack/{task_id}", self._ack),
            route("types", "GET", "/task/types/python", self._types),
            route("get", "GET", "/task/{task_id}", self._get),
            route("upload", "POST", "/files/upload/{key}", self._upload, token=False),
            route("download", "GET", "/files/{key}", files.download, token=False),
            route("register_stream", "POST", "/streams/register/{key}", self._register_stream, token=False),
            route("send_stream", "POST", "/streams/{key}", files.send, token=False),
            route("download_stream", "GET", "/streams/{key}", files.follow, token=False),
            beside("POST", "/act/{key}", self._act),
            *self._pages.routes(),
        ]
        app = Starlette(
            routes=routes,
            exception_handlers={405: _wrong_method, HTTPException: _nowhere, ClientDisconnect: _unheard},
        )
        app.router.redirect_slashes = False
        return Gate(app, self._address)

    async def _prepare(self, request: Request) -> Response:
        task_id = self._engine.prepare(segment(request, "template"))
        base = self._base(request)
        return json_answer(
            {
                "taskId": task_id,
                "finalizeUrl": base + path("finalize_task", task_id=task_id),
                "branch": "live",
                "fileUrls": self._file_api.urls(base, task_id),
                "limits": self._limits,
            }
        )

    async def _finalize(self, request: Request) -> Response:
        record = self._engine.record(segment(request, "task_id"))
        limit = self._limits["maxPayloadSize"]
        sent = await body(request, limit)
        if sent is None:
            return too_large("The body", limit)
        size = math.inf if b"ClaimCheck" in sent else len(sent)
        wanted = await aside(size, partial(Finalize.from_body, sent, self._claimed))
        await self._engine.finalize(record.id, wanted)
        base = self._base(request)
        urls = {
            "watch": base + path("watch_task", task_id=record.id),
            "show": base + self._pages.path(record.id),
        }
        return json_answer({"taskId": record.id, "urls": urls})

    async def _watch(self, request: Request) -> Response:
        record = self._engine.record(segment(request, "task_id"))
        return await self._event_stream(request, record.id)

    async def _watch_all(self, request: Request) -> Response:
        return await self._event_stream(request, None)

    async def _event_stream(self, request: Request, task_id: str | None) -> Response:
        """Answers with the events of a task, or, if `task_id` is None, of all tasks."""
        sent = await body(request, _WATCH_BYTES)
        if sent is None:
            return text(400, f"The body is larger than {_WATCH_BYTES} bytes", {"Connection": "close"})
        wanted = Watch.from_body(sent, of_all=task_id is None)
        framed = frame_among_all if task_id is None else frame
        batches = self._engine.journal.follow(
            task_id, after=wanted.after, since=wanted.since, pause=_KEEP_ALIVE_SECONDS
        )
        name = "watch_all" if task_id is None else "watch"
        while_open = self._engine.streams.one(task_id)
        return self._operations.event_stream(request, name, batches, framed, while_open)

    async def _abort(self, request: Request) -> Response:
        record = self._engine.record(segment(request, "task_id"))
        self._engine.abort(record.id, await reason(request))
        return text(200, "")

    async def _protect(self, request: Request) -> Response:
        self._engine.protect(segment(request, "task_id"))
        return text(200, "")

    async def _ack(self, request: Request) -> Response:
        self._engine.acknowledge(segment(request, "task_id"))
        return text(200, "")

    async def _get(self, request: Request) -> Response:
        state = self._engine.state(segment(request, "task_id"))
        return Response(state.to_json(), media_type="application/json")

    async def _act(self, request: Request) -> Response:
        # The key is what opens this: no token, so that a link in a mail or a webhook can do it.
        limit = self._limits["maxPayloadSize"]
        sent = await body(request, limit)
        if sent is None:
            return too_large("The body", limit)
        self._engine.act(segment(request, "key"), outcome_from_body(sent))
        return text(200, "")

    async def _types(self, request: Request) -> Response:  # noqa: ARG002 (the signature of an endpoint)
        return json_answer(type_files(self._engine.signatures()))

    async def _upload(self, request: Request) -> Response:
        return await self._file_api.upload(request, self._base(request))

    async def _register_stream(self, request: Request) -> Response:
        return await self._file_api.register(request, self._base(request))

    def _base(self, request: Request) -> str:
        return self._address.url_for(request.headers["host"].lower())

    def _takes_files(self, task_id: str) -> bool:
        try:
            return self._engine.record(task_id).request is None
        except UnknownTaskError:  # it was cleaned up
            return False

    def _claimed(self, url: str) -> bytes:
        try:
            with self._files.opened(url) as content:
                return content.read()
        except UsageError as error:
            raise InvalidRequestError(f"The claim check cannot be resolved: {error}") from None

    def _template_of(self, request: Request) -> str | None:
        with suppress(HTTPException, UnknownTaskError):
            if "template" in request.path_params:
                return segment(request, "template")
            if "task_id" in request.path_params:
                return self._engine.record(segment(request, "task_id")).template
        return None


async def _nowhere(request: Request, error: Exception) -> Response:  # noqa: ARG001 (Starlette's signature)
    return text(404, f"There is nothing at {request.method} {request.url.path}")


async def _wrong_method(request: Request, error: Exception) -> Response:  # noqa: ARG001 (Starlette's signature)
    allow = ", ".join(sorted(_methods_at(request.scope["path"], request.app.routes)))
    return text(405, f"{request.url.path} does not take {request.method}, only {allow}", {"Allow": allow})


def _methods_at(path: str, routes: Iterable[BaseRoute]) -> set[str]:
    """Returns what a path takes: all routes of the first pattern that fits, where Starlette names one route's."""
    at_path = [route for route in routes if isinstance(route, Route) and route.path_regex.match(path)]
    return {method for route in at_path if route.path == at_path[0].path for method in route.methods or ()}


async def _unheard(request: Request, error: Exception) -> Response:  # noqa: ARG001 (Starlette's signature)
    return text(400, "The body broke off")  # nobody is there to read it; this only ends the request
