"""The one HTTP session. Beside `losses` the only module that knows which library is underneath."""

from __future__ import annotations

import asyncio
import io
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, NamedTuple, cast
from weakref import WeakKeyDictionary

import aiohttp
from yarl import URL

from requence._client import Client, reach_of
from requence._proxy import Proxy
from requence._transport.io_thread import io_thread
from requence._transport.losses import (
    CONNECT_TIMEOUT,
    FAILURES,
    LostConnectionError,
    loss,
    proxy_refusal,
    without_secrets,
)
from requence._transport.slots import Slots
from requence._version import __version__

if TYPE_CHECKING:
    import ssl

__all__ = ["Answer", "LostConnectionError", "OpenStream", "Request", "Session", "session"]

_logger = logging.getLogger("requence.transport")

_CALLS_AT_ONCE = 20
_TRANSFERS_AT_ONCE = 8
_SLOWEST_TRANSFER = 50_000.0  # bytes per second
_LARGEST_ANSWER = 256 * 2**20
_LARGEST_REFUSAL = 64 * 2**10
_LARGE_BODY = 2**20
# Many servers close a connection that was idle for 5 seconds. A request that meets one at that moment is lost, and
# a finalize that is lost has to be asked for: so idle connections are given up before.
_KEEP_ALIVE = 4.0
_NO_CONTENT_TYPE = ("Content-Type",)  # the library would call a body that is not there binary data
_USER_AGENT = f"requence-python/{__version__}"


@dataclass(frozen=True, slots=True)
class Request:
    """What goes on the wire. The URL is sent byte for byte; headers stay out of the `repr`: they authorize.

    Attributes:
        is_capability: Whether the URL itself authorizes whoever has it, so that it must not be logged.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    is_capability: bool = False

    def __repr__(self) -> str:
        url = URL(self.url, encoded=True)
        return f"<Request {self.method} {url.origin() if self.is_capability else url}>"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Way(NamedTuple):
    """How a request goes to the service."""

    url: URL
    proxy: Proxy | None
    tls: ssl.SSLContext | None


class OpenStream:
    """An answer whose body is read as it comes."""

    def __init__(self, response: aiohttp.ClientResponse, way: _Way) -> None:
        self._response = response
        self._way = way
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        # The library closes a connection on which it cannot go on reading, and does not tell whoever reads.
        protocol = None if response.connection is None else response.connection.protocol
        closed: asyncio.Future[None] | None = getattr(protocol, "closed", None)
        if closed is not None:
            closed.add_done_callback(self._has_been_closed)

    def _has_been_closed(self, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled():
            closed.exception()  # told to whoever reads; not to be reported by asyncio as forgotten
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError())

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; where none is named, what HTTP has for that."""
        # Not the library's own: that keeps 1.6 KiB of what it finds, for as long as the stream is open.
        named = self.headers.get("Content-Type") or "application/octet-stream"
        return named.partition(";")[0].strip().lower()

    @property
    def end_is_marked(self) -> bool:
        """Whether the end of the body can be told from the end of the connection."""
        return (
            "Content-Length" in self.headers or "chunked" in self.headers.get("Transfer-Encoding", "").lower()
        )

    async def read(self) -> bytes:
        """Returns what has arrived, waiting for the first byte without a limit; empty at the end of the body.

        Raises:
            LostConnectionError: The connection broke.
        """
        try:
            return await self._response.content.readany()
        except FAILURES as error:
            raise loss(error, self._way.url, self._way.proxy) from without_secrets(error)

    def let_go(self) -> None:
        """Ends it, without waiting for that."""
        self._response.close()

    async def close(self) -> None:
        """Ends it. A connection whose body was not read to its end does not go back to the pool."""
        self._response.close()
        await self._response.wait_for_close()

    async def read_error_body(self, limit: int = 65536, within: float = 2.0) -> bytes:
        """Returns the beginning of an answer that is not a stream: what of it comes within some seconds."""
        body = b""
        with suppress(LostConnectionError, TimeoutError):
            async with asyncio.timeout(within):
                while len(body) < limit and (piece := await self.read()):
                    body += piece
        return _said(body[:limit], self._way)


