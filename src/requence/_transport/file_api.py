"""The seam to the generated client for files and streams: uploads, and the requests for downloads.

Their URLs are capabilities, given by the service or found in data: the access token is never sent there, and they
are not shown in errors or logs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import msgspec

from requence._client import Client
from requence._transport.answers import http_scheme, optional_text, parsed, required_text
from requence._transport.framing import FRAMED
from requence._transport.refusals import readable
from requence._transport.repeat import pause, repeated, unreachable, wanted_pause
from requence._transport.retry import is_gateway_status, is_transient
from requence._transport.session import Answer, LostConnectionError, Request, session
from requence.exceptions import (
    FileUnavailableError,
    RequenceUnreachableException,
    TaskException,
    TaskRefusedError,
)
from requence_api.api.files import download_file, download_stream, register_stream, send_stream, upload_file
from requence_api.models import RegisteredStream, UploadedFile
from requence_api.types import UNSET, File

__all__ = ["Body", "FileApi"]

_NONE = File(payload=BytesIO())  # the body is not sent by the generated code


@dataclass(frozen=True, slots=True)
class Body:
    """What is uploaded.

    Attributes:
        what: What to call it in errors, such as `input.report (application/pdf, 12 bytes)`.
        mime: Its media type.
        size: How many bytes it has; None for a stream.
        open: Gives its bytes, from the beginning.
        again: Whether it can be opened more than once.
    """

    what: str
    mime: str
    size: int | None
    open: Callable[[], AsyncGenerator[bytes]]
    again: bool


class FileApi:
    """The operations on files and streams. To be used on the I/O thread only."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def upload(self, url: str, body: Body, *, cap: int | None) -> dict[str, Any]:
        """Uploads a file, and returns the service's answer: the fields of its reference.

        Args:
            url: Where to.
            body: The file.
            cap: The largest size that the service takes, which is told to it; None if it has named none.

        Raises:
            TaskRefusedError: The service does not take it.
            RequenceUnreachableException: It could not be sent.
        """
        step = f"uploading {body.what}"
        kwargs = upload_file._get_kwargs("", body=_NONE, file_size=UNSET if cap is None else cap)
        answer = await self._send(step, _request(kwargs, url, body.mime), body)
        made = parsed(step, answer.status, answer.body, UploadedFile.from_dict)
        required_text(step, "url", made.url)
        if type(made.size) is not int or made.size < 0:
            raise TaskException(
                f"The service's answer to {step} is not understood: size is no number of bytes"
            )
        return {**made.to_dict(), "mime": optional_text(made.mime) or body.mime}

    async def upload_value(self, url: str, what: str, content: bytes) -> dict[str, Any]:
        """Uploads a value, as JSON; returns the fields of its claim check. Raises like `upload`."""

        async def chunks() -> AsyncGenerator[bytes]:
            yield content

        body = Body(what, "application/json", len(content), chunks, again=True)
        fields = await self.upload(url, body, cap=None)
        return {"url": fields["url"], "size": fields["size"]}

    async def register_stream(self, url: str, what: str, mime: str, *, cap: int | None) -> dict[str, Any]:
        """Announces a stream, and returns the service's answer: the fields of its reference.

        Raises:
            TaskRefusedError: The service does not take it.
            RequenceUnreachableException: It could not be reached.
        """
        step = f"announcing {what}"
        kwargs = register_stream._get_kwargs("", body=_NONE, file_size=UNSET if cap is None else cap)
        answer = await repeated(step, _request(kwargs, url, mime), self._client)
        _check(step, answer)
        made = parsed(step, answer.status, answer.body, RegisteredStream.from_dict)
        if http_scheme(required_text(step, "url", made.url)) is None:
            raise TaskException(
                f"The service's answer to {step} is not understood: url is not a usable http URL"
            )
        required_text(step, "mime", made.mime)
        return made.to_dict()

    async def send_stream(self, url: str, body: Body) -> None:
        """Sends the bytes of a stream to where it was announced. Never repeated: they are there only once.

        Raises:
            TaskRefusedError: The service does not take them.
            RequenceUnreachableException: They could not be sent.
        """
        step = f"sending {body.what}"
        await self._send(step, _request(send_stream._get_kwargs("", body=_NONE), url, body.mime), body)

    async def fetch_value(self, url: str) -> Any:
        """Downloads a value that was replaced by a claim check, and returns it: plain JSON.

        Raises:
            FileUnavailableError: The service does not give it, or gives no JSON.
            RequenceUnreachableException: The service cannot be reached.
        """
        what = "a value that was too large for an update"
        answer = await repeated("reading a value", download_file_request(url, what), self._client)
        if answer.status != 200:
            said = readable(answer.body)
            raise FileUnavailableError(
                f"{what} cannot be read: the service answered {answer.status}{f' ({said})' if said else ''}",
                status_code=answer.status,
            )
        try:
            return _decoded(answer.body)
        except (ValueError, RecursionError) as error:
            raise FileUnavailableError(f"{what} cannot be read: it is not JSON ({error})") from error

    async def _send(self, step: str, request: Request, body: Body) -> Answer:
        """Sends a content; one that is still there may be sent again."""
        retries = self._client.retries if body.again else 0
        repetition = 0
        while True:
            last, wanted = repetition >= retries, 0.0
            try:
                async with aclosing(body.open()) as chunks:
                    answer = await session().upload(request, chunks, body.size, self._client)
            except LostConnectionError as error:
                if last or error.lasting:
                    raise unreachable(error) from error.__cause__
            else:
                if last or not is_transient(answer.status):
                    _check(step, answer)
                    return answer
                wanted = wanted_pause(answer)
            repetition += 1
            await pause(step, repetition, retries, at_least=wanted)


def download_file_request(url: str, what: str) -> Request:
    """Returns the request for the content of a file.

    Raises:
        FileUnavailableError: This is no URL that it can be sent to.
    """
    return _download(download_file._get_kwargs(""), url, what)


def download_stream_request(url: str, what: str) -> Request:
    """Returns the request for the bytes of a stream, in frames if the service knows them; like the other."""
    return _download(download_stream._get_kwargs("", x_requence_stream_protocol=FRAMED), url, what)


def _download(kwargs: Mapping[str, Any], url: str, what: str) -> Request:
    if http_scheme(url) is None:
        raise FileUnavailableError(f"{what} cannot be read: its URL is not a usable http URL")
    # As they are: a compressed content would have another size, and a stream would come in blocks, late.
    headers = {**kwargs.get("headers", {}), "Accept-Encoding": "identity"}
    return Request(kwargs["method"].upper(), url, headers, is_capability=True)


def _request(kwargs: Mapping[str, Any], url: str, mime: str) -> Request:
    return Request(
        kwargs["method"].upper(), url, {**kwargs["headers"], "Content-Type": mime}, is_capability=True
    )


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(body)  # halves of surrogate pairs as well, as in events


def _check(step: str, answer: Answer) -> None:
    if 200 <= answer.status < 300:
        return
    said = f"The service answered {answer.status} to {step}"
    text = readable(answer.body)
    message = f"{said}: {text}" if text else said
    if is_gateway_status(answer.status):
        raise RequenceUnreachableException(message, status=answer.status)
    kind = TaskException if is_transient(answer.status) else TaskRefusedError
    hint = "redirects are not followed" if 300 <= answer.status < 400 else None
    raise kind(message, status_code=answer.status, hint=hint)
