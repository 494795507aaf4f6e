"""Files and streams of tasks: their contents as files of the system, what is known about them in the database.

Contents never lie in memory as a whole. One that is still arriving has the suffix `.part`; it loses that once it
is complete, so whatever lies there without the suffix is whole. Except for `opened`, everything here runs on the
server's event loop; writing a chunk there takes microseconds, since nothing waits for the disk. What is known
about contents is committed with everything else, before an answer tells of it.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from requence.exceptions import ConfigurationError, UsageError
from requence.local.database import Writer
from requence.local.keys import Keys
from requence.local.refusals import UnknownKeyError

__all__ = ["AlreadySentError", "BrokenOffError", "Files", "Stored", "TooLargeError"]

_CHUNK_BYTES = 64 * 1024
_OURS = re.compile("[0-9a-f]{32}")


class TooLargeError(Exception):
    """A content is over its limit, which is `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The content is larger than {limit} bytes")
        self.limit = limit


class AlreadySentError(Exception):
    """The bytes of this stream have been sent, or are being sent."""


class BrokenOffError(Exception):
    """The bytes of a stream ended early; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known about a file or stream.

    Attributes:
        id: Its name in the folder.
        mime: Its media type.
        limit: How many bytes it may have.
        size: How many it has; None for a stream that is not complete.
        broken: Why a stream broke off; None if it did not.
    """

    id: str
    mime: str
    limit: int
    size: int | None
    broken: str | None


class Files:
    """The files and streams of one server.

    Args:
        db: The database, which has the table `files`.
        writer: Who writes to it.
        folder: Where contents lie; None for a temporary folder that goes with this object.
        keys: Who makes the keys of URLs.
        limit: The largest content in bytes.

    Raises:
        ConfigurationError: There is something else in the place of the folder.
    """

    def __init__(
        self, db: sqlite3.Connection, writer: Writer, folder: Path | None, keys: Keys, limit: int
    ) -> None:
        self._db = db
        self._writer = writer
        self._permanent = folder
        self._folder = folder
        self.keys = keys
        self._limit = limit
        # One for each stream that is waited for; each rings once.
        self._bells: dict[str, asyncio.Event] = {}
        self._arriving: set[str] = set()
        self._closed = False
        if folder is not None and folder.exists() and not folder.is_dir():
            raise ConfigurationError(
                f"{folder} is no folder, but the files of tasks are kept there",
                hint="move it away, or serve another db",
            )
        self._recover()

    def stop(self) -> None:
        """Ends all following; on the server's event loop."""
        self._closed = True
        for bell in self._bells.values():
            bell.set()

    def close(self) -> None:
        """Removes the temporary folder, if there is one."""
        if self._permanent is None and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def capped(self, asked: int | None) -> int:
        """Returns the limit for a content whose sender asks for a limit of its own."""
        return self._limit if asked is None else min(asked, self._limit)

    async def store(
        self,
        task_id: str,
        mime: str,
        limit: int,
        chunks: AsyncIterator[bytes],
        *,
        is_wanted: Callable[[], bool],
    ) -> tuple[str, int]:
        """Keeps a file of a task; returns its id and size. If it cannot be kept, nothing is left of it.

        Args:
            task_id: The task.
            mime: The media type.
            limit: How many bytes it may have.
            chunks: The content as it arrives.
            is_wanted: Whether the task still takes files, now that all has arrived.

        Raises:
            TooLargeError: It is over the limit.
            UnknownKeyError: It is not wanted any more.
        """
        file_id = uuid.uuid4().hex
        part = self._part(file_id)
        try:
            size = await self._written(file_id, limit, chunks)
            if not is_wanted():
                raise UnknownKeyError("There is nothing here")
            part.rename(self._content(file_id))
            self._insert(file_id, task_id, mime, limit, size)
        except BaseException:
            part.unlink(missing_ok=True)
            self._content(file_id).unlink(missing_ok=True)
            raise
        return file_id, size

    def register(self, task_id: str, mime: str, limit: int) -> str:
        """Announces a stream of a task; returns its id."""
        stream_id = uuid.uuid4().hex
        self._insert(stream_id, task_id, mime, limit, None)
        return stream_id

    async def receive(self, stream: Stored, chunks: AsyncIterator[bytes]) -> None:
        """Keeps the bytes of a stream as they come, for those who follow it.

        Raises:
            AlreadySentError: They have been sent, or are being sent.
            TooLargeError: They are over the limit; the stream has broken off.
            UnknownKeyError: The stream was removed meanwhile, with its task.
            sqlite3.Error: How it ended could not be written down; the bytes may be sent again.
        """
        if stream.size is not None or stream.broken is not None or stream.id in self._arriving:
            raise AlreadySentError("The bytes of this stream have been sent already")
        broken: str | None = "The sender broke off"
        size = None
        self._arriving.add(stream.id)
        try:
            # What is there is of an attempt whose end could not be written down.
            self._part(stream.id).unlink(missing_ok=True)
            size = await self._written(stream.id, stream.limit, chunks)
            self.find(stream.id)
            broken = None
        except (TooLargeError, OSError) as error:
            broken = str(error)
            raise
        finally:
            self._arriving.discard(stream.id)
            if broken is None:
                self._part(stream.id).rename(self._content(stream.id))
            with suppress(sqlite3.ProgrammingError):  # the server has closed its database meanwhile
                self._writer.execute(
                    "UPDATE files SET size = ?, broken = ? WHERE id = ?", (size, broken, stream.id)
                )
            self._ring(stream.id)

    def find(self, file_id: str) -> Stored:
        """Returns what is known about a file or stream.

        Raises:
            UnknownKeyError: There is none of this id.
        """
        row = self._db.execute(
            "SELECT id, mime, max_size, size, broken FROM files WHERE id = ?", (file_id,)
        ).fetchone()
        if row is None:
            raise UnknownKeyError("There is nothing here")
        return Stored(*row)

    async def follow(self, stream_id: str, pause: float) -> AsyncGenerator[bytes]:
        """Yields the bytes of a stream as they come; an empty chunk is a sign of life after `pause` seconds.

        Raises:
            BrokenOffError: The sender broke off.
        """
        offset = 0
        while True:
            stream = self._followed(stream_id)
            sent_all = stream.size is not None or stream.broken is not None
            path = self._content(stream_id) if stream.size is not None else self._part(stream_id)
            if stream.size is not None and not path.exists():
                raise BrokenOffError("The content of the stream is not here any more")
            if path.exists():
                with path.open("rb") as content:
                    content.seek(offset)
                    while chunk := content.read(_CHUNK_BYTES):
                        offset += len(chunk)
                        yield chunk
            if stream.broken is not None:
                raise BrokenOffError(stream.broken)
            if sent_all:
                return
            if self._closed:
                raise BrokenOffError("The server stops")
            # The end may have come while the reader took its time. No await lies between the last read and the
            # bell, so no bytes can slip in unnoticed.
            if self._followed(stream_id) == stream:
                bell = self._bells.setdefault(stream_id, asyncio.Event())
                try:
                    async with asyncio.timeout(pause):
                        await bell.wait()
                except TimeoutError:
                    yield b""

    def _followed(self, stream_id: str) -> Stored:
        try:
            return self.find(stream_id)
        except UnknownKeyError:
            raise BrokenOffError("The stream was removed with its task") from None

    async def read(self, file: Stored) -> AsyncIterator[bytes]:
        """Yields the content of a file."""
        with self._content(file.id).open("rb") as content:
            while chunk := content.read(_CHUNK_BYTES):
                yield chunk

    def is_whole(self, file_id: str) -> bool:
        """Returns whether the whole content is there."""
        return self._folder is not None and self._content(file_id).is_file()

    def opened(self, reference: object) -> BinaryIO:
        """Opens the content that a reference stands for. May be called from any thread.

        Raises:
            UsageError: It is no reference to a file or stream of this server, or its content is not complete.
        """
        url = reference
        if isinstance(reference, Mapping):
            url = cast("Mapping[object, object]", reference).get("url")
        if not isinstance(url, str):
            raise UsageError("This is neither a reference to a file nor the URL of one")
        file_id = self.named_by(url)
        if file_id is None or self._folder is None:
            raise UsageError("This does not refer to a file of this server")
        try:
            return self._content(file_id).open("rb")
        except FileNotFoundError:
            raise UsageError("The content of this file or stream is not here, or not complete") from None

    def named_by(self, url: str) -> str | None:
        """Returns the id of the file or stream that a URL of this server names."""
        # Under which of its addresses the server was asked makes no difference: the key proves that it is ours.
        try:
            path = urlsplit(url).path.split("/")
        except ValueError:
            return None
        if len(path) < 3 or path[-2] not in ("files", "streams"):
            return None
        return self.keys.opened(path[-2], path[-1])

    async def _written(self, file_id: str, limit: int, chunks: AsyncIterator[bytes]) -> int:
        size = 0
        with self._part(file_id).open("xb", buffering=0) as content:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise TooLargeError(limit)
                rest = memoryview(chunk)
                while rest:  # a disk that is almost full takes a part; the next write then fails
                    rest = rest[content.write(rest) :]
                self._ring(file_id)
        return size

    def _ring(self, stream_id: str) -> None:
        if bell := self._bells.pop(stream_id, None):
            bell.set()

    def _insert(self, file_id: str, task_id: str, mime: str, limit: int, size: int | None) -> None:
        self._writer.execute(
            "INSERT INTO files (id, task_id, mime, max_size, size) VALUES (?, ?, ?, ?, ?)",
            (file_id, task_id, mime, limit, size),
        )

    def _recover(self) -> None:
        """Deals with what an earlier server on the same file has left half done, and with what is not needed."""
        self._writer.execute("DELETE FROM files WHERE task_id NOT IN (SELECT id FROM tasks)")
        known = {row[0]: row[1] for row in self._db.execute("SELECT id, size FROM files")}
        for path in self._folder.iterdir() if self._folder is not None and self._folder.exists() else ():
            file_id = path.name.removesuffix(".part")
            if not _OURS.fullmatch(file_id) or not path.is_file():
                continue  # whatever else somebody keeps there
            if file_id not in known:
                path.unlink(missing_ok=True)
            elif known[file_id] is None:
                # Whether the last bytes of it were sent is not known, even if it seems complete.
                path.rename(self._part(file_id))
                self._writer.execute(
                    "UPDATE files SET broken = ? WHERE id = ?", ("The server stopped meanwhile", file_id)
                )

    def forget(self, task_ids: Sequence[str]) -> list[str]:
        """Forgets the files and streams of tasks; returns what is to be discarded once that is committed."""
        gone: list[str] = []
        for task_id in task_ids:
            rows = self._db.execute("SELECT id FROM files WHERE task_id = ?", (task_id,)).fetchall()
            gone.extend(file_id for (file_id,) in rows)
        self._writer.execute_many("DELETE FROM files WHERE id = ?", [(file_id,) for file_id in gone])
        return gone

    def discard(self, file_ids: Sequence[str]) -> None:
        """Removes contents that are forgotten; who follows them is told."""
        for file_id in file_ids:
            with suppress(OSError):  # what cannot be removed now is removed at the next start
                self._content(file_id).unlink(missing_ok=True)
                self._part(file_id).unlink(missing_ok=True)
            self._ring(file_id)

    def _content(self, file_id: str) -> Path:
        if self._folder is None:
            self._folder = Path(mkdtemp(prefix="requence-local-"))
        elif not self._folder.exists():
            # Whoever can read it can read what tasks were given.
            self._folder.mkdir(mode=0o700)
        return self._folder / file_id

    def _part(self, file_id: str) -> Path:
        return self._content(file_id).with_suffix(".part")
