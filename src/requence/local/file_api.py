"""The HTTP operations on files and streams. Their URLs are capabilities: no token is wanted, or looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from requence.local.answers import discarded, json_answer, segment, text, too_large
from requence.local.connection import hang_up
from requence.local.contract import path
from requence.local.files import BrokenOffError, Files, Stored, TooLargeError
from requence.local.refusals import InvalidRequestError, NotNowError, UnknownKeyError

__all__ = ["FileApi"]

_PAUSE_SECONDS = 15.0
_MIME_CHARACTERS = 255
_LIMIT_DIGITS = 18
_PROTOCOL = "x-requence-stream-protocol"
_FRAMED = "framed"
_DATA, _END, _TRUNCATED = 0, 1, 2

# Contents may be anything, and their media type is what the sender says: a browser shall not run them as a page of
# this server.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}


class FileApi:
    """Uploads and downloads.

    Args:
        files: Where the contents are kept.
        takes_files: Says whether the input of a task may still be uploaded.
    """

    def __init__(self, files: Files, takes_files: Callable[[str], bool]) -> None:
        self._files = files
        self._keys = files.keys
        self._takes_files = takes_files

    def urls(self, base: str, task_id: str) -> dict[str, str]:
        """Returns where the files and streams of a task's input go to."""
        return {
            "uploadUrl": base + path("upload_file", key=self._keys.make("upload", task_id)),
            "streamUrl": base + path("register_stream", key=self._keys.make("register", task_id)),
        }

    async def upload(self, request: Request, base: str) -> Response:
        """Keeps a file, or the value behind a claim check."""
        task_id = self._task(request, "upload")
        limit = self._files.capped(_cap(request))
        mime = _mime(request)
        chunks = request.stream()
        if _announced(request) > limit:
            await discarded(chunks)
            return too_large("The content", limit)
        try:
            file_id, size = await self._files.store(
                task_id, mime, limit, chunks, is_wanted=lambda: self._takes_files(task_id)
            )
        except TooLargeError:
            await discarded(chunks)
            return too_large("The content", limit)
        except OSError as error:
            raise NotNowError(f"The content cannot be kept: {error.strerror}") from error
        url = base + path("download_file", key=self._keys.make("files", file_id))
        return json_answer({"url": url, "mime": mime, "size": size})

    async def download(self, request: Request) -> Response:
        """Gives the content of a file back."""
        file = self._opened(request, "files")
        if file.size is None or not self._files.is_whole(file.id):
            raise UnknownKeyError("There is nothing here")
        headers = {**_HEADERS, "Content-Type": file.mime, "Content-Length": str(file.size)}
        return StreamingResponse(self._files.read(file), headers=headers)

    async def register(self, request: Request, base: str) -> Response:
        """Announces a stream."""
        task_id = self._task(request, "register")
        mime = _mime(request)
        stream_id = self._files.register(task_id, mime, self._files.capped(_cap(request)))
        url = base + path("send_stream", key=self._keys.make("streams", stream_id))
        return json_answer({"url": url, "mime": mime})

    async def send(self, request: Request) -> Response:
        """Takes the bytes of a stream."""
        stream = self._opened(request, "streams")
        chunks = request.stream()
        try:
            await self._files.receive(stream, chunks)
        except TooLargeError:
            await discarded(chunks)
            return too_large("The stream", stream.limit)
        except OSError as error:
            raise NotNowError(f"The bytes cannot be kept: {error.strerror}") from error
        return text(200, "")

    async def follow(self, request: Request) -> Response:
        """Gives the bytes of a stream, in frames if that is asked for, also while they are still arriving."""
        stream = self._opened(request, "streams")
        headers = {**_HEADERS, "Content-Type": stream.mime}
        if request.headers.get(_PROTOCOL) == _FRAMED:
            return StreamingResponse(self._framed(stream), headers={**headers, _PROTOCOL: _FRAMED})
        return StreamingResponse(self._plain(request, stream), headers=headers)

    async def _framed(self, stream: Stored) -> AsyncIterator[bytes]:
        try:
            async with aclosing(self._files.follow(stream.id, _PAUSE_SECONDS)) as chunks:
                async for chunk in chunks:
                    yield _frame(_DATA, chunk)
        except BrokenOffError as error:
            yield _frame(_TRUNCATED, str(error).encode())
        else:
            yield _frame(_END, b"")

    async def _plain(self, request: Request, stream: Stored) -> AsyncIterator[bytes]:
        try:
            async with aclosing(self._files.follow(stream.id, _PAUSE_SECONDS)) as chunks:
                async for chunk in chunks:
                    if chunk:
                        yield chunk
        except BrokenOffError:
            await hang_up(request)  # plain bytes have no other way to say that they are not all

    def _task(self, request: Request, purpose: str) -> str:
        task_id = self._keys.opened(purpose, segment(request, "key"))
        if task_id is None or not self._takes_files(task_id):
            raise UnknownKeyError("There is nothing here")
        return task_id

    def _opened(self, request: Request, purpose: str) -> Stored:
        file_id = self._keys.opened(purpose, segment(request, "key"))
        if file_id is None:
            raise UnknownKeyError("There is nothing here")
        return self._files.find(file_id)


def _frame(kind: int, payload: bytes) -> bytes:
    return bytes([kind]) + len(payload).to_bytes(4, "big") + payload


def _mime(request: Request) -> str:
    return request.headers.get("content-type", "")[:_MIME_CHARACTERS].rstrip() or "application/octet-stream"


def _cap(request: Request) -> int | None:
    given = request.headers.get("file-size")
    if given is None:
        return None
    # Not `isdigit`, which is also true of digits that `int` does not take.
    if not given.isdecimal() or not given.isascii():
        raise InvalidRequestError("file-size: must be a whole number of bytes, the cap for the content")
    digits = given.lstrip("0") or "0"
    return int(digits) if len(digits) <= _LIMIT_DIGITS else None  # a cap above any limit is none


def _announced(request: Request) -> int:
    """The size that the request announces; 0 if it does not."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0
