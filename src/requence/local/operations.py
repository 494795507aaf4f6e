"""What surrounds every operation of the contract: the token, faults on purpose, refusals, checks of answers."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from requence.local.answers import discarded, text
from requence.local.connection import hang_up
from requence.local.contract import ContractViolationError
from requence.local.events import Event
from requence.local.faults import Fault, Faults, broken
from requence.local.strict import check_answer, check_framed_event

__all__ = ["Operations"]

_log = logging.getLogger("requence.local")

Endpoint = Callable[[Request], Awaitable[Response]]

# By the names that people use, which faults go by: the contract's.
_OPERATION_IDS = {
    "prepare": "prepare_task",
    "finalize": "finalize_task",
    "watch": "watch_task",
    "watch_all": "watch_all_tasks",
    "ack": "ack_task",
    "abort": "abort_task",
    "protect": "protect_task",
    "get": "get_task",
    "types": "get_python_types",
    "upload": "upload_file",
    "download": "download_file",
    "register_stream": "register_stream",
    "send_stream": "send_stream",
    "download_stream": "download_stream",
}


@dataclass(frozen=True)
class Operations:
    """Makes routes of endpoints.

    Attributes:
        bearer: The secret of the access token, for where that is wanted.
        faults: What goes wrong on purpose.
        template_of: Says which template a request is about, or None.
        refusals: The status for each exception that refuses a request.
        commit: Makes safe what was written down.
        strict: Whether what is sent is held against the contract.
        leaving: Set when the server stops.
    """

    bearer: bytes
    faults: Faults
    template_of: Callable[[Request], str | None]
    refusals: Mapping[type[Exception], int]
    commit: Callable[[], object]
    strict: bool
    leaving: asyncio.Event

    def route(self, name: str, method: str, path: str, endpoint: Endpoint, *, token: bool = True) -> Route:
        """Returns the route of an operation.

        Args:
            name: The operation, by the name that people use.
            method: Its HTTP method.
            path: Its path.
            endpoint: What does it.
            token: Whether the access token is wanted.
        """

        async def answered(request: Request) -> Response:
            if token and not self._is_authorized(request):
                refused = text(401, "The access token is missing, or it is not one of this server")
                return self._checked(name, refused)
            fault = self.faults.met_by(name, partial(self.template_of, request))
            request.state.fault = fault
            if fault is not None and fault.kind == "status":
                return await _status(request, fault)
            if fault is not None and fault.kind == "slow_start":
                fault.struck += 1
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.leaving.wait(), fault.seconds)
            answer = self._checked(name, await self._refused_or_done(endpoint, request))
            if fault is not None and fault.kind == "drop" and name not in ("watch", "watch_all"):
                fault.struck += 1
                await hang_up(request)
            return answer

        return Route(path, answered, methods=[method])

    def beside(self, method: str, path: str, endpoint: Endpoint) -> Route:
        """Returns the route of something that is no part of the contract: no token, no faults, no checks."""
        return Route(path, partial(self._refused_or_done, endpoint), methods=[method])

    def event_stream(
        self,
        request: Request,
        name: str,
        batches: AsyncIterator[list[Event]],
        framed: Callable[[Event], Iterator[bytes]],
        while_open: AbstractContextManager[None],
    ) -> Response:
        """Returns the answer that streams events.

        Args:
            request: The request.
            name: The operation.
            batches: The events as they come; an empty batch is a sign of life.
            framed: Writes an event as it travels in this stream, in parts.
            while_open: Entered for as long as the stream is open.
        """
        fault: Fault | None = getattr(request.state, "fault", None)  # beside the contract there is none
        if fault is not None and fault.kind == "slow_start":  # then the stream itself is in order
            fault = None
        told = partial(_checked_frame, name, framed) if self.strict else framed

        async def stream() -> AsyncIterator[bytes]:
            try:
                async for batch in batches:
                    if not batch:
                        yield b": keep-alive\n\n"
                    batch.reverse()
                    while batch:  # what was sent already is let go of
                        parts = told(batch.pop())
                        for part in (b"".join(parts),) if fault else parts:  # a fault counts events
                            yield part
                        await asyncio.sleep(0)  # lets the server notice that the client has left
            except ContractViolationError as error:
                _log.error("A stream was cut: %s", error)
                await hang_up(request)

        chunks = stream()
        if fault is not None:
            chunks = broken(fault, chunks, cut=partial(hang_up, request), stand=self.leaving.wait)
        return _EventStream(chunks, while_open)

    def _is_authorized(self, request: Request) -> bool:
        # The scheme is the same in any case of letters (RFC 9110, section 11.1).
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            bearer.strip(" ").encode("latin-1"), self.bearer
        )

    async def _refused_or_done(self, endpoint: Endpoint, request: Request) -> Response:
        try:
            try:
                return await endpoint(request)
            finally:
                self.commit()  # what an answer tells is safe
        except HTTPException:
            return text(404, f"There is nothing at {request.method} {request.url.path}")
        except tuple(self.refusals) as error:
            status = next(status for kind, status in self.refusals.items() if isinstance(error, kind))
            return text(status, str(error))

    def _checked(self, name: str, answer: Response) -> Response:
        if not self.strict:
            return answer
        try:
            check_answer(_OPERATION_IDS[name], answer)
        except ContractViolationError as error:
            _log.error("This answer breaks the contract: %s", error)
            return text(500, f"The answer would have broken the contract: {error}")
        return answer


class _EventStream(StreamingResponse):
    """The answer that streams events. Without a length it is sent chunked, so a reader sees each event at once."""

    def __init__(self, chunks: AsyncIterator[bytes], while_open: AbstractContextManager[None]) -> None:
        super().__init__(chunks, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._while_open = while_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._while_open:
            await super().__call__(scope, receive, send)


def _checked_frame(name: str, framed: Callable[[Event], Iterator[bytes]], event: Event) -> Iterator[bytes]:
    parts = list(framed(event))
    try:
        check_framed_event(_OPERATION_IDS[name], event.name, b"".join(parts))
    except ContractViolationError as error:
        which = f"event {event.position} of task {event.task_id}"
        raise ContractViolationError(f"{which} breaks the contract: {error}") from None
    return iter(parts)


async def _status(request: Request, fault: Fault) -> Response:
    fault.struck += 1
    await discarded(request.stream())
    headers = {} if fault.seconds < 0 else {"Retry-After": str(math.ceil(fault.seconds))}
    return text(fault.status, "This went wrong on purpose", headers)
