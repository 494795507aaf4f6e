"""Files and streams out of a task's data: read when they are asked for, whole or not at all."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import pickle
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.scripted_server import BEARER, Answer, Gate, Lose, ScriptedServer, Stream, frame, report

from requence.exceptions import (
    ConfigurationError,
    FileUnavailableError,
    RequenceError,
    RequenceStreamTruncatedError,
    RequenceUnreachableException,
)
from requence.files import RequenceFile, RequenceStream
from requence.task import get_task

LARGE = bytes(range(256)) * 8192  # 2 MiB
FRAMED = {"x-requence-stream-protocol": "framed"}

Read = Callable[[RequenceFile | RequenceStream], bytes]


def reading(content: RequenceFile | RequenceStream) -> bytes:
    return content.read()


def iterating(content: RequenceFile | RequenceStream) -> bytes:
    return b"".join(content.iter_bytes())


def awaiting(content: RequenceFile | RequenceStream) -> bytes:
    return asyncio.run(content.aio.read())


def async_iterating(content: RequenceFile | RequenceStream) -> bytes:
    async def main() -> bytes:
        return b"".join([piece async for piece in content.aio.iter_bytes()])

    return asyncio.run(main())


@pytest.fixture(params=[reading, iterating, awaiting, async_iterating])
def read(request: pytest.FixtureRequest) -> Read:
    way: Read = request.param
    return way


def file_of(server: ScriptedServer, size: int = 5, mime: str = "text/plain", **settings: Any) -> RequenceFile:
    """A file that a task's input refers to."""
    file: RequenceFile = got(
        server, {"__REQUENCE_type": "RequenceFile", "mime": mime, "size": size}, "files", **settings
    )
    return file


def stream_of(server: ScriptedServer, mime: str = "text/plain", **settings: Any) -> RequenceStream:
    reference = {"__REQUENCE_type": "RequenceStream", "mime": mime}
    stream: RequenceStream = got(server, reference, "streams", **settings)
    return stream


def got(server: ScriptedServer, reference: dict[str, Any], kind: str, **settings: Any) -> Any:
    url = f"{server.url.removesuffix('/api')}/{kind}-here/it?key=%2Fk"
    server.always("get", report("successful", input=reference | {"url": url}))
    return get_task("task-1", client=server.client_with(**settings)).context.input


def refused(content: RequenceFile | RequenceStream, read: Read) -> RequenceError:
    with pytest.raises(RequenceError) as caught:
        read(content)
    return caught.value


