"""A task service that does what a test's script says, and records what it is asked.

```python
with ScriptedServer() as server:
    server.script("finalize", Lose(), started())       # one step for each call, then the usual answer again
    server.always("watch", Answer(503))
    Task("my-template", client=server.client)
    server.wait_until(lambda: len(server.calls("watch")) == 2)
```

What no script says is answered as by a service whose tasks succeed at once. The URLs to start and to follow a task
are none that could be guessed from its id, so only who uses them whole gets there.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Literal, Self, TypeAlias, cast
from uuid import uuid4

import pytest

from requence import Client
from requence._token import encode_access_token
from requence._transport.io_thread import io_thread
from requence._transport.session import session

__all__ = [
    "Answer",
    "Call",
    "Gate",
    "Lose",
    "Operation",
    "ScriptedServer",
    "Step",
    "Stream",
    "check_nothing_is_left",
    "end",
    "event",
    "frame",
    "from_position",
    "observers",
    "prepared",
    "prepared_for_files",
    "report",
    "reset",
    "started",
]

BEARER = "secret-of-the-scripted-server"
PATIENCE = 10.0  # seconds after which what a test waits for will not happen any more

Operation: TypeAlias = Literal[
    "prepare",
    "finalize",
    "watch",
    "watch-all",
    "get",
    "ack",
    "abort",
    "protect",
    "upload",
    "register",
    "send",
    "download",
    "download-stream",
    "types",
    "unknown",
]
_BY_PREFIX: Mapping[str, Operation] = {
    "POST /api/task/prepare/": "prepare",
    "POST /start-here/": "finalize",
    "POST /follow-here/": "watch",
    "POST /api/task/watch-all": "watch-all",
    "POST /api/task/ack/": "ack",
    "POST /api/task/abort/": "abort",
    "POST /api/task/protect/": "protect",
    "GET /api/task/types/python": "types",
    "GET /api/task/": "get",
    "POST /files-here/": "upload",
    "GET /files-here/": "download",
    "POST /streams-here/new/": "register",  # before the next, which begins it
    "POST /streams-here/": "send",
    "GET /streams-here/": "download-stream",
}
_USUAL: Mapping[str, dict[str, Any]] = {
    "taskStart": {"input": None},
    "taskEnd": {"result": None},
    "taskError": {"reason": None},
    "taskAborted": {"reason": None},
}
_PHRASES = {200: "OK", 204: "No Content"}


@dataclass(slots=True)
class Call:
    """One request as it came, before it was answered.

    Attributes:
        operation: Which operation of the service it asks for.
        method: Its method.
        path: Its target byte for byte, with percent signs and the query.
        headers: Its headers, names in lower case.
        body: Its body; empty if the script lost the request before reading that.
        connection: The number of the connection it came on.
        at: When it came, on the clock of `time.monotonic`.
        left: Whether the client closed the connection while the answer was still going on.
    """

    operation: Operation
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float
    left: bool = False

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def mime(self) -> str:
        """The media type of the body."""
        return self.headers.get("content-type", "")


class Gate:
    """What a step waits for until the test opens it."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._opened = False

    def open(self) -> None:
        """Lets the server go on, now and at each later time. May be called in any thread."""
        with self._lock:
            self._opened = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._open.set)

    async def wait(self) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._opened:
                self._open.set()
        await self._open.wait()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as a whole.

    Attributes:
        status: The HTTP status.
        body: Bytes, a text, or what is to be sent as JSON.
        headers: More headers; they replace those of the same name.
        when: Do not answer before this gate is open.
        lost: Act on the request, but close the connection instead of answering.
        length: Claim this many bytes of body, and close the connection after those there are.
        before_body: Answer before the request's body was read, and wait until the client leaves.
    """

    status: int = 200
    body: bytes | str | dict[str, Any] | list[Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    when: Gate | None = None
    lost: bool = False
    length: int | None = None
    before_body: bool = False


@dataclass(frozen=True, slots=True)
class Lose:
    """No answer: the connection is closed.

    Attributes:
        before_body: Close it before the body is read, else after the whole request.
        reset: Close it by a reset, else properly.
    """

    before_body: bool = False
    reset: bool = True


@dataclass(frozen=True, slots=True)
class Stream:
    """An event stream: chunks of bytes as they are to be sent, each on its own; a gate among them is waited for.

    Attributes:
        chunks: What is sent.
        end: Afterwards: `close` ends the answer properly, `cut` closes the connection where it is, `reset` resets
            it, `open` says nothing more until the client leaves.
        content_type: The answer's content type.
        chunked: Whether the end of the answer is marked; else it lasts until the connection is closed.
        status: The HTTP status.
        when: Do not even begin to answer before this gate is open.
    """

    chunks: Sequence[bytes | Gate] = ()
    end: Literal["close", "cut", "reset", "open"] = "close"
    content_type: str = "text/event-stream"
    chunked: bool = True
    status: int = 200
    when: Gate | None = None


Step: TypeAlias = "Answer | Lose | Stream | Callable[[Call], Answer | Lose | Stream]"


# Called with each request and what is about to be answered to it, by all servers, in their threads.
observers: list[Callable[[Call, Answer | Lose | Stream], None]] = []


class ScriptedServer:
    """The server, on loopback, in a thread of its own. A context manager.

    Attributes:
        url: The API's base URL.
        access_token: A token for it.
        contents: What was uploaded, by the last part of its URL.
    """

    _ports_used: ClassVar[set[int]] = set()

    def __init__(self, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        """Prepares a server.

        Args:
            host: What it is called in its URLs; it listens on 127.0.0.1 whatever that is.
            tls: Its side of the encryption, if its connections are encrypted.
        """
        self._host = host
        self._tls = tls
        self.url = ""
        self.access_token = ""
        self._changed = threading.Condition()
        self._calls: list[Call] = []
        self._connections: dict[int, asyncio.StreamWriter] = {}
        self._accepted = 0
        self._script: dict[Operation, deque[Step]] = {}
        self._always: dict[Operation, Step] = {}
        self._tasks_made = 0
        self.contents: dict[str, bytes] = {}
        self._faults: list[BaseException] = []
        self._loop = asyncio.new_event_loop()
        self._listener: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="scripted-server")

    def __enter__(self) -> Self:
        self._thread.start()
        port = self._on_loop(self._listen())
        self.url = f"{'https' if self._tls else 'http'}://{self._host}:{port}/api"
        self.access_token = encode_access_token(BEARER, self.url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._on_loop(self._stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        if self._faults and error is None:
            raise self._faults[0]

    @property
    def client(self) -> Client:
        """A client of this server."""
        return self.client_with()

    def client_with(self, **settings: Any) -> Client:
        """Returns a client of this server with settings of its own."""
        return Client(self.access_token, **settings)

    def script(self, operation: Operation, *steps: Step) -> None:
        """Says how the next calls of an operation are answered, one step for each."""
        self._script.setdefault(operation, deque()).extend(steps)

    def always(self, operation: Operation, step: Step) -> None:
        """Says how the calls of an operation are answered for which there is no step in the script."""
        self._always[operation] = step

    def calls(self, operation: Operation | None = None) -> list[Call]:
        """Returns the requests so far: all, or those of one operation."""
        with self._changed:
            return [call for call in self._calls if operation in (None, call.operation)]

    @property
    def operations(self) -> list[Operation]:
        """The operations that were asked for so far, in order."""
        return [call.operation for call in self.calls()]

    @property
    def open_connections(self) -> set[int]:
        """The numbers of the connections that are open now."""
        with self._changed:
            return set(self._connections)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Blocks until a condition on this server holds.

        Raises:
            AssertionError: It did not come to that.
        """
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            # In slices, since conditions may also look at what this server is not told of.
            while not self._changed.wait_for(condition, timeout=0.05):
                if time.monotonic() > deadline:
                    raise AssertionError(f"it did not come to that; the server was asked: {self._calls}")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits like `wait_until`, without blocking the running loop."""
        await asyncio.to_thread(self.wait_until, condition)

    def go_away(self) -> None:
        """Closes everything, for good: no connection will be accepted any more."""
        self._on_loop(self._stop())

    def _on_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _listen(self) -> int:
        # On a port of its own in this process: at the address of an earlier server, "task-1" would be that
        # server's task for the SDK, which remembers what it has confirmed.
        while True:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
            port = cast("int", self._listener.sockets[0].getsockname()[1])
            if port not in self._ports_used:
                self._ports_used.add(port)
                return port
            self._listener.close()

    async def _stop(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            # First nothing more is accepted, and only at the end it is closed: a server that is closed while a
            # connection is on its way from one to the other leaves its socket open (in Python before 3.12.1).
            for listening in listener.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
        deadline = time.monotonic() + PATIENCE
        # Also what was accepted at the last moment and has not come to `_accept` yet: cancelled once it has.
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            assert time.monotonic() < deadline, f"still at work: {rest}"
            for writer in self._connections.values():
                writer.transport.abort()
            for task in self._serving:
                task.cancel()
            await asyncio.wait(rest, timeout=0.01)
        if listener is not None:
            listener.close()
        await asyncio.sleep(0)  # transports close in the loop's next round

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._serving.add(task)
        with self._changed:
            self._accepted += 1
            number = self._accepted
            self._connections[number] = writer
        try:
            while await self._serve_one(number, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left
        except asyncio.CancelledError:
            pass  # the server stops; asyncio would report a cancelled connection as an error
        except BaseException as error:
            self._faults.append(error)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
            self._serving.discard(task)
            with self._changed:
                del self._connections[number]
                self._changed.notify_all()

    async def _serve_one(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Reads and answers one request; returns whether the connection can go on."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return False
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        said = f"{method} {path}"
        known: list[Operation] = [name for prefix, name in _BY_PREFIX.items() if said.startswith(prefix)]
        operation: Operation = known[0] if known else "unknown"
        call = Call(operation, method, path, headers, b"", number, time.monotonic())
        queue = self._script.get(operation)
        step = queue.popleft() if queue else self._always.get(operation, self._as_usual)
        if not (isinstance(step, Lose | Answer) and step.before_body):
            call.body = await _read_body(reader, headers)
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()
        if callable(step):
            step = step(call)
        for observe in observers:
            observe(call, step)
        if isinstance(step, Lose):
            if step.reset:
                reset(writer)
            return False
        if isinstance(step, Answer):
            goes_on = await self._answer(step, writer)
            if step.before_body:
                await _closed_by_client(reader)
            return goes_on and not step.before_body
        return await self._stream(step, call, reader, writer)

    async def _answer(self, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        if answer.when is not None:
            await answer.when.wait()
        if answer.lost:
            return False
        body, content_type = answer.body, "text/plain; charset=utf-8"
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, bytes):
            body, content_type = json.dumps(body).encode(), "application/json"
        length = len(body) if answer.length is None else answer.length
        headers = {"Content-Type": content_type, "Content-Length": str(length), **answer.headers}
        writer.write(_head(answer.status, headers) + body)
        await writer.drain()
        return answer.length is None

    async def _stream(
        self, stream: Stream, call: Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        headers = {"Content-Type": stream.content_type, "Cache-Control": "no-store"}
        headers |= {"Transfer-Encoding": "chunked"} if stream.chunked else {"Connection": "close"}
        if stream.when is not None:
            await stream.when.wait()
        writer.write(_head(stream.status, headers))
        leaving = asyncio.ensure_future(_closed_by_client(reader))
        playing = asyncio.ensure_future(self._play(stream, writer))
        try:
            await asyncio.wait({leaving, playing}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done() or playing.exception() is not None:
                with self._changed:
                    call.left = True
                    self._changed.notify_all()
            elif stream.end == "reset":
                reset(writer)
            return playing.done() and not call.left and stream.end == "close" and stream.chunked
        finally:
            for task in (leaving, playing):
                task.cancel()
            await asyncio.gather(leaving, playing, return_exceptions=True)

    @staticmethod
    async def _play(stream: Stream, writer: asyncio.StreamWriter) -> None:
        for chunk in stream.chunks:
            if isinstance(chunk, Gate):
                await chunk.wait()
            elif chunk:
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if stream.chunked else chunk)
                await writer.drain()
        if stream.end == "open":
            await asyncio.Event().wait()
        if stream.end == "close" and stream.chunked:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    def _kept(self, call: Call) -> str:
        name = f"content-{len(self.contents)}"
        self.contents[name] = call.body
        return f"{self.url.removesuffix('/api')}/files-here/{name}"

    def _announced(self) -> str:
        name = f"content-{len(self.contents)}"
        self.contents[name] = b""
        return f"{self.url.removesuffix('/api')}/streams-here/{name}"

    def _as_usual(self, call: Call) -> Answer | Stream:
        """Answers like a service whose tasks succeed at once."""
        last = call.path.rpartition("/")[2]
        match call.operation:
            case "prepare":
                self._tasks_made += 1
                return prepared(self, f"task-{self._tasks_made}")
            case "finalize":
                return started(self, last.partition("?")[0])
            case "watch":
                return from_position(event(1, "taskStart", input=None), end(2, "done"))(call)
            case "watch-all":
                return Stream(end="open")
            case "get":
                return report("running")
            case "upload":
                return Answer(200, {"url": self._kept(call), "mime": call.mime, "size": len(call.body)})
            case "register":
                return Answer(200, {"url": self._announced(), "mime": call.mime})
            case "send" | "download" | "download-stream" if last not in self.contents:
                return Answer(404, "there is no such content")
            case "send":
                self.contents[last] = call.body
                return Answer(200)
            case "download":
                return Answer(200, self.contents[last], {"Content-Type": "application/octet-stream"})
            case "download-stream":
                whole = frame(0, self.contents[last]) + frame(1, b"")
                return Answer(200, whole, {"x-requence-stream-protocol": "framed"})
            case "types":
                return Answer(200, {})
            case "unknown":
                return Answer(404, "there is no such path")
            case _:
                return Answer(200)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'As Scripted')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return bytes(body)


async def _closed_by_client(reader: asyncio.StreamReader) -> None:
    # Polled, since to read would take bytes of the next request.
    while not (reader.at_eof() or reader.exception()):
        await asyncio.sleep(0.005)


def reset(writer: asyncio.StreamWriter) -> None:
    """Closes a connection so that the other side is told of a reset, not of an end, if it is still there."""
    if writer.transport.is_closing():
        return
    found: object = writer.get_extra_info("socket")
    cast("socket.socket", found).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def prepared(server: ScriptedServer, task_id: str, **more: Any) -> Answer:
    """The usual answer to prepare; `more` replaces its fields."""
    root = server.url.removesuffix("/api")
    usual = {"taskId": task_id, "finalizeUrl": f"{root}/start-here/{task_id}?key=%2F1", "branch": "live"}
    return Answer(200, usual | more)


def started(server: ScriptedServer, task_id: str, **more: Any) -> Answer:
    """The usual answer to finalize; `more` replaces its fields."""
    root = server.url.removesuffix("/api")
    urls = {"watch": f"{root}/follow-here/{task_id}?key=%2F2", "show": f"{root}/page/{task_id}"}
    return Answer(200, {"taskId": task_id, "urls": urls} | more)


def prepared_for_files(server: ScriptedServer, task_id: str, **limits: int) -> Answer:
    """The answer to prepare of a service that takes files and streams, with these limits if there are any."""
    root = server.url.removesuffix("/api")
    urls = {
        "uploadUrl": f"{root}/files-here/for/{task_id}",
        "streamUrl": f"{root}/streams-here/new/{task_id}",
    }
    return prepared(server, task_id, fileUrls=urls, **({"limits": limits} if limits else {}))


def frame(kind: int, payload: bytes) -> bytes:
    """Returns one frame of a framed stream."""
    return bytes([kind]) + len(payload).to_bytes(4, "big") + payload


def report(status: str, **more: Any) -> Answer:
    """The usual answer to get."""
    usual: dict[str, Any] = {"status": status, "nodesData": [], "nodesError": []}
    return Answer(200, usual | more)


def event(position: int | None, name: str, **payload: Any) -> bytes:
    """Returns one event.

    Args:
        position: Its id; None for an event without one.
        name: Its kind.
        **payload: Its fields beside those that the contract wants of all events of this kind; the value `...`
            leaves a field out.
    """
    usual = {"timestamp": "2026-01-31T12:00:00.250Z", "updateId": str(uuid4())} | _USUAL.get(name, {})
    fields = {key: value for key, value in (usual | payload).items() if value is not ...}
    numbered = [] if position is None else [f"id: {position}"]
    return "\n".join([*numbered, f"event: {name}", f"data: {json.dumps(fields)}", "", ""]).encode()


def end(position: int | None, result: Any = None, **payload: Any) -> bytes:
    """Returns the last event of a task that succeeded."""
    return event(position, "taskEnd", result=result, **payload)


def from_position(*events: bytes, **settings: Any) -> Callable[[Call], Stream]:
    """Returns a step that plays the events after the position which the request names."""

    def play(call: Call) -> Stream:
        return Stream(list(_after(call.json.get("lastPosition"), events)), **settings)

    return play


def _after(position: int | None, events: Iterable[bytes]) -> Iterable[bytes]:
    for one in events:
        first = one.partition(b"\n")[0]
        number = int(first[4:]) if first.startswith(b"id: ") else None
        if position is None or number is None or number > position:
            yield one


def check_nothing_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """Checks, when the handles of a test are gone, that nothing runs for them, and that asyncio had no complaints.

    Raises:
        AssertionError: Something is left.
    """
    gc.collect()
    left = io_thread().run(_left_running)
    assert not left, f"still there: {left}"
    gc.collect()
    records = (*caplog.get_records("call"), *caplog.get_records("teardown"))
    said = [record.getMessage() for record in records if record.name == "asyncio"]
    # In its debug mode asyncio also says when a step was slow, which is no fault on a busy machine.
    complaints = [message for message in said if not message.startswith("Executing ")]
    assert not complaints, f"asyncio complained: {complaints}"


async def _left_running() -> list[str]:
    """Returns tasks, threads beside our two, and connections in use; waits for a while for there to be none."""
    own = asyncio.current_task()
    deadline = time.monotonic() + PATIENCE / 2
    while True:
        tasks = [repr(task) for task in asyncio.all_tasks() if task is not own]
        threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("requence-")]
        # Private to aiohttp, but nothing else tells those in use from those that are kept for the next request.
        in_use = len(cast("Any", session()._http.connector)._acquired)
        sockets = [f"{in_use} connections in use"] if in_use else []
        left = [*tasks, *set(threads) - {"requence-io", "requence-io-worker", "requence-local"}, *sockets]
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.005)
