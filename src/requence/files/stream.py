"""`RequenceStream`: bytes that are sent while they are made, or a stream that a task refers to."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable, Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from requence._brief import word
from requence._client import Client
from requence._references import reference_of
from requence.exceptions import ConfigurationError, UsageError
from requence.files.content import Content, downloaded, downloaded_async
from requence.files.media_type import check_media_type
from requence.files.stall import STREAM_STALL_VARIABLE, longest_silence

if TYPE_CHECKING:
    from requence._transport.download import Download

__all__ = ["Chunks", "RequenceStream", "checked_chunk"]

Chunks: TypeAlias = Iterable[bytes] | AsyncIterable[bytes]
"""What a stream is made of: bytes in pieces of any size."""

_PIECE = 64 * 1024


class RequenceStream(Content):
    """A stream of bytes: one of your own, to stand in a task's input, or one out of a task's data, to be read.

    ```python
    rows = (row.encode() for row in table)
    Task("archive", {"table": RequenceStream(rows, mime="text/csv")}).sync.finalized()
    ```

    One of your own is sent as it is made, before the task is started, from a buffer that takes 1 MiB; it can be
    used once. One out of data is transferred when it is read, also while its sender still writes it.
    """

    __slots__ = ("_client", "_data", "_lock", "_reference")

    _data: Chunks | None
    _reference: dict[str, Any] | None
    _client: Client | None

    def __init__(
        self, data: Chunks, options: Mapping[str, str] | None = None, *, mime: str | None = None
    ) -> None:
        """Makes a stream of your own.

        Args:
            data: What gives the bytes: an iterable, such as a generator or a binary file (read on a thread of its
                own), or an asynchronous one, also such as `asyncio.StreamReader` (read on the loop that is running
                when the task is made).
            options: The published form of the media type: `{"type": mime}`.
            mime: The media type. Default: `application/octet-stream`.

        Raises:
            ConfigurationError: An argument is not usable.
        """
        self._reference = self._client = None
        self._lock = threading.Lock()
        self._data = _pieces_of(data)
        super().__init__(check_media_type(mime, options, "application/octet-stream"))

    @classmethod
    def _referred(cls, reference: dict[str, Any], client: Client | None) -> RequenceStream:
        """Returns the stream that a reference stands for."""
        stream = cls.__new__(cls)
        cls._refer(stream, reference, client)
        return stream

    def _refer(self, reference: dict[str, Any], client: Client | None) -> None:
        super().__init__(reference["mime"])
        self._lock = threading.Lock()
        self._data, self._reference, self._client = None, reference, client

    @property
    def stream_object(self) -> dict[str, Any] | None:
        """The reference that stands for it in data, a copy; None for one of your own.

        It has the URL of the content, which opens it for everybody.
        """
        return reference_of(self)

    def _referred_to_by(self) -> dict[str, Any] | None:
        return self._reference

    def take(self) -> Chunks:
        """Returns what gives the bytes, once.

        Raises:
            UsageError: It was taken already.
        """
        with self._lock:
            data, self._data = self._data, None
        if data is None:
            raise UsageError("This RequenceStream was used already", hint="make a new one for each use")
        return data

    def _pieces(self) -> Generator[bytes]:
        if self._reference is not None:
            yield from downloaded(self._client, self._download, instead="await stream.aio.read()")
            return
        data = self.take()
        if isinstance(data, AsyncIterable):
            raise UsageError(
                "This RequenceStream is made of an asynchronous iterable", hint="read it with stream.aio"
            )
        for piece in data:
            yield checked_chunk(piece)

    async def _pieces_async(self) -> AsyncGenerator[bytes]:
        if self._reference is not None:
            async for piece in downloaded_async(self._client, self._download):
                yield piece
            return
        data = self.take()
        if isinstance(data, AsyncIterable):
            async for piece in data:
                yield checked_chunk(piece)
            return
        import asyncio  # here, since importing this package does not wait for it

        pieces, end = iter(data), object()

        def following() -> object:
            return next(pieces, end)

        while (chunk := await asyncio.to_thread(following)) is not end:
            yield checked_chunk(chunk)

    def _download(self, client: Client) -> Download:
        from requence._transport.download import Download  # on the I/O thread: it imports the HTTP libraries

        reference = self._reference or {}
        return Download(
            reference["url"],
            client,
            what=f"the stream ({self._mime})",
            stall=longest_silence(STREAM_STALL_VARIABLE, os.environ),
            framed=True,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if self._reference is None:
            raise UsageError("A RequenceStream of your own cannot be pickled: its bytes are there only once")
        return _referred, (self._reference,)

    def __copy__(self) -> RequenceStream:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> RequenceStream:
        return self

    def __repr__(self) -> str:
        return f"<RequenceStream, {word(self._mime)}>"


def _referred(reference: dict[str, Any]) -> RequenceStream:
    return RequenceStream._referred(reference, None)  # noqa: SLF001 (the rest of unpickling)


def _pieces_of(data: object) -> Chunks:
    """Returns what gives the bytes; a binary file in pieces of a useful size, and not line by line.

    Of one that is read asynchronously lines would also be limited in length, which fails for what has none.
    """
    if isinstance(data, str | bytes | bytearray | memoryview):
        raise ConfigurationError(
            "A RequenceStream is made of an iterable of bytes", hint="send what is complete as a RequenceFile"
        )
    read: object = getattr(data, "read", None)
    if callable(read) and iscoroutinefunction(read):
        return _pieces_read_by(cast("Callable[[int], Awaitable[bytes]]", read))
    if callable(read) and not hasattr(data, "__aiter__"):
        return iter(lambda: cast("bytes", read(_PIECE)), b"")
    if not isinstance(data, Iterable | AsyncIterable):
        raise ConfigurationError(
            f"A RequenceStream is made of an iterable of bytes, not of {type(data).__name__}",
            hint="call the generator function" if callable(data) else None,
        )
    return cast("Chunks", data)


async def _pieces_read_by(read: Callable[[int], Awaitable[bytes]]) -> AsyncGenerator[bytes]:
    while piece := await read(_PIECE):
        yield piece


def checked_chunk(chunk: object) -> bytes:
    """Returns a chunk that the caller's own iterable gave, as bytes.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(chunk, str):
        raise TypeError("a chunk is text: encode it")
    if not isinstance(chunk, bytes | bytearray | memoryview):
        raise TypeError(f"a chunk is a {type(chunk).__name__}, not bytes")
    return bytes(cast("bytes", chunk))
