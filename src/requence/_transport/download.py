"""One download, read as it comes. Its URL is a capability: no access token is sent there, and it is not shown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from requence._client import Client
from requence._transport.file_api import download_file_request, download_stream_request
from requence._transport.framing import FRAMED, PROTOCOL_HEADER, FrameParser, FramingError
from requence._transport.refusals import readable
from requence._transport.repeat import pause
from requence._transport.retry import is_transient, retry_after
from requence._transport.session import LostConnectionError, OpenStream, session
from requence.exceptions import (
    FileUnavailableError,
    RequenceStreamTruncatedError,
    RequenceUnreachableException,
)

__all__ = ["Download"]


class Download:
    """Reads a content once, from its beginning. On the I/O thread; nothing is opened before the first read."""

    def __init__(
        self,
        url: str,
        client: Client,
        *,
        what: str,
        stall: float,
        size: int | None = None,
        framed: bool = False,
    ) -> None:
        """Prepares to read.

        Args:
            url: Where the content is.
            client: How to get there.
            what: What to call it in errors, such as `the file (application/pdf, 12 bytes)`.
            stall: The longest silence, in seconds.
            size: How many bytes it must have, if that is known.
            framed: Whether to ask for frames, as for a stream.

        Raises:
            FileUnavailableError: This is no URL that a request can be sent to.
        """
        self._client = client
        self._what = what
        self._stall = stall
        self._size = size
        self._read = 0
        self._stream: OpenStream | None = None
        self._frames: FrameParser | None = None
        self._request = (download_stream_request if framed else download_file_request)(url, what)

    async def read(self) -> bytes:
        """Returns what has come, waiting for it; nothing at the end.

        Raises:
            FileUnavailableError: The service does not give it.
            RequenceStreamTruncatedError: The sender of the stream broke off.
            RequenceUnreachableException: The service cannot be reached, or the connection broke.
        """
        stream = self._stream or await self._open()
        try:
            while not self._is_over() and (piece := await self._next_piece(stream)):
                if data := self._data(piece):
                    self._read += len(data)
                    if self._size is not None and self._read > self._size:
                        break  # however much is still to come: nobody is to gather it
                    return data
        except LostConnectionError as error:
            if self._frames is not None:
                raise self._truncated(error.message, said=False) from error.__cause__
            raise self._broken(error.message) from error.__cause__
        self._check_end()
        return b""

    def close(self) -> None:
        """Ends it."""
        if self._stream is not None:
            self._stream.let_go()

    async def _open(self) -> OpenStream:
        repetition, retries = 0, self._client.retries
        while True:
            last, wanted = repetition >= retries, 0.0
            try:
                stream = await session().open_stream(self._request, self._client)
            except LostConnectionError as error:
                if last or error.lasting:
                    message = f"{self._what} cannot be read: {error.message}"
                    raise RequenceUnreachableException(message, hint=error.hint) from error.__cause__
            else:
                if stream.status == 200:
                    self._stream = stream
                    if stream.headers.get(PROTOCOL_HEADER, "").strip().lower() == FRAMED:
                        self._frames = FrameParser()
                    return stream
                wanted = retry_after(stream.headers.get("Retry-After"), now=datetime.now(UTC))
                said = await stream.read_error_body()
                stream.let_go()
                if last or not is_transient(stream.status):
                    raise self._refused(stream.status, said)
            repetition += 1
            await pause(f"reading {self._what}", repetition, retries, at_least=wanted)

    async def _next_piece(self, stream: OpenStream) -> bytes:
        try:
            async with asyncio.timeout(self._stall):
                return await stream.read()
        except TimeoutError:
            raise self._broken(f"nothing has come for {self._stall:g} seconds") from None

    def _data(self, piece: bytes) -> bytes:
        if self._frames is None:
            return piece
        try:
            return self._frames.feed(piece)
        except FramingError as error:
            raise self._broken(f"what came is not understood: {error}") from error

    def _is_over(self) -> bool:
        """Whether the sender has said that nothing comes any more: the connection may stay open all the same."""
        frames = self._frames
        return frames is not None and (frames.has_ended or frames.truncated is not None)

    def _check_end(self) -> None:
        if self._frames is not None:
            if self._frames.truncated is not None:
                raise self._truncated(self._frames.truncated)
            if not self._frames.has_ended:
                raise self._truncated("the connection was closed before the end", said=False)
        elif self._size is not None and self._read != self._size:
            raise self._broken(f"{self._read} of {self._size} bytes came")

    def _truncated(self, reason: str, *, said: bool = True) -> RequenceStreamTruncatedError:
        """Returns the error for a stream that ended early; `said` tells whether its sender gave the reason."""
        because = f": {reason}" if reason else ""
        message = f"{self._what} was truncated after {self._read} bytes{because}"
        return RequenceStreamTruncatedError(message, reason=reason if said and reason else None)

    def _broken(self, problem: str) -> RequenceUnreachableException:
        return RequenceUnreachableException(
            f"{self._what} could not be read to its end: {problem}", hint="read it again, from its beginning"
        )

    def _refused(self, status: int, body: bytes) -> FileUnavailableError:
        said = readable(body)
        return FileUnavailableError(
            f"{self._what} cannot be read: the service answered {status}{f' ({said})' if said else ''}",
            status_code=status,
            hint="redirects are not followed" if 300 <= status < 400 else None,
        )
