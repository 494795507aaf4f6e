"""The one HTTP session, and the only module that knows which library is underneath."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from requence._transport.io_thread import io_thread
from requence._transport.slots import Slots
from requence._version import __version__
from requence.exceptions import RequenceUnreachableException

__all__ = ["Answer", "LostConnectionError", "OpenStream", "Request", "Session", "session"]

_CONNECT_TIMEOUT = 5.0
_CALLS_AT_ONCE = 20
_SLOWEST_TRANSFER = 50_000.0  # bytes per second
_LARGEST_ANSWER = 256 * 2**20
_LARGEST_REFUSAL = 64 * 2**10
_LARGE_BODY = 2**20
# Many servers close a connection that was idle for 5 seconds. A request that meets one at that moment is lost, and
# a finalize that is lost has to be asked for: so idle connections are given up before.
_KEEP_ALIVE = 4.0
_USER_AGENT = f"requence-python/{__version__}"


@dataclass(frozen=True, slots=True)
class Request:
    """What goes on the wire. The URL is sent byte for byte; headers stay out of the `repr`: they authorize."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class LostConnectionError(RequenceUnreachableException):
    """No whole answer came.

    Attributes:
        sent: False if the connection was never established, so that the service cannot have seen the request.
    """

    sent: bool

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class OpenStream:
    """An answer whose body is read as it comes."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case."""
        return self._response.content_type

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
        except (aiohttp.ClientError, OSError) as error:
            raise _lost(error, self._response.url) from _without_secrets(error)

    async def read_error_body(self, limit: int = 65536, within: float = 2.0) -> bytes:
        """Returns the beginning of an answer that is not a stream: what of it comes within some seconds."""
        body = b""
        with suppress(LostConnectionError, TimeoutError):
            async with asyncio.timeout(within):
                while len(body) < limit and (piece := await self.read()):
                    body += piece
        return body[:limit]


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
        self._slots: dict[tuple[str, int], Slots] = {}

    def slots(self, url: str, count: int) -> Slots:
        """Returns the places for the streams to one service; all who agree on their number share them."""
        where = (URL(url, encoded=True).authority, count)
        found = self._slots.get(where)
        if found is None:
            found = self._slots[where] = Slots(count)
        return found

    async def exchange(self, request: Request, *, timeout: float) -> Answer:
        """Sends a request and reads its whole answer, of any status.

        Args:
            request: The request; redirects are not followed, since they would carry the bearer elsewhere.
            timeout: The longest silence in seconds.

        Raises:
            LostConnectionError: No whole answer came.
        """
        url = URL(request.url, encoded=True)
        sent = len(request.body or b"")
        async with self._places[url.authority]:
            began = asyncio.get_running_loop().time()

            def deadline(moved: int) -> float:
                # Silence alone would let a service take a body, or send one, a byte at a time for ever.
                return began + 2 * timeout + moved / _SLOWEST_TRANSFER

            try:
                async with (
                    asyncio.timeout_at(deadline(sent)) as limit,
                    self._send(request, url, silence=timeout) as response,
                ):
                    body = bytearray()
                    largest = _LARGEST_ANSWER if 200 <= response.status < 300 else _LARGEST_REFUSAL
                    async for piece in response.content.iter_any():
                        body += piece
                        limit.reschedule(deadline(sent + len(body)))
                        if len(body) > largest:
                            break
            except (aiohttp.ClientError, OSError) as error:  # timeouts among them
                raise _lost(error, url) from _without_secrets(error)
        if len(body) > _LARGEST_ANSWER:
            raise LostConnectionError(f"the answer has more than {_LARGEST_ANSWER} bytes", sent=True)
        return Answer(response.status, response.headers, bytes(body[:largest]))

    @asynccontextmanager
    async def open_stream(self, request: Request, *, timeout: float) -> AsyncGenerator[OpenStream]:
        """Sends a request whose answer is a stream. The connection is closed at the end of the context.

        Args:
            request: The request; redirects are not followed.
            timeout: The longest silence until the answer's headers, in seconds; `OpenStream.read` has none.

        Raises:
            LostConnectionError: No answer came.
        """
        url = URL(request.url, encoded=True)
        async with self._send(request, url, silence=None, headers_within=timeout) as response:
            try:
                yield OpenStream(response)
            finally:
                response.close()  # a stream that is left early must not go back to the pool

    @asynccontextmanager
    async def _send(
        self, request: Request, url: URL, *, silence: float | None, headers_within: float | None = None
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        try:
            async with asyncio.timeout(headers_within):
                response = await self._http.request(
                    request.method,
                    url,
                    data=_payload(request.body),
                    headers=request.headers,
                    skip_auto_headers=("Content-Type",),
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_TIMEOUT, sock_read=silence),
                )
        except (aiohttp.ClientError, OSError) as error:  # timeouts among them
            raise _lost(error, url) from _without_secrets(error)
        async with response:
            yield response

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


_NOT_ESTABLISHED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    # Above this size the library warns of bytes, since it sends them in one step in which nothing else runs.
    return io.BytesIO(body) if body is not None and len(body) >= _LARGE_BODY else body


def _lost(error: Exception, url: URL) -> LostConnectionError:
    where = f"{url.scheme}://{url.authority}"
    if isinstance(error, _NOT_ESTABLISHED):
        return LostConnectionError(f"{where} could not be reached: {_reason(error)}", sent=False)
    if isinstance(error, TimeoutError):
        return LostConnectionError(f"{where} did not answer in time", sent=True)
    return LostConnectionError(f"the connection to {where} broke: {_reason(error)}", sent=True)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection within {_CONNECT_TIMEOUT:g} seconds"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted ({error.certificate_error})"
    if isinstance(error, aiohttp.ClientConnectorError):
        inner = error.os_error
        return (
            inner.strerror
            if isinstance(inner.strerror, str) and not isinstance(inner, ssl.SSLError)
            else str(inner)
        )
    return str(error) or type(error).__name__


def _without_secrets(error: Exception) -> Exception:
    """Takes the request's headers, and with them the bearer, out of an error that becomes a `__cause__`."""
    info = getattr(error, "request_info", None)
    if isinstance(error, aiohttp.ClientResponseError) and isinstance(info, aiohttp.RequestInfo):
        no_headers = CIMultiDictProxy(CIMultiDict[str]())
        bare = aiohttp.RequestInfo(info.url, info.method, no_headers, info.real_url)
        error.request_info = bare
        error.args = (bare, error.history)
    return error