class Session:
    """Carries every request and every stream. Lives on the I/O thread; opened by `session`."""

    def __init__(self) -> None:
        self._http = aiohttp.ClientSession(
            # Streams are open for hours and must not take the places of calls: calls queue at a semaphore.
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=_KEEP_ALIVE,
                resolver=aiohttp.ThreadedResolver(),  # by the loop's executor, which works until the very end
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": _USER_AGENT},
            trust_env=False,  # with it, a netrc entry for the host would replace the bearer
        )
        # Per service: one that hangs must not hold up the calls to another.
        self._places: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_CALLS_AT_ONCE)
        )
        self._transfers: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_TRANSFERS_AT_ONCE)
        )
        self._slots: dict[tuple[str, int], Slots] = {}

    def slots(self, url: str, count: int) -> Slots:
        """Returns the places for the streams to one service; all who agree on their number share them."""
        where = (URL(url, encoded=True).authority, count)
        found = self._slots.get(where)
        if found is None:
            found = self._slots[where] = Slots(count)
        return found

    async def exchange(self, request: Request, client: Client) -> Answer:
        """Sends a request and reads its whole answer, of any status.

        Args:
            request: The request; redirects are not followed, since they would carry the bearer elsewhere.
            client: How to get there; its `call_timeout` is the longest silence.

        Raises:
            LostConnectionError: No whole answer came.
            ConfigurationError: The environment names a proxy that is of no use.
        """
        way, timeout = _way(request, client), client.call_timeout
        sent = len(request.body or b"")
        async with self._places[way.url.authority]:
            began = asyncio.get_running_loop().time()

            def deadline(moved: int) -> float:
                # Silence alone would let a service take a body, or send one, a byte at a time for ever.
                return began + 2 * timeout + moved / _SLOWEST_TRANSFER

            try:
                async with asyncio.timeout_at(deadline(sent)) as limit:
                    response = await self._send(request, way, began, silence=timeout)
                    async with response:
                        body = bytearray()
                        largest = _LARGEST_ANSWER if 200 <= response.status < 300 else _LARGEST_REFUSAL
                        content = response.content
                        while piece := await content.readany():
                            body += piece
                            if content.at_eof() or len(body) > largest:
                                break  # mostly at once: a small answer comes in one piece
                            limit.reschedule(deadline(sent + len(body)))
            except FAILURES as error:  # timeouts among them
                raise _lost(error, request, way, began) from without_secrets(error)
        _note(request, way, response.status, began)
        if len(body) > _LARGEST_ANSWER:
            raise LostConnectionError(
                f"the answer has more than {_LARGEST_ANSWER} bytes",
                sent=True,
                lasting=True,
                hint="the service must not answer more",
            )
        said = bytes(body if len(body) <= largest else body[:largest])
        good = largest == _LARGEST_ANSWER
        return Answer(response.status, response.headers, said if good else _said(said, way))

    async def upload(
        self, request: Request, chunks: AsyncIterator[bytes], size: int | None, client: Client
    ) -> Answer:
        """Sends a request with a body of any size, as its bytes come, and reads its answer.

        Args:
            request: The request, without the body; redirects are not followed.
            chunks: The body. What it raises is raised here.
            size: How many bytes it has; None if that is not known before its end.
            client: How to get there; its `call_timeout` is the longest time that the service may take over each
                chunk, and over its answer.

        Raises:
            LostConnectionError: No whole answer came.
            ConfigurationError: The environment names a proxy that is of no use.
        """
        way, loop = _way(request, client), asyncio.get_running_loop()
        failed: list[Exception] = []
        given, is_whole = 0, False

        async def body() -> AsyncGenerator[bytes]:
            nonlocal given, is_whole

            def turn_of_the_service(*, its: bool) -> None:
                # Its time is limited; where the bytes come from may take longer.
                if not limit.expired():
                    limit.reschedule(loop.time() + client.call_timeout if its else None)

            try:
                turn_of_the_service(its=False)
                async for chunk in chunks:
                    turn_of_the_service(its=True)
                    given += len(chunk)
                    yield chunk
                    turn_of_the_service(its=False)
            except Exception as error:
                failed.append(error)
                raise
            is_whole = True
            turn_of_the_service(its=True)

        if size is not None:
            request = replace(request, headers={**request.headers, "Content-Length": str(size)})
        sent = cast("AsyncGeneratorType[bytes, None]", body())
        # A stream lasts as long as whoever makes it takes, and several may be made by one: they wait for no place.
        place = nullcontext() if size is None else self._transfers[way.url.authority]
        async with place:
            began = loop.time()
            try:
                async with asyncio.timeout(client.call_timeout) as limit:
                    response = await self._send(request, way, began, silence=None, body=sent)
                    async with response:
                        said = bytearray()
                        while len(said) < _LARGEST_REFUSAL and (piece := await response.content.readany()):
                            said += piece
            except FAILURES as error:  # timeouts among them
                if failed:
                    raise failed[0] from failed[0].__cause__
                raise _lost(error, request, way, began) from without_secrets(error)
            finally:
                while sent.ag_running:  # noqa: ASYNC110 (a task of the library is in it, and was told to end)
                    await asyncio.sleep(0)
                await sent.aclose()
        _note(request, way, response.status, began)
        if failed and response.status < 400:
            raise failed[0]
        good = 200 <= response.status < 300
        if good and not is_whole and given != size:
            # It has taken a part for the whole.
            raise LostConnectionError(
                f"{way.url.scheme}://{way.url.authority} answered before everything was sent", sent=True
            )
        return Answer(response.status, response.headers, bytes(said) if good else _said(bytes(said), way))

    async def open_stream(self, request: Request, client: Client) -> OpenStream:
        """Sends a request whose answer is a stream, which is to be closed after its use.

        Args:
            request: The request; redirects are not followed.
            client: How to get there; its `call_timeout` is the longest silence until the answer's headers.
                `OpenStream.read` has none.

        Raises:
            LostConnectionError: No answer came.
            ConfigurationError: The environment names a proxy that is of no use.
        """
        way, began = _way(request, client), asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(client.call_timeout):
                response = await self._send(request, way, began, silence=None)
        except FAILURES as error:  # timeouts among them
            raise _lost(error, request, way, began) from without_secrets(error)
        _note(request, way, f"{response.status}, a stream", began)
        return OpenStream(response, way)

    async def _send(
        self,
        request: Request,
        way: _Way,
        began: float,
        *,
        silence: float | None,
        body: AsyncIterator[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """Sends a request and returns its answer as soon as the headers are there; not yet read."""
        url, proxy, headers = way.url, way.proxy, request.headers
        to_proxy: dict[str, str] | None = None
        if proxy is not None and proxy.authorization is not None:
            # Only to the proxy: it takes the header off a request that it passes on, and sees none in a tunnel.
            to_proxy = {"Proxy-Authorization": proxy.authorization}
            headers = {**headers, **to_proxy} if url.scheme == "http" else headers
        response = await self._http.request(
            request.method,
            url,
            data=_payload(request.body) if body is None else body,
            headers=headers,
            skip_auto_headers=None if "Content-Type" in headers else _NO_CONTENT_TYPE,
            allow_redirects=False,
            timeout=_timeouts(silence),
            # These are part of the pool's key of a connection: none serves a client of other settings.
            ssl=way.tls or True,
            proxy=None if proxy is None else URL(proxy.url),
            proxy_headers=to_proxy,
        )
        if response.status == 407 and proxy is not None and url.scheme == "http":
            response.close()
            _note(request, way, 407, began)
            raise proxy_refusal(407, url, proxy)
        return response

    async def close(self) -> None:
        """Closes every connection."""
        await self._http.close()


_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, Session] = WeakKeyDictionary()


def session() -> Session:
    """Returns the session of the I/O thread, on which it must be called; opened at the first call."""
    loop = asyncio.get_running_loop()
    found = _sessions.get(loop)
    if found is None:
        found = _sessions[loop] = Session()
        io_thread().on_close(found.close)
    return found


@lru_cache(maxsize=16)  # of one client after the other it is the same
def _timeouts(silence: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT, sock_read=silence)


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    # Above this size the library warns of bytes, since it sends them in one step in which nothing else runs.
    return io.BytesIO(body) if body is not None and len(body) >= _LARGE_BODY else body


def _way(request: Request, client: Client) -> _Way:
    url, reach = URL(request.url, encoded=True), reach_of(client)
    return _Way(url, reach.proxy_for(request.url, url.raw_host or ""), reach.tls)


def _lost(error: Exception, request: Request, way: _Way, began: float) -> LostConnectionError:
    lost = loss(error, way.url, way.proxy)
    _note(request, way, lost.message, began)
    return lost


def _said(body: bytes, way: _Way) -> bytes:
    """Returns what a refusal says: through a proxy it may be the proxy's, and repeat what that was sent."""
    return body if way.proxy is None else way.proxy.without_secrets(body)


def _note(request: Request, way: _Way, outcome: object, began: float) -> None:
    """Writes a line about a request to the log: neither its body, nor the query, which may have a key."""
    if not _logger.isEnabledFor(logging.DEBUG):
        return
    path = "/[a capability]" if request.is_capability else way.url.raw_path
    where = f"{way.url.scheme}://{way.url.authority}{path}"
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    where = where.replace(bearer, "[access token]") if bearer else where
    through = "" if way.proxy is None else f" through {way.proxy.url}"
    took = asyncio.get_running_loop().time() - began
    _logger.debug("%s %s%s: %s, %.3f s", request.method, where, through, outcome, took)