class TestFile:
    @pytest.mark.parametrize("content", [b"", b"hello", LARGE])
    def test_it_is_read(self, server: ScriptedServer, read: Read, content: bytes) -> None:
        server.always("download", Answer(200, content))
        file = file_of(server, len(content))
        assert server.calls("download") == []  # not before it is asked for
        assert read(file) == content
        assert read(file) == content  # again, if need be
        call = server.calls("download")[0]
        assert call.path == "/files-here/it?key=%2Fk"
        assert "authorization" not in call.headers
        assert call.headers["accept-encoding"] == "identity"

    def test_what_is_known_without_reading_it(self, server: ScriptedServer) -> None:
        file = file_of(server, 7, "image/svg+xml; charset=utf-8")
        assert (file.size, file.mime_type) == (7, "image/svg+xml; charset=utf-8")
        assert (file.main_mime_type, file.sub_mime_type) == ("image", "svg+xml")
        assert file.file_object is not None
        assert set(file.file_object) == {"__REQUENCE_type", "mime", "size", "url"}
        assert repr(file) == "<RequenceFile of 7 bytes, image/svg+xml; charset=utf-8>"

    @pytest.mark.parametrize(
        ("mime", "encoding", "content", "text"),
        [
            ("text/plain", None, "hä".encode(), "hä"),
            ("text/plain; charset=latin-1", None, b"h\xe4", "hä"),
            ('text/csv; header=present; charset="utf-16"', None, "hä".encode("utf-16"), "hä"),
            ("text/plain; charset=latin-1", "utf-8", "hä".encode(), "hä"),
            ("text/plain; charset=binary", None, "hä".encode(), "hä"),
            ("text/plain; charset=hex", None, "hä".encode(), "hä"),
            ("text/plain; charset=undefined", None, "hä".encode(), "hä"),
        ],
    )
    def test_text(
        self, server: ScriptedServer, mime: str, encoding: str | None, content: bytes, text: str
    ) -> None:
        server.always("download", Answer(200, content))
        file = file_of(server, len(content), mime)
        assert file.text(encoding) == text
        assert asyncio.run(file.aio.text(encoding)) == text

    def test_json(self, server: ScriptedServer) -> None:
        server.always("download", Answer(200, b'{"a": [1]}'))
        file = file_of(server, 10)
        assert file.json() == asyncio.run(file.aio.json()) == {"a": [1]}
        server.always("download", Answer(200, b"no JSON at"))
        with pytest.raises(ValueError, match="Expecting value"):
            file.json()

    def test_the_published_names(self, server: ScriptedServer) -> None:
        server.always("download", Answer(200, b"hello"))
        file = file_of(server)
        assert file.blob() == b"hello"
        assert file.array_buffer() == bytearray(b"hello")
        assert b"".join(file.iterable()) == b"hello"

    @pytest.mark.parametrize("step", [Lose(), Answer(503, "busy"), Answer(429, "busy", {"Retry-After": "0"})])
    def test_what_may_pass_is_tried_again(self, server: ScriptedServer, read: Read, step: Any) -> None:
        server.script("download", step)
        server.always("download", Answer(200, b"hello"))
        assert read(file_of(server)) == b"hello"

    @pytest.mark.parametrize(
        "status", [404, 403, 401, 410, pytest.param(302, marks=pytest.mark.breaks_contract), 500]
    )
    def test_a_service_that_does_not_give_it(
        self, server: ScriptedServer, read: Read, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server.always("download", Answer(status, "not any more", {"Location": "http://h/elsewhere"}))
        error = refused(file_of(server, retries=0), read)
        assert isinstance(error, FileUnavailableError)
        assert error.status_code == status
        assert error.message == (
            f"the file (text/plain, 5 bytes) cannot be read: the service answered {status} (not any more)"
        )
        assert (error.hint == "redirects are not followed") == (status == 302)
        for secret in ("files-here", "key=", BEARER):
            assert secret not in caplog.text + repr(error)

    @pytest.mark.parametrize("sent", [b"", b"hell", b"hello!"])
    @pytest.mark.parametrize("chunked", [True, False])
    def test_one_that_has_another_size(
        self, server: ScriptedServer, read: Read, sent: bytes, chunked: bool
    ) -> None:
        server.always("download", Stream([sent], content_type="a/b", chunked=chunked))
        error = refused(file_of(server), read)
        assert isinstance(error, RequenceUnreachableException)
        assert f"{len(sent)} of 5 bytes came" in error.message
        assert error.hint == "read it again, from its beginning"

    def test_one_that_does_not_end(self, server: ScriptedServer, read: Read) -> None:
        """What is beyond the size is not gathered."""
        server.always("download", Stream([LARGE, Gate()], end="open", content_type="a/b"))
        error = refused(file_of(server), read)
        assert "of 5 bytes came" in error.message
        [call] = server.calls("download")
        server.wait_until(lambda: call.left)

    @pytest.mark.parametrize("end", ["cut", "reset"])
    def test_one_that_breaks_off(self, server: ScriptedServer, read: Read, end: Any) -> None:
        server.always("download", Stream([b"hel"], end=end, content_type="a/b"))
        error = refused(file_of(server), read)
        assert isinstance(error, RequenceUnreachableException)
        assert "could not be read to its end" in error.message

    def test_a_service_that_is_gone(self, server: ScriptedServer, read: Read) -> None:
        file = file_of(server, retries=0)
        server.go_away()
        assert isinstance(refused(file, read), RequenceUnreachableException)

    def test_silence_is_limited(
        self, server: ScriptedServer, read: Read, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUENCE_FILE_STALL_TIMEOUT_MS", "100")
        server.always("download", Stream([b"hel"], end="open", content_type="a/b"))
        error = refused(file_of(server), read)
        assert "nothing has come for 0.1 seconds" in error.message

    @pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf"])
    def test_a_limit_that_is_none(
        self, server: ScriptedServer, read: Read, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("REQUENCE_FILE_STALL_TIMEOUT_MS", value)
        error = refused(file_of(server), read)
        assert isinstance(error, ConfigurationError)
        assert "REQUENCE_FILE_STALL_TIMEOUT_MS" in error.message

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://h/x",
            "file:///etc/passwd",
            "http://user:password@h/x",
            "http://h/a b",
            "http://h\\password/x",
        ],
    )
    def test_a_url_that_is_of_no_use(self, server: ScriptedServer, read: Read, url: str) -> None:
        reference = {"__REQUENCE_type": "RequenceFile", "mime": "a/b", "size": 1, "url": url}
        server.always("get", report("successful", input=reference))
        value = get_task("task-1", client=server.client).context.input
        if isinstance(value, dict):  # it is no reference at all
            return
        error = refused(value, read)
        assert isinstance(error, FileUnavailableError)
        assert "password" not in error.message


class TestStream:
    def test_it_is_read_from_frames(self, server: ScriptedServer, read: Read) -> None:
        whole = frame(0, b"hel") + frame(0, b"") + frame(0, b"lo") + frame(1, b"")
        server.always("download-stream", Answer(200, whole, FRAMED))
        stream = stream_of(server)
        assert read(stream) == b"hello"
        [call] = server.calls("download-stream")
        assert call.headers["x-requence-stream-protocol"] == "framed"
        assert "authorization" not in call.headers
        assert repr(stream) == "<RequenceStream, text/plain>"
        assert stream.stream_object is not None

    @pytest.mark.parametrize("rest", [frame(1, b""), frame(2, b"so")])
    def test_its_end_is_the_end_where_the_connection_stays_open(
        self, server: ScriptedServer, read: Read, rest: bytes
    ) -> None:
        whole = frame(0, b"hel") + rest
        server.always("download-stream", Answer(200, whole, FRAMED | {"Content-Length": "1000"}))
        if rest == frame(1, b""):
            assert read(stream_of(server)) == b"hel"
        else:
            assert isinstance(refused(stream_of(server), read), RequenceStreamTruncatedError)

    def test_it_is_read_plainly_where_the_service_knows_no_frames(
        self, server: ScriptedServer, read: Read
    ) -> None:
        server.always("download-stream", Stream([b"hel", b"lo"], content_type="a/b"))
        assert read(stream_of(server)) == b"hello"

    @pytest.mark.parametrize(
        ("rest", "reason"),
        [
            (frame(2, b"the disk is full"), "the disk is full"),
            (frame(2, b""), None),
            (b"", None),
            (b"\0\0", None),
        ],
    )
    def test_one_that_was_truncated(
        self, server: ScriptedServer, read: Read, rest: bytes, reason: str | None
    ) -> None:
        server.always("download-stream", Answer(200, frame(0, b"hel") + rest, FRAMED))
        error = refused(stream_of(server), read)
        assert isinstance(error, RequenceStreamTruncatedError)
        assert error.message.startswith("the stream (text/plain) was truncated after 3 bytes")
        assert error.reason == reason

    def test_what_came_before_the_truncation_is_given(self, server: ScriptedServer) -> None:
        server.always("download-stream", Answer(200, frame(0, b"hel") + frame(2, b"so"), FRAMED))
        pieces = stream_of(server).iter_bytes()
        assert next(pieces) == b"hel"
        with pytest.raises(RequenceStreamTruncatedError):
            next(pieces)

    @pytest.mark.breaks_contract
    def test_what_is_no_frame(self, server: ScriptedServer, read: Read) -> None:
        server.always("download-stream", Answer(200, b"hello hello", FRAMED))
        assert "what came is not understood" in refused(stream_of(server), read).message

    @pytest.mark.parametrize("end", ["cut", "reset"])
    def test_one_that_breaks_off_without_frames(self, server: ScriptedServer, read: Read, end: Any) -> None:
        server.always("download-stream", Stream([b"hel"], end=end, content_type="a/b"))
        assert isinstance(refused(stream_of(server), read), RequenceUnreachableException)

    def test_silence_is_limited(
        self, server: ScriptedServer, read: Read, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REQUENCE_STREAM_STALL_TIMEOUT_MS", "100")
        server.always("download-stream", Stream([b"hel"], end="open", content_type="a/b"))
        assert "nothing has come for 0.1 seconds" in refused(stream_of(server), read).message

    def test_it_is_read_while_it_is_written(self, server: ScriptedServer) -> None:
        gate = Gate()
        server.always("download-stream", Stream([b"hel", gate, b"lo"], content_type="a/b"))
        pieces = stream_of(server).iter_bytes()
        assert next(pieces) == b"hel"
        gate.open()
        assert b"".join(pieces) == b"lo"


class TestLeaving:
    def test_early(self, server: ScriptedServer) -> None:
        server.always("download", Stream([b"hel"], end="open", content_type="a/b"))
        for piece in file_of(server).iter_bytes():
            assert piece == b"hel"
            break
        [call] = server.calls("download")
        server.wait_until(lambda: call.left)

    async def test_early_in_asyncio(self, server: ScriptedServer) -> None:
        server.always("download", Stream([b"hel"], end="open", content_type="a/b"))
        file = await asyncio.to_thread(file_of, server)
        reading = asyncio.create_task(file.aio.read())
        await server.until(lambda: bool(server.calls("download")))
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        [call] = server.calls("download")
        await server.until(lambda: call.left)

    def test_a_slow_reader_holds_the_service_back(self, server: ScriptedServer) -> None:
        """What was not taken does not gather in memory."""
        sent = 0

        class Counting(list[bytes]):
            def __iter__(self) -> Iterator[bytes]:
                nonlocal sent
                for _ in range(200):
                    sent += 1
                    yield LARGE

        server.always("download", Stream(Counting(), content_type="a/b"))
        pieces = file_of(server, 200 * len(LARGE)).iter_bytes()
        next(pieces)
        waiting = threading.Event()
        waiting.wait(0.3)
        assert sent < 20
        assert sum(map(len, pieces)) > 190 * len(LARGE)


class TestSave:
    @pytest.mark.parametrize("is_async", [False, True])
    def test_to_a_file(self, server: ScriptedServer, tmp_path: Path, is_async: bool) -> None:
        server.always("download", Answer(200, LARGE))
        file, path = file_of(server, len(LARGE)), tmp_path / "copy"
        path.write_text("older")
        saved = asyncio.run(file.aio.save(path)) if is_async else file.save(str(path))
        assert saved == path
        assert path.read_bytes() == LARGE
        assert os.listdir(tmp_path) == ["copy"]

    @pytest.mark.parametrize("is_async", [False, True])
    def test_half_a_file_is_not_left(self, server: ScriptedServer, tmp_path: Path, is_async: bool) -> None:
        server.always("download", Stream([LARGE], end="cut", content_type="a/b"))
        file, path = file_of(server, 2 * len(LARGE)), tmp_path / "copy"
        path.write_text("older")

        def save() -> None:
            if is_async:
                asyncio.run(file.aio.save(path))
            else:
                file.save(path)

        with pytest.raises(RequenceUnreachableException):
            save()
        assert path.read_text() == "older"
        assert os.listdir(tmp_path) == ["copy"]

    def test_who_may_read_it(self, tmp_path: Path) -> None:
        path = tmp_path / "copy"
        path.write_text("older")
        path.chmod(0o640)
        RequenceFile(b"hello").save(path)
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"hello", 0o640)

    def test_where_a_link_leads(self, tmp_path: Path) -> None:
        link, there = tmp_path / "link", tmp_path / "there"
        link.symlink_to(there)
        for content in (b"hello", b"again"):
            assert RequenceFile(content).save(link) == link
            assert link.is_symlink()
            assert there.read_bytes() == content

    def test_under_a_long_name(self, tmp_path: Path) -> None:
        assert RequenceFile(b"hello").save(tmp_path / ("n" * 255)).read_bytes() == b"hello"

    def test_what_is_no_file_stays(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ConfigurationError, match="pipe is no file"):
            RequenceFile(b"hello").save(tmp_path / "pipe")
        assert not (tmp_path / "pipe").is_file()

    def test_where_it_cannot_be(self, server: ScriptedServer, tmp_path: Path) -> None:
        server.always("download", Answer(200, b"hello"))
        file = file_of(server)
        with pytest.raises(ConfigurationError, match="is a folder"):
            file.save(tmp_path)
        with pytest.raises(FileNotFoundError):
            file.save(tmp_path / "missing" / "copy")
        assert server.calls("download") == []


class TestElsewhere:
    def test_in_another_process(self, server: ScriptedServer) -> None:
        server.always("download", Answer(200, b"hello"))
        file = file_of(server)
        stream = stream_of(server)
        assert server.access_token.encode() not in pickle.dumps([file, stream])
        again, again_stream = pickle.loads(pickle.dumps([file, stream]))
        assert again.file_object == file.file_object
        assert again.read() == b"hello"
        assert again_stream.stream_object == stream.stream_object

    def test_own_ones(self, tmp_path: Path) -> None:
        (tmp_path / "f.txt").write_text("hello")
        for file in (RequenceFile(b"hello", mime="text/plain"), RequenceFile(tmp_path / "f.txt")):
            again = pickle.loads(pickle.dumps(file))
            assert (again.read(), again.mime_type) == (b"hello", "text/plain")
        with pytest.raises(RequenceError, match="cannot be pickled"):
            pickle.dumps(RequenceStream([b"x"]))

    def test_copies_are_the_same(self, server: ScriptedServer) -> None:
        for content in (file_of(server), stream_of(server), RequenceFile(b"x"), RequenceStream([b"x"])):
            assert copy.copy(content) is content
            assert copy.deepcopy(content) is content

    def test_in_a_forked_child(self, server: ScriptedServer) -> None:
        server.always("download", Answer(200, b"hello"))
        file = file_of(server)
        assert file.read() == b"hello"
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, file.read())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as came:
            assert came.read() == b"hello"
        os.waitpid(child, 0)

    async def test_blocking_on_a_loop_warns(self, server: ScriptedServer) -> None:
        server.always("download", Answer(200, b"hello"))
        file = await asyncio.to_thread(file_of, server)
        with pytest.warns(RuntimeWarning, match=r"write `await file\.aio\.read\(\)` instead"):
            assert file.read() == b"hello"


def test_references_become_plain_again(server: ScriptedServer) -> None:
    """In `to_dict`, for relaying and for JSON."""
    file = file_of(server)
    snapshot = get_task("task-1", client=server.client)
    assert json.dumps(snapshot.context.to_dict()["input"]) == json.dumps(file.file_object)
