"""`RequenceFile`: a file to be sent with a task's input, or one that a task refers to."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncGenerator, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from requence._brief import word
from requence._client import Client
from requence._references import reference_of
from requence.exceptions import ConfigurationError
from requence.files.content import Content, downloaded, downloaded_async
from requence.files.media_type import check_media_type, media_type_by_name
from requence.files.stall import FILE_STALL_VARIABLE, longest_silence

if TYPE_CHECKING:
    from requence._transport.download import Download

__all__ = ["RequenceFile"]

_PIECE = 256 * 1024


class RequenceFile(Content):
    """A file: one of your own, to stand in a task's input, or one out of a task's data, to be read.

    ```python
    task = Task("digest", {"report": RequenceFile(Path("report.pdf"))})
    task.sync.result.get_node_data("cover").save("cover.png")
    ```

    One of your own is uploaded when the task is started, and once for each task. One out of data (`result.result`,
    node data, an update's `data`) is transferred only when it is read; it can stand in the input of another task,
    which is then given the reference.
    """

    __slots__ = ("_client", "_data", "_path", "_reference")

    _data: bytes | None
    _path: Path | None
    _reference: dict[str, Any] | None
    _client: Client | None

    def __init__(
        self,
        data: bytes | bytearray | memoryview | os.PathLike[str],
        options: Mapping[str, str] | None = None,
        *,
        mime: str | None = None,
    ) -> None:
        """Makes a file of your own.

        Args:
            data: Its content (copied, if it can change), or its path: then it is read when the task is started.
            options: The published form of the media type: `{"type": mime}`.
            mime: The media type. Default: by the path's suffix, else `application/octet-stream`.

        Raises:
            ConfigurationError: There is no such file, or an argument is not usable.
        """
        self._data = self._path = self._reference = self._client = None
        if isinstance(data, bytes | bytearray | memoryview):
            self._data, guessed = bytes(data), None
        elif isinstance(data, os.PathLike):
            self._path = Path(data)
            guessed = media_type_by_name(self._path.name)
            _check_readable(self._path)
        else:
            raise ConfigurationError(
                f"A RequenceFile is made of bytes or a path, not of {type(data).__name__}", hint=_hint(data)
            )
        super().__init__(check_media_type(mime, options, guessed or "application/octet-stream"))

    @classmethod
    def _referred(cls, reference: dict[str, Any], client: Client | None) -> RequenceFile:
        """Returns the file that a reference stands for."""
        file = cls.__new__(cls)
        cls._refer(file, reference, client)
        return file

    def _refer(self, reference: dict[str, Any], client: Client | None) -> None:
        super().__init__(reference["mime"])
        self._data = self._path = None
        self._reference, self._client = reference, client

    @property
    def size(self) -> int:
        """Its size in bytes.

        Raises:
            ConfigurationError: It is a path, and there is no file any more.
        """
        if self._reference is not None:
            size: int = self._reference["size"]
            return size
        return len(self._data) if self._path is None and self._data is not None else _size_of(self._path)

    @property
    def file_object(self) -> dict[str, Any] | None:
        """The reference that stands for it in data, a copy; None for one of your own.

        It has the URL of the content, which opens it for everybody.
        """
        return reference_of(self)

    def _referred_to_by(self) -> dict[str, Any] | None:
        return self._reference

    def _pieces(self) -> Generator[bytes]:
        if self._reference is not None:
            yield from downloaded(self._client, self._download, instead="await file.aio.read()")
        elif self._data is not None:
            for at in range(0, len(self._data), _PIECE):
                yield self._data[at : at + _PIECE]
        elif self._path is not None:
            with self._path.open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece

    async def _pieces_async(self) -> AsyncGenerator[bytes]:
        if self._reference is not None:
            async for piece in downloaded_async(self._client, self._download):
                yield piece
        elif self._data is not None:
            for at in range(0, len(self._data), _PIECE):
                yield self._data[at : at + _PIECE]
        elif self._path is not None:
            import asyncio  # here, since importing this package does not wait for it

            with await asyncio.to_thread(self._path.open, "rb") as file:
                while piece := await asyncio.to_thread(file.read, _PIECE):
                    yield piece

    def _download(self, client: Client) -> Download:
        from requence._transport.download import Download  # on the I/O thread: it imports the HTTP libraries

        reference = self._reference or {}
        return Download(
            reference["url"],
            client,
            what=f"the file ({self._mime}, {self.size} bytes)",
            stall=longest_silence(FILE_STALL_VARIABLE, os.environ),
            size=self.size,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if self._reference is not None:
            return _referred, (self._reference,)
        return _own, (self._data if self._path is None else self._path, self._mime)

    def __copy__(self) -> RequenceFile:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> RequenceFile:
        return self

    def __repr__(self) -> str:
        if self._path is not None:
            path = str(self._path) if len(str(self._path)) <= 100 else f"…/{self._path.name}"
            return f"<RequenceFile {word(path, 100)}, {word(self._mime)}>"
        return f"<RequenceFile of {self.size} bytes, {word(self._mime)}>"


def _referred(reference: dict[str, Any]) -> RequenceFile:
    return RequenceFile._referred(reference, None)  # noqa: SLF001 (the rest of unpickling)


def _own(data: bytes | Path, mime: str) -> RequenceFile:
    return RequenceFile(data, mime=mime)


def _size_of(path: Path | None) -> int:
    try:
        return os.stat(path or "").st_size
    except OSError as error:
        raise ConfigurationError(f"The file {path} cannot be read: {error.strerror}") from None


def _check_readable(path: Path) -> None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(
                f"{path} is no file", hint="what has no size, such as a pipe, can be sent as a RequenceStream"
            )
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(f"The file {path} cannot be read: {reason}") from None


def _hint(data: object) -> str:
    if isinstance(data, str):
        return "give Path('…') for a path, or '…'.encode() for a text"
    if hasattr(data, "read") or hasattr(data, "__iter__") or hasattr(data, "__aiter__"):
        return "give its content or its path, or send a RequenceStream"
    return "give its content as bytes, or Path('…')"
