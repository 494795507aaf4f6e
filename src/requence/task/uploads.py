"""What goes to the service between prepare and finalize: files, streams, and what is too large for the input."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing, contextmanager, nullcontext
from typing import Any, cast

import msgspec

from requence._json import as_list, as_object
from requence._references import MARKER, Referring
from requence._transport.api import Prepared
from requence._transport.file_api import Body, FileApi
from requence._transport.session import Request
from requence.exceptions import RequenceError, TaskException, TaskRefusedError
from requence.files.file import RequenceFile
from requence.files.pump import Pump
from requence.files.stream import RequenceStream
from requence.task.order import Order, Outgoing

__all__ = ["fitting_request", "with_uploads"]

_AT_ONCE = 4
_PIECE = 256 * 1024
_SMALL = 256  # bytes; what is not larger is not worth a claim check


async def with_uploads(order: Order, prepared: Prepared, files: FileApi) -> Any:
    """Uploads the files and streams of an input, each once, and returns the input with references to them.

    Raises:
        TaskRefusedError: One is larger than the service takes, or it takes none.
        TaskException: What gives the bytes has failed.
        RequenceUnreachableException: One could not be sent.
    """
    each_once = {id(outgoing.content): outgoing for outgoing in reversed(order.outgoing)}
    senders = {key: _sender(outgoing, order, prepared, files) for key, outgoing in each_once.items()}
    places = asyncio.Semaphore(_AT_ONCE)

    async def send(sender: Callable[[], Any], *, is_file: bool) -> dict[str, Any]:
        # Streams do not wait for each other: one may be made by what has to get rid of the bytes of another first.
        async with places if is_file else nullcontext():
            reference: dict[str, Any] = await sender()
            return reference

    try:
        async with asyncio.TaskGroup() as group:
            sent = {
                key: group.create_task(send(sender, is_file=isinstance(each_once[key].content, RequenceFile)))
                for key, sender in senders.items()
            }
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors.exceptions[0].__cause__
    return _filled(order.input, {key: task.result() for key, task in sent.items()})


async def fitting_request(
    build: Callable[[Any, Any], Request], name: str | None, input: Any, prepared: Prepared, files: FileApi
) -> Request:
    """Returns the request that starts a task; where it is too large, with claim checks for its largest values.

    Args:
        build: Makes it out of the task's name and input, or what stands for these.
        name: The task's name.
        input: Plain JSON.
        prepared: Says how large it may be.
        files: Uploads the values.
    """
    request, limit = build(name, input), prepared.max_payload_size
    if limit is None or prepared.upload_url is None or _size(request) <= limit:
        return request
    values = {"name": name, "input": input}
    encoded = {which: msgspec.json.encode(value) for which, value in values.items()}
    for which in sorted(values, key=lambda which: len(encoded[which]), reverse=True):
        if len(encoded[which]) <= _SMALL or _size(request) <= limit:
            break
        what = f"{which} ({len(encoded[which])} bytes of JSON)"
        claim = await files.upload_value(prepared.upload_url, what, encoded[which])
        values[which] = {**claim, MARKER: "ClaimCheck"}
        request = build(values["name"], values["input"])
    return request


def _size(request: Request) -> int:
    return len(request.body or b"")


def _sender(outgoing: Outgoing, order: Order, prepared: Prepared, files: FileApi) -> Callable[[], Any]:
    """Returns what sends a file or stream, and returns its reference; it has been checked by now.

    Raises:
        TaskRefusedError: The service does not take it.
    """
    content, where = outgoing.content, outgoing.where
    if isinstance(content, RequenceFile):
        if prepared.upload_url is None:
            raise TaskRefusedError(f"{where} is a file, but the service takes no files for this task")
        size = content.size
        body = _body_of(content, where, size)
        if prepared.max_file_size is not None and size > prepared.max_file_size:
            raise _too_large(body.what, prepared.max_file_size)
        return functools.partial(_send_file, prepared.upload_url, body, prepared, files)
    stream = cast("RequenceStream", content)
    if prepared.stream_url is None:
        raise TaskRefusedError(f"{where} is a stream, but the service takes no streams for this task")
    pump = (order.pumps or {})[id(content)]
    return functools.partial(
        _send_stream, prepared.stream_url, where, stream.mime_type, pump, prepared, files
    )


def _body_of(file: RequenceFile, where: str, size: int) -> Body:
    what = f"{where} ({file.mime_type}, {size} bytes)"

    async def pieces() -> AsyncGenerator[bytes]:
        sent = 0
        with _telling(f"the file {what}"):
            async with aclosing(file.aio.iter_bytes()) as read:
                async for piece in read:
                    sent += len(piece)
                    if sent > size:
                        break
                    yield piece
        if sent != size:
            raise TaskException(
                f"The file {what} has changed while it was sent: it has other than {size} bytes"
            )

    return Body(what, file.mime_type, size, pieces, again=True)


async def _send_file(url: str, body: Body, prepared: Prepared, files: FileApi) -> dict[str, Any]:
    fields = await files.upload(url, body, cap=prepared.max_file_size)
    return {**fields, MARKER: "RequenceFile"}


async def _send_stream(
    url: str, where: str, mime: str, pump: Pump, prepared: Prepared, files: FileApi
) -> dict[str, Any]:
    what, cap = f"{where} ({mime})", prepared.max_file_size
    with _telling(f"the stream {what}"):
        await pump.first()  # one that fails at once is not announced

    async def chunks() -> AsyncGenerator[bytes]:
        sent = 0
        with _telling(f"the stream {what}"):
            async for chunk in pump.chunks():
                sent += len(chunk)
                if cap is not None and sent > cap:
                    raise _too_large(what, cap)
                yield chunk

    try:
        fields = await files.register_stream(url, what, mime, cap=cap)
        await files.send_stream(fields["url"], Body(what, mime, None, chunks, again=False))
    finally:
        pump.stop()
    return {**fields, MARKER: "RequenceStream"}


def _filled(value: Any, references: Mapping[int, dict[str, Any]]) -> Any:
    """Returns an input with references in the places of what was sent; the rest is shared."""
    if isinstance(value, Referring):
        return references[id(value)]
    fields, items = as_object(value), as_list(value)
    if fields is not None:
        return {name: _filled(field, references) for name, field in fields.items()}
    return value if items is None else [_filled(item, references) for item in items]


def _too_large(what: str, limit: int) -> TaskRefusedError:
    return TaskRefusedError(f"{what} is too large: the service takes files and streams of {limit} bytes")


@contextmanager
def _telling(what: str) -> Generator[None]:
    """Says of an error of where bytes come from what it is about."""
    try:
        yield
    except RequenceError:
        raise
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        raise TaskException(f"{what} cannot be sent: {reason}") from error
