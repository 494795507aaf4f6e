"""Files and streams in the input: uploaded before the task is started, each once, never with the access token."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import os
import re
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.scripted_server import (
    BEARER,
    Answer,
    Gate,
    Lose,
    ScriptedServer,
    end,
    event,
    from_position,
    prepared,
    prepared_for_files,
)

from requence.exceptions import (
    ConfigurationError,
    RequenceError,
    RequenceUnreachableException,
    TaskAbortedError,
    TaskException,
    TaskRefusedError,
    UsageError,
)
from requence.files import RequenceFile, RequenceStream
from requence.task import Task, map_tasks

LARGE = bytes(range(256)) * 8192  # 2 MiB


def sent_input(server: ScriptedServer) -> Any:
    [call] = server.calls("finalize")
    return call.json["input"]


def start(server: ScriptedServer, value: Any, **more: Any) -> str:
    return Task("t", value, client=server.client_with(**more)).sync.id


def refusal(server: ScriptedServer, value: Any, **more: Any) -> RequenceError:
    """The error that each way to ask for the task raises; nothing was started."""
    task = Task("t", value, client=server.client_with(retries=0, **more))
    errors: list[RequenceError] = []
    ways: list[Callable[[], object]] = [
        task.sync.finalized,
        lambda: task.sync.url,
        lambda: task.sync.result,
        lambda: list(task.sync.updates),
    ]
    for way in ways:
        with pytest.raises(RequenceError) as caught:
            way()
        errors.append(caught.value)
    assert {(type(error), error.message) for error in errors} == {(type(errors[0]), errors[0].message)}
    assert server.calls("finalize") == []
    return errors[0]


@pytest.mark.parametrize("content", [b"", b"abc", bytearray(b"abc"), memoryview(b"abc"), LARGE])
def test_a_file_of_bytes(server: ScriptedServer, content: bytes) -> None:
    start(server, {"report": [RequenceFile(content, mime="application/pdf")]})
    [upload] = server.calls("upload")
    assert upload.body == bytes(content)
    assert upload.mime == "application/pdf"
    assert upload.headers["content-length"] == str(len(content))
    assert "file-size" not in upload.headers
    assert sent_input(server) == {
        "report": [
            {
                "__REQUENCE_type": "RequenceFile",
                "url": f"{server.url.removesuffix('/api')}/files-here/content-0",
                "mime": "application/pdf",
                "size": len(content),
            }
        ]
    }
    assert server.operations == ["prepare", "upload", "finalize"]


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("a.pdf", "application/pdf"),
        ("b.json", "application/json"),
        ("c", "application/octet-stream"),
        ("d.csv.gz", "application/gzip"),
        ("e.tar.xz", "application/x-xz"),
    ],
)
def test_a_file_of_the_system(server: ScriptedServer, tmp_path: Path, name: str, mime: str) -> None:
    path = tmp_path / name
    path.write_bytes(LARGE)
    start(server, RequenceFile(path))
    [upload] = server.calls("upload")
    assert (upload.body, upload.mime) == (LARGE, mime)


def test_bytes_that_change_later_are_not_sent(server: ScriptedServer) -> None:
    content = bytearray(b"before")
    file = RequenceFile(content)
    content[:] = b"after!"
    start(server, file)
    assert server.calls("upload")[0].body == b"before"


@pytest.mark.parametrize("content", [b"", LARGE + b"x"])
def test_both_faces_give_the_same_pieces(content: bytes) -> None:
    file = RequenceFile(content)

    async def main() -> list[bytes]:
        return [piece async for piece in file.aio.iter_bytes()]

    assert list(file.iter_bytes()) == asyncio.run(main())


def test_what_was_sent_is_not_kept(server: ScriptedServer) -> None:
    """By the handle, which may be there for long."""

    class Known(RequenceFile):
        __slots__ = ()

    file = Known(LARGE)
    gone = weakref.ref(file)
    task = Task("t", [file], client=server.client)
    task.sync.finalized()
    del file
    gc.collect()
    assert gone() is None
    claim = {"__REQUENCE_type": "ClaimCheck", "url": f"{server.url}/never-asked-for", "size": 1000}
    server.always("watch", from_position(event(1, "taskStart", input=claim), end(2)))
    [sent] = task.sync.result.input
    assert sent.file_object == sent_input(server)[0]


def test_one_object_is_uploaded_once_for_each_task(server: ScriptedServer) -> None:
    file = RequenceFile(b"x")
    start(server, {"a": file, "b": [file, RequenceFile(b"x")]})
    references = sent_input(server)
    assert references["a"] == references["b"][0] != references["b"][1]
    assert len(server.calls("upload")) == 2
    start(server, file)
    assert len(server.calls("upload")) == 3


def test_a_file_of_another_task_keeps_its_reference(server: ScriptedServer) -> None:
    """Also what the service has added to it."""
    server.always(
        "upload", lambda call: Answer(200, {"url": "http://h/x", "mime": "a/b", "size": 1, "more": [1]})
    )
    first = Task("t", RequenceFile(b"x"), client=server.client)
    server.always("get", Answer(200, {"status": "successful", "input": _input_of(server, first)}))
    file = Task.attach("task-1", client=server.client).sync.result.input
    assert isinstance(file, RequenceFile)
    Task("t", [file], client=server.client).sync.finalized()
    assert len(server.calls("upload")) == 1
    assert server.calls("finalize")[1].json["input"] == [server.calls("finalize")[0].json["input"]]
    assert server.calls("finalize")[1].json["input"][0]["more"] == [1]


def _input_of(server: ScriptedServer, task: Task) -> Any:
    task.sync.finalized()
    return server.calls("finalize")[0].json["input"]


def test_the_published_form(server: ScriptedServer) -> None:
    from requence.requence_file import RequenceFile as PublishedFile
    from requence.requence_stream import RequenceStream as PublishedStream

    assert PublishedFile is RequenceFile
    assert PublishedStream is RequenceStream
    start(
        server, [PublishedFile(b"x", {"type": "image/png"}), PublishedStream(iter([b"y"]), {"type": "a/b"})]
    )
    assert server.calls("upload")[0].mime == "image/png"
    assert server.calls("register")[0].mime == "a/b"


def test_the_cap_is_told(server: ScriptedServer) -> None:
    server.always("prepare", prepared_for_files(server, "task-1", maxFileSize=1000))
    start(server, [RequenceFile(b"x" * 1000), RequenceStream(iter([b"x" * 1000]))])
    for call in (*server.calls("upload"), *server.calls("register")):
        assert call.headers["file-size"] == "1000"
    assert "file-size" not in server.calls("send")[0].headers


def test_no_bearer_and_no_capability_is_shown(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    start(server, [RequenceFile(b"x"), RequenceStream(iter([b"x"]))])
    for operation in ("upload", "register", "send"):
        [call] = server.calls(operation)
        assert "authorization" not in call.headers
        assert BEARER not in str(call)
        assert call.path not in caplog.text
    assert "files-here" not in caplog.text
    assert "streams-here" not in caplog.text


class TestStream:
    def test_it_is_announced_and_sent(self, server: ScriptedServer) -> None:
        chunks = [b"ab", b"", b"c", LARGE]
        start(server, {"s": RequenceStream(iter(chunks), mime="video/mp4")})
        assert server.operations == ["prepare", "register", "send", "finalize"]
        [announced], [send] = server.calls("register"), server.calls("send")
        assert (announced.body, announced.mime) == (b"", "video/mp4")
        assert send.body == b"abc" + LARGE
        assert send.mime == "video/mp4"
        assert sent_input(server)["s"] == {
            "__REQUENCE_type": "RequenceStream",
            "url": f"{server.url.removesuffix('/api')}/streams-here/content-0",
            "mime": "video/mp4",
        }

    @pytest.mark.parametrize("chunks", [[], [b""], [b"", b""]])
    def test_an_empty_one(self, server: ScriptedServer, chunks: list[bytes]) -> None:
        start(server, RequenceStream(chunks, mime="a/b"))
        [send] = server.calls("send")
        assert (send.body, send.mime) == (b"", "a/b")

    def test_what_gives_bytes(self, server: ScriptedServer, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(LARGE)

        def made() -> Iterator[bytes]:
            yield b"made"

        with (tmp_path / "f").open("rb") as file:
            start(server, [RequenceStream(made()), RequenceStream(file), RequenceStream(io.BytesIO(b"\n\n"))])
        assert sorted(call.body for call in server.calls("send")) == sorted([b"made", LARGE, b"\n\n"])

    async def test_an_asynchronous_one(self, server: ScriptedServer) -> None:
        loop = asyncio.get_running_loop()

        async def made() -> AsyncIterator[bytes]:
            assert asyncio.get_running_loop() is loop
            for _ in range(40):
                await asyncio.sleep(0)
                yield LARGE[: 2**17]

        await Task("t", RequenceStream(made()), client=server.client).task_id
        assert server.calls("send")[0].body == LARGE[: 2**17] * 40

    async def test_an_asynchronous_reader(self, server: ScriptedServer) -> None:
        """In pieces, since there may be no lines in it."""
        writes = "import sys; sys.stdout.buffer.write(bytes(200_000))"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", writes, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await Task("t", RequenceStream(process.stdout), client=server.client).finalized()
        assert server.calls("send")[0].body == bytes(200_000)
        await process.wait()

    async def test_reading_ones_own_does_not_hold_the_loop_up(self) -> None:
        gone_on = threading.Event()

        def made() -> Iterator[bytes]:
            yield b"x"
            assert gone_on.wait(10)
            yield b"y"

        reading = asyncio.create_task(RequenceStream(made()).aio.read())
        await asyncio.sleep(0)
        gone_on.set()
        assert await reading == b"xy"

    async def test_an_abort_ends_the_reading_of_one_that_waits(self, server: ScriptedServer) -> None:
        closed = asyncio.Event()

        async def made() -> AsyncIterator[bytes]:
            try:
                yield b"x"
                await asyncio.Event().wait()
            finally:
                closed.set()

        task = Task("t", RequenceStream(made()), client=server.client)
        await server.until(lambda: bool(server.calls("register")))
        await task.abort("not needed")
        async with asyncio.timeout(10):
            await closed.wait()
        with pytest.raises(TaskAbortedError):
            await task.finalized()

    @pytest.mark.filterwarnings("ignore:This blocks the running event loop")
    async def test_who_blocks_the_loop_that_reads_it_is_told(self, server: ScriptedServer) -> None:
        """It would be read only after the wait, and the wait ends only after it is read."""

        async def made() -> AsyncIterator[bytes]:
            await asyncio.sleep(0)
            yield b"x"

        task = Task("t", RequenceStream(made()), client=server.client)
        ways: list[tuple[Callable[[], object], str]] = [
            (task.sync.finalized, r"await task\.finalized\(\)"),
            (lambda: task.sync.result, r"await task\.result"),
            (lambda: task.sync.wait(5), r"await task\.wait\(…\)"),
            (lambda: list(task.sync.updates), r"async for … in task\.updates"),
        ]
        for way, instead in ways:
            with pytest.raises(UsageError, match="wait for ever") as caught:
                way()
            assert re.search(instead, caught.value.hint or "")
        await task.finalized()
        assert task.sync.result.result == "done"
        with pytest.raises(UsageError, match="wait for ever"):
            list(map_tasks("t", [RequenceStream(made())], client=server.client, on_exit="abort"))

    def test_many_that_are_made_together(self, server: ScriptedServer) -> None:
        """None waits for a place that another one has, which only goes on if this one does."""
        together = threading.Barrier(10, timeout=10)

        def made() -> Iterator[bytes]:
            yield b"x"
            together.wait()
            yield b"y"

        tasks = [
            Task("t", [RequenceStream(made()) for _ in range(5)], client=server.client) for _ in range(2)
        ]
        for task in tasks:
            task.sync.finalized()
        assert [call.body for call in server.calls("send")] == [b"xy"] * 10

    def test_a_service_that_takes_a_part_for_the_whole(self, server: ScriptedServer) -> None:
        server.always("send", Answer(200, before_body=True))

        def made() -> Iterator[bytes]:
            while True:
                yield LARGE

        error = refusal(server, RequenceStream(made()))
        assert isinstance(error, RequenceUnreachableException)
        assert "answered before everything was sent" in error.message

    @pytest.mark.parametrize(
        "url", ["ftp://h/secret", "/secret", "http://user:secret@h/x", "http://h\\secret/x"]
    )
    def test_a_url_that_is_of_no_use(self, server: ScriptedServer, url: str) -> None:
        server.always("register", Answer(200, {"url": url, "mime": "a/b"}))
        error = refusal(server, RequenceStream([b"x"]))
        assert error.message.endswith("is not understood: url is not a usable http URL")
        assert "secret" not in repr(error) + repr(error.__cause__) + repr(error.__context__)

    def test_an_asynchronous_one_needs_a_loop(self, server: ScriptedServer) -> None:
        async def made() -> AsyncIterator[bytes]:
            yield b""

        with pytest.raises(UsageError, match="no event loop runs"):
            Task("t", RequenceStream(made()), client=server.client)
        assert server.calls() == []

    def test_a_loop_that_ends_before_it(self, server: ScriptedServer) -> None:
        async def made() -> AsyncIterator[bytes]:
            yield b"x"
            await asyncio.Event().wait()

        async def begin() -> Task:
            task = Task("t", RequenceStream(made()), client=server.client)
            await server.until(lambda: bool(server.calls("prepare")))
            return task

        task = asyncio.run(begin())
        with pytest.raises(UsageError, match="has ended before the stream"):
            task.sync.finalized()
        assert server.calls("finalize") == []

    def test_it_is_read_on_a_thread_of_its_own_in_the_callers_context(self, server: ScriptedServer) -> None:
        threads: set[str] = set()

        def made() -> Iterator[bytes]:
            threads.add(threading.current_thread().name)
            yield b"x"

        start(server, RequenceStream(made()))
        assert threads == {"requence-stream"}

    def test_it_is_read_no_further_than_the_buffer_takes(self, server: ScriptedServer) -> None:
        taken, gate = 0, Gate()

        def made() -> Iterator[bytes]:
            nonlocal taken
            for _ in range(200):
                taken += 1
                yield LARGE[: 2**16]

        server.script("prepare", Answer(200, prepared_for_files(server, "task-1").body, when=gate))
        task = Task("t", RequenceStream(made()), client=server.client)
        server.wait_until(lambda: bool(server.calls("prepare")))
        assert taken <= 17
        gate.open()
        task.sync.finalized()
        assert taken == 200

    def test_it_can_be_used_once(self, server: ScriptedServer) -> None:
        stream = RequenceStream(iter([b"x"]))
        start(server, [stream, stream])
        assert sent_input(server)[0] == sent_input(server)[1]
        assert len(server.calls("send")) == 1
        with pytest.raises(UsageError, match="was used already"):
            Task("t", stream, client=server.client)

    def test_arguments_that_are_refused_do_not_use_it_up(self, server: ScriptedServer) -> None:
        stream = RequenceStream(iter([b"x"]))
        with pytest.raises(ConfigurationError):
            Task("t", [stream, {1, 2}], client=server.client)
        start(server, stream)

    @pytest.mark.parametrize(
        ("fault", "says"),
        [
            (ValueError("no more"), r"the stream input\.s \(a/b\) cannot be sent: ValueError\('no more'\)"),
            (SystemExit(3), r"SystemExit\(3\)"),
            (OSError(5, "Input/output error"), "cannot be sent: Input/output error"),
        ],
    )
    @pytest.mark.parametrize("after", [0, 1, 40])
    def test_what_gives_the_bytes_fails(
        self, server: ScriptedServer, fault: BaseException, says: str, after: int
    ) -> None:
        def made() -> Iterator[bytes]:
            for _ in range(after):
                yield LARGE[: 2**17]
            raise fault

        error = refusal(server, {"s": RequenceStream(made(), mime="a/b")})
        assert re.search(says, error.message)
        assert isinstance(error, TaskException)
        assert error.__cause__ is not None
        if after == 0:
            assert server.operations == ["prepare"]

    @pytest.mark.parametrize("chunk", ["text", 5, None])
    def test_chunks_that_are_no_bytes(self, server: ScriptedServer, chunk: Any) -> None:
        error = refusal(server, RequenceStream([chunk]))
        assert "a chunk is" in error.message
        with pytest.raises(TypeError, match="a chunk is"):
            RequenceStream([chunk]).read()
        with pytest.raises(TypeError, match="a chunk is"):
            asyncio.run(RequenceStream([chunk]).aio.read())

    def test_one_that_is_larger_than_it_may_be(self, server: ScriptedServer) -> None:
        server.always("prepare", prepared_for_files(server, "task-1", maxFileSize=2**18))
        closed = threading.Event()

        def made() -> Iterator[bytes]:
            try:
                while True:
                    yield LARGE[: 2**16]
            finally:
                closed.set()

        error = refusal(server, RequenceStream(made(), mime="a/b"))
        assert isinstance(error, TaskRefusedError)
        assert (
            error.message == "input (a/b) is too large: the service takes files and streams of 262144 bytes"
        )
        assert closed.wait(10)

    def test_a_failed_start_ends_the_reading(self, server: ScriptedServer) -> None:
        server.script("prepare", Answer(404, "no such template"))
        closed = threading.Event()

        def made() -> Iterator[bytes]:
            try:
                while True:
                    yield LARGE
            finally:
                closed.set()

        with pytest.raises(TaskRefusedError, match="no such template"):
            start(server, RequenceStream(made()))
        assert closed.wait(10)


@pytest.mark.parametrize(
    "value", [RequenceFile(b"12345678901"), [RequenceFile(b""), RequenceFile(b"12345678901")]]
)
def test_a_file_that_is_too_large_is_told_before_anything_is_sent(server: ScriptedServer, value: Any) -> None:
    server.always("prepare", prepared_for_files(server, "task-1", maxFileSize=10))
    error = refusal(server, value)
    assert isinstance(error, TaskRefusedError)
    assert "(application/octet-stream, 11 bytes) is too large" in error.message
    assert "10 bytes" in error.message
    assert set(server.operations) == {"prepare"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"f": RequenceFile(b"x")}, "input.f is a file, but the service takes no files for this task"),
        ([RequenceStream([b"x"])], "input[0] is a stream, but the service takes no streams for this task"),
    ],
)
def test_a_service_that_takes_none(server: ScriptedServer, value: Any, says: str) -> None:
    server.always("prepare", prepared(server, "task-1"))
    assert refusal(server, value).message == says


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "//h/x", "http://user@h/x", "/files", "http://h/a b", "http://h\\x/y"]
)
def test_a_url_for_uploads_that_is_of_no_use(server: ScriptedServer, url: str) -> None:
    server.always("prepare", prepared(server, "task-1", fileUrls={"uploadUrl": url}))
    assert "uploadUrl is not a usable http URL" in refusal(server, RequenceFile(b"x")).message


class TestFaults:
    @pytest.mark.parametrize(
        "step", [Answer(503, "busy"), Answer(429, "busy"), Lose(), Lose(before_body=True)]
    )
    def test_a_file_is_sent_again(self, server: ScriptedServer, tmp_path: Path, step: Any) -> None:
        (tmp_path / "f").write_bytes(LARGE)
        server.script("upload", step)
        start(server, RequenceFile(tmp_path / "f"))
        assert server.calls("upload")[1].body == LARGE

    @pytest.mark.parametrize("step", [Answer(503, "busy"), Lose()])
    def test_the_bytes_of_a_stream_are_not(self, server: ScriptedServer, step: Any) -> None:
        server.script("send", step)
        with pytest.raises(RequenceUnreachableException):
            start(server, RequenceStream([b"x"]))
        assert len(server.calls("send")) == 1
        assert server.calls("finalize") == []

    @pytest.mark.parametrize("operation", ["upload", "register", "send"])
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (413, TaskRefusedError),
            (404, TaskRefusedError),
            pytest.param(307, TaskRefusedError, marks=pytest.mark.breaks_contract),
            (500, TaskException),
        ],
    )
    def test_a_service_that_refuses(
        self, server: ScriptedServer, operation: Any, status: int, kind: type[TaskException]
    ) -> None:
        server.always(operation, Answer(status, "so it is"))
        value = RequenceFile(LARGE) if operation == "upload" else RequenceStream([LARGE])
        error = refusal(server, {"v": value})
        assert type(error) is kind
        assert isinstance(error, TaskException)
        assert error.status_code == status
        assert f"The service answered {status} to " in error.message
        assert "input.v" in error.message
        assert error.message.endswith(": so it is")

    @pytest.mark.breaks_contract
    @pytest.mark.parametrize("operation", ["upload", "register"])
    @pytest.mark.parametrize(
        "body",
        [
            "hello",
            "{}",
            '{"url": "", "size": 1, "mime": "a/b"}',
            '{"url": 5, "size": 1, "mime": "a/b"}',
            "[]",
        ],
    )
    def test_an_answer_that_is_not_understood(
        self, server: ScriptedServer, operation: Any, body: str
    ) -> None:
        server.always(operation, Answer(200, body, {"Content-Type": "application/json"}))
        value = RequenceFile(b"x") if operation == "upload" else RequenceStream([b"x"])
        assert "is not understood" in refusal(server, value).message

    def test_one_failure_ends_the_other_uploads(self, server: ScriptedServer) -> None:
        gate = Gate()
        server.script("upload", Answer(413, "too large"), *[Answer(200, "", when=gate)] * 3)
        error = refusal(server, [RequenceFile(bytes([number])) for number in range(12)])
        assert isinstance(error, TaskRefusedError)
        assert len(server.calls("upload")) <= 8
        gate.open()

    def test_a_service_that_does_not_answer(self, server: ScriptedServer) -> None:
        server.always("upload", Answer(200, when=Gate()))
        error = refusal(server, RequenceFile(b"x"), call_timeout=0.2)
        assert isinstance(error, RequenceUnreachableException)

    def test_a_stream_may_take_longer_than_the_service(self, server: ScriptedServer) -> None:
        """The limit is for the service, not for what gives the bytes."""
        waited = threading.Event()

        def made() -> Iterator[bytes]:
            yield b"a"
            waited.wait(0.6)
            yield b"b"

        start(server, RequenceStream(made()), call_timeout=0.2)
        assert server.calls("send")[0].body == b"ab"

    @pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="needs a file of another size than it says"
    )
    def test_a_file_that_has_another_size_when_it_is_read(self, server: ScriptedServer) -> None:
        error = refusal(server, RequenceFile(Path("/proc/self/status"), mime="a/b"))
        assert (
            error.message
            == "The file input (a/b, 0 bytes) has changed while it was sent: it has other than 0 bytes"
        )


def test_a_file_that_is_gone_when_it_is_to_be_sent(server: ScriptedServer, tmp_path: Path) -> None:
    path, gate = tmp_path / "f", Gate()
    path.write_bytes(b"x")
    server.always("prepare", Answer(200, prepared_for_files(server, "task-1").body, when=gate))
    task = Task("t", {"f": RequenceFile(path)}, client=server.client)
    path.unlink()
    gate.open()
    with pytest.raises(ConfigurationError, match=re.escape(f"The file {path} cannot be read: No such file")):
        task.sync.finalized()
    assert server.calls("finalize") == []


class TestAbort:
    def test_before_the_uploads_are_done(self, server: ScriptedServer) -> None:
        server.always("upload", Answer(200, when=Gate()))
        task = Task("t", RequenceFile(b"x"), client=server.client)
        server.wait_until(lambda: bool(server.calls("upload")))
        task.abort("enough")
        with pytest.raises(TaskAbortedError, match="enough"):
            task.sync.finalized()
        assert server.calls("finalize") == []
        assert len(server.calls("abort")) == 1

    def test_while_a_stream_has_nothing_to_give(self, server: ScriptedServer) -> None:
        waiting, go_on = threading.Event(), threading.Event()

        def made() -> Iterator[bytes]:
            yield b"x"
            waiting.set()
            go_on.wait(10)

        task = Task("t", RequenceStream(made()), client=server.client)
        assert waiting.wait(10)
        server.wait_until(lambda: bool(server.calls("register")))
        task.abort()
        with pytest.raises(TaskAbortedError):
            task.sync.finalized()
        go_on.set()


class TestArguments:
    @pytest.mark.parametrize(
        ("data", "hint"),
        [
            ("text", r"Path\('…'\) for a path, or '…'.encode\(\)"),
            (5, "bytes, or Path"),
            (io.BytesIO(b"x"), "RequenceStream"),
            (iter([b"x"]), "RequenceStream"),
        ],
    )
    def test_what_a_file_is_not_made_of(self, data: Any, hint: str) -> None:
        with pytest.raises(ConfigurationError, match="is made of bytes or a path") as caught:
            RequenceFile(data)
        assert re.search(hint, caught.value.hint or "")

    @pytest.mark.parametrize("data", ["text", b"x", 5, None, lambda: iter([b"x"])])
    def test_what_a_stream_is_not_made_of(self, data: Any) -> None:
        with pytest.raises(ConfigurationError, match="is made of an iterable of bytes"):
            RequenceStream(data)

    def test_paths_that_are_no_files(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path, says in [
            (tmp_path, "is no file"),
            (tmp_path / "pipe", "is no file"),
            (tmp_path / "missing", "No such file"),
            (Path("a\0b"), "cannot be read"),
        ]:
            with pytest.raises(ConfigurationError, match=says):
                RequenceFile(path)

    @pytest.mark.parametrize(
        "mime",
        ["", "text", "a/b\r\nX: y", "a/b;\r\nX: y", "a/b;\u2028c", "ä/b", "a/b/c d", 5, b"a/b", "/", "a/"],
    )
    def test_media_types_that_are_none(self, mime: Any) -> None:
        with pytest.raises(ConfigurationError, match="mime must be a media type"):
            RequenceFile(b"x", mime=mime)
        with pytest.raises(ConfigurationError, match="mime must be a media type"):
            RequenceStream([b"x"], {"type": mime})

    @pytest.mark.parametrize("options", ["a/b", {}, {"mime": "a/b"}, {"type": "a/b", "more": 1}, 5])
    def test_options_that_are_none(self, options: Any) -> None:
        with pytest.raises(ConfigurationError, match="second argument"):
            RequenceFile(b"x", options)

    def test_the_media_type_is_given_once(self) -> None:
        with pytest.raises(ConfigurationError, match="once"):
            RequenceFile(b"x", {"type": "a/b"}, mime="a/b")

    def test_what_can_be_known_of_one_of_your_own(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("hällo", "utf-8")
        for file in (RequenceFile(tmp_path / "a.txt"), RequenceFile("hällo".encode(), mime="text/plain")):
            assert (file.size, file.mime_type, file.main_mime_type, file.sub_mime_type) == (
                6,
                "text/plain",
                "text",
                "plain",
            )
            assert file.file_object is None
            assert file.text() == "hällo"
            assert file.read() == file.blob() == b"".join(file.iterable()) == "hällo".encode()
            assert asyncio.run(file.aio.text()) == "hällo"
        assert RequenceStream([b"a", b"b"]).read() == b"ab"


@pytest.mark.parametrize("in_asyncio", [False, True])
def test_the_end_of_a_script_waits_for_a_file(
    server: ScriptedServer, tmp_path: Path, in_asyncio: bool
) -> None:
    """The upload belongs to the start, which is finished before the process ends."""
    (tmp_path / "f").write_bytes(LARGE)
    begin = f"Task('t', RequenceFile(Path({str(tmp_path / 'f')!r})))"
    script = f"async def main(): {begin}\nasyncio.run(main())" if in_asyncio else begin
    code = "\n".join(
        [
            "import asyncio",
            "from pathlib import Path",
            "from requence.files import RequenceFile",
            "from requence.task import Task",
            script,
        ]
    )
    environment = {**os.environ, "REQUENCE_ACCESS_TOKEN": server.access_token}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=50
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert server.calls("upload")[0].body == LARGE
    assert len(server.calls("finalize")) == 1


def test_a_script_that_ends_before_a_stream_does(server: ScriptedServer) -> None:
    code = "\n".join(
        [
            "import threading",
            "from requence.files import RequenceStream",
            "from requence.task import Task",
            "def made():",
            "    yield b'x'",
            "    threading.Event().wait()",
            "Task('t', RequenceStream(made()))",
        ]
    )
    environment = {**os.environ, "REQUENCE_ACCESS_TOKEN": server.access_token}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0
    assert done.stderr == (
        "The task 't' was not started: The script ended before the files and streams of the input were sent "
        "(wait for that: task.sync.finalized(), or requence.flush(timeout=None))\n"
    )
    assert server.calls("finalize") == []


def test_in_a_batch(server: ScriptedServer) -> None:
    """One of the streams was used before: that is the fault of its input only."""
    used = RequenceStream([b"x"])
    inputs = [{"f": RequenceFile(b"0")}, used, {"s": RequenceStream([b"2"])}, used]
    items = sorted(map_tasks("t", inputs, client=server.client), key=lambda item: item.index)
    assert [item.error is None for item in items] == [True, True, True, False]
    assert isinstance(items[3].error, UsageError)
    assert "was used already" in items[3].error.message
    assert len(server.calls("finalize")) == 3
