"""What can be read of files and streams, blocking and awaiting."""

from __future__ import annotations

import errno
import json
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from requence._client import Client, checked_client
from requence._references import Referring
from requence._transport.blocking import block
from requence._transport.io_thread import io_thread
from requence.exceptions import ConfigurationError
from requence.files.media_type import charset_of

if TYPE_CHECKING:
    from requence._transport.download import Download

__all__ = ["AsyncContent", "Content", "downloaded", "downloaded_async"]


class Content(Referring, ABC):
    """Bytes with a media type: the part that `RequenceFile` and `RequenceStream` share.

    Nothing is transferred before something here is called; each call reads from the beginning. These calls block;
    `content.aio` has the same to be awaited.
    """

    __slots__ = ("__weakref__", "_mime")

    def __init__(self, mime: str) -> None:
        self._mime = mime

    @property
    def mime_type(self) -> str:
        """The media type, such as `text/plain; charset=utf-8`."""
        return self._mime

    @property
    def main_mime_type(self) -> str:
        """What is before the slash of the media type: `text`."""
        return self._mime.partition("/")[0]

    @property
    def sub_mime_type(self) -> str:
        """What is behind the slash of the media type: `plain`."""
        return self._mime.partition("/")[2].partition(";")[0].strip()

    @property
    def aio(self) -> AsyncContent:
        """The same, to be awaited."""
        return AsyncContent(self)

    def iter_bytes(self) -> Generator[bytes]:
        """Yields the content in pieces, as they come: never more than a piece is in memory.

        Leaving it early ends the transfer once it is closed, or collected. Iterating may raise what follows.

        Raises:
            FileUnavailableError: The service does not give it.
            RequenceStreamTruncatedError: The sender of a stream broke off.
            RequenceUnreachableException: The service cannot be reached, or the connection broke.
        """
        return self._pieces()

    def read(self) -> bytes:
        """Returns the whole content. Raises like `iter_bytes`."""
        return b"".join(self.iter_bytes())

    def text(self, encoding: str | None = None) -> str:
        """Returns the content as text; in the character set of the media type, or else UTF-8, if none is given.

        Raises:
            UnicodeDecodeError: It is no text of this encoding. And what `iter_bytes` raises.
        """
        return self._as_text(self.read(), encoding)

    def json(self) -> Any:
        """Returns what the content says as JSON.

        Raises:
            ValueError: It is no JSON. And what `iter_bytes` raises.
        """
        return json.loads(self.read())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the content to a file, which is there only once it is whole; an older one is replaced.

        The new one has the permissions of the older one; where the path is a link, it goes on to lead there.

        Args:
            path: The file, in a folder that exists.

        Returns:
            Its path.

        Raises:
            ConfigurationError: The path names a folder, or what is no file, such as a device.
            OSError: It cannot be written. And what `iter_bytes` raises.
        """
        with _written(path) as (target, file):
            for piece in self.iter_bytes():
                file.write(piece)
        return target

    # The names of the published SDK.

    def blob(self) -> bytes:
        """The same as `read`."""
        return self.read()

    def array_buffer(self) -> bytearray:
        """Returns the whole content, to be changed. Raises like `iter_bytes`."""
        return bytearray(self.read())

    def iterable(self) -> Generator[bytes]:
        """The same as `iter_bytes`."""
        return self.iter_bytes()

    @abstractmethod
    def _pieces(self) -> Generator[bytes]:
        """Yields the content, blocking."""

    @abstractmethod
    def _pieces_async(self) -> AsyncGenerator[bytes]:
        """Yields the content in the running loop."""

    def _as_text(self, content: bytes, encoding: str | None) -> str:
        return content.decode(encoding or charset_of(self._mime) or "utf-8")


class AsyncContent:
    """The awaitable face of a `Content`: the same names, the same errors."""

    __slots__ = ("_content",)

    def __init__(self, content: Content) -> None:
        self._content = content

    def iter_bytes(self) -> AsyncGenerator[bytes]:
        """Yields the content in pieces, for `async for`. As `iter_bytes` of the blocking face."""
        return self._content._pieces_async()  # noqa: SLF001 (two faces of one thing)

    async def read(self) -> bytes:
        """Returns the whole content."""
        return b"".join([piece async for piece in self.iter_bytes()])

    async def text(self, encoding: str | None = None) -> str:
        """Returns the content as text. As `text` of the blocking face."""
        return self._content._as_text(await self.read(), encoding)  # noqa: SLF001

    async def json(self) -> Any:
        """Returns what the content says as JSON."""
        return json.loads(await self.read())

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the content to a file. As `save` of the blocking face."""
        import asyncio  # here, since importing this package does not wait for it

        with _written(path) as (target, file):
            async with aclosing(self._content._pieces_async()) as pieces:  # noqa: SLF001
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece)
        return target

    def __repr__(self) -> str:
        return f"<{self._content!r}, to be awaited>"


def downloaded(
    client: Client | None, begin: Callable[[Client], Download], *, instead: str
) -> Generator[bytes]:
    """Yields what a download brings, blocking.

    Args:
        client: How to get there; None for the default client.
        begin: Makes the download, on the I/O thread.
        instead: How to write the same without blocking a running event loop.
    """
    io, reading = io_thread(), _Reading(checked_client(client), begin)
    with closing(reading):
        while piece := block(io, reading.read, instead=instead):
            yield piece


async def downloaded_async(
    client: Client | None, begin: Callable[[Client], Download]
) -> AsyncGenerator[bytes]:
    """Yields what a download brings, in the running loop; arguments as for `downloaded`."""
    io, reading = io_thread(), _Reading(checked_client(client), begin)
    with closing(reading):
        while piece := await io.run_async(reading.read):
            yield piece


class _Reading:
    """A download that is begun on the I/O thread, and ended from wherever its reader is."""

    def __init__(self, client: Client, begin: Callable[[Client], Download]) -> None:
        self._io = io_thread()
        self._client = client
        self._begin = begin
        self._download: Download | None = None

    async def read(self) -> bytes:
        if self._download is None:
            self._download = self._begin(self._client)
        return await self._download.read()

    def close(self) -> None:
        if self._download is not None:
            self._io.call_soon(self._download.close)


@contextmanager
def _written(path: str | os.PathLike[str]) -> Generator[tuple[Path, BinaryIO]]:
    """Opens a file beside the target, which takes its place if all goes well."""
    target = Path(path)
    older = _mode_of(target)
    if older is not None and stat.S_ISDIR(older):
        raise ConfigurationError(f"{target} is a folder", hint="name the file in it")
    if older is not None and not stat.S_ISREG(older):  # it would be replaced by a file: /dev/null, say
        raise ConfigurationError(f"{target} is no file", hint="write what iter_bytes() gives to it")
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no such folder", str(target.parent))
    whole = Path(os.path.realpath(target)) if target.is_symlink() else target
    # A short name: the target's may be as long as one can be.
    part = whole.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with part.open("xb") as file:
            if older is not None:
                part.chmod(stat.S_IMODE(older))
            yield target, file
        os.replace(part, whole)
    except BaseException:
        with suppress(FileNotFoundError):
            part.unlink()
        raise


def _mode_of(path: Path) -> int | None:
    """Returns what is at a path, and who may do what with it; None if nothing is there."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
