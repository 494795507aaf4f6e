"""The scripted service of the benchmarks: answers that are rendered before they are asked for.

    .venv/bin/python -m benchmarks.side_by_side.server

It prints its URL, and serves until its standard input ends. It knows as much of the protocol as the programs need,
so that it is not what is measured. The name of a template says what its tasks do:

- `plain`: nothing, for starts;
- `five`: five updates, all there when they are asked for;
- `many-100000`: so many updates, each in a chunk of its own, as a service flushes them;
- `text-4194304`: one update with a text of so many bytes;
- `held`: nothing until `POST /release`, which ends all of them; `GET /held` tells how many streams wait for that.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Callable, Iterator
from email.utils import formatdate
from itertools import chain, count

PIECE = 256 * 1024  # bytes that are written at once
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
STREAM_END = b"0\r\n\r\n"


def answer(value: object, more: str = "") -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def event(position: int, name: str, task_id: str, **fields: object) -> bytes:
    """Returns an event as one chunk."""
    payload = {
        "timestamp": "2026-01-31T12:00:00.250Z",
        "taskId": task_id,
        "updateId": f"c1d2a7f0-0000-4000-8000-{position:012d}",
        "name": "Import",
        **fields,
    }
    text = f"id: {position}\nevent: {name}\ndata: {json.dumps(payload)}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(text), text)


def start_event(position: int, task_id: str) -> bytes:
    return event(position, "taskStart", task_id, input={"name": "World"})


def end_event(position: int, task_id: str) -> bytes:
    return event(position, "taskEnd", task_id, result={"text": "Hello World"}, exit=None, requireAck=False)


def node(number: int) -> dict[str, object]:
    return {"id": f"9a1e0000-0000-4000-8000-{number:012d}", "type": "service", "alias": f"node{number}"}


def script(task_id: str) -> bytes:
    """Returns all events of a task, whose id is the name of its template."""
    kind, _, size = task_id.partition("-")
    if kind == "five":
        middle = [
            event(2, "nodeStart", task_id, node=node(1)),
            event(3, "nodeUpdate", task_id, node=node(1), data={"text": "Hello World"}, output=None),
            event(4, "nodeEnd", task_id, node=node(1)),
        ]
    elif kind == "many":
        middle = [
            event(
                position,
                "nodeUpdate",
                task_id,
                node=node(position % 10),
                data={"page": position},
                output=None,
            )
            for position in range(2, int(size))
        ]
    elif kind == "text":
        line = "The quick brown fox jumps over the lazy dog, and then it does so once again.\n"
        text = (line * (int(size) // len(line) + 1))[: int(size)]
        middle = [event(2, "nodeUpdate", task_id, node=node(1), data=text, output=None)]
    else:
        middle = []
    return b"".join((start_event(1, task_id), *middle, end_event(len(middle) + 2, task_id)))


class Service:
    """What all connections share."""

    def __init__(self) -> None:
        self.base = ""
        self.numbers = count(1)
        self.positions = count(1)
        self.answers: dict[str, bytes] = {}
        self.scripts: dict[str, bytes] = {}
        self.held: dict[str, Connection] = {}
        self.watching_all: list[Connection] = []
        self.log: list[bytes] = []  # what watch-all has shown
        self.ends: dict[str, bytes] = {}  # of the held tasks, for release
        self.routes: dict[str, Callable[[Connection, str], None]] = {
            "/task/prepare/": self.prepare,
            "/task/finalize/": self.finalize,
            "/task/watch/": self.watch,
            "/task/watch-all": self.watch_all,
            "/release": self.release,
            "/held": self.count_held,
        }

    def handle(self, connection: Connection, path: str) -> None:
        """Answers a request."""
        known = self.answers.get(path)
        if known is not None:
            connection.write(known)
            return
        for prefix, handler in self.routes.items():
            if path.startswith(prefix):
                handler(connection, path.removeprefix(prefix))
                return
        connection.write(answer({"status": "running", "nodesData": [], "nodesError": []}))  # GET /task/…

    def prepare(self, connection: Connection, template: str) -> None:
        """Reserves a task."""
        task_id, more = template, ""
        if template == "held":
            # The client's shared stream compares the service's clock with the task's, and needs an id for each.
            task_id, more = f"held-{next(self.numbers):08d}", f"Date: {formatdate(usegmt=True)}\r\n"
        prepared = {
            "taskId": task_id,
            "finalizeUrl": f"{self.base}/task/finalize/{task_id}",
            "branch": "live",
        }
        rendered = answer(prepared, more)
        if task_id == template:
            self.answers[f"/task/prepare/{template}"] = rendered
            self.scripts[template] = script(template)
        connection.write(rendered)

    def finalize(self, connection: Connection, task_id: str) -> None:
        """Starts it."""
        urls = {"watch": f"{self.base}/task/watch/{task_id}", "show": f"{self.base}/tasks/{task_id}"}
        rendered = answer({"taskId": task_id, "urls": urls})
        connection.write(rendered)
        if task_id.startswith("held-"):
            # In the order of starts, which is not that of ids; and all ends come after all starts.
            position = next(self.positions)
            self.ends[task_id] = end_event(10**9 + position, task_id)
            begun = start_event(position, task_id)
            self.log.append(begun)
            for watcher in self.watching_all:
                watcher.write(begun)
        else:
            self.answers[f"/task/finalize/{task_id}"] = rendered

    def watch(self, connection: Connection, task_id: str) -> None:
        """Begins the stream of one task; that of a held one stays open."""
        connection.write(STREAM_HEAD)
        if task_id.startswith("held-"):
            self.held[task_id] = connection
            connection.write(start_event(1, task_id))
        else:
            connection.send(self.scripts[task_id] + STREAM_END)

    def watch_all(self, connection: Connection, _: str) -> None:
        """Begins the stream of all held tasks, which stays open."""
        connection.write(STREAM_HEAD)
        self.watching_all.append(connection)
        connection.send(b"".join(self.log))

    def release(self, connection: Connection, _: str) -> None:
        """Ends all held tasks."""
        connection.write(answer({}))
        for task_id, held in self.held.items():
            held.write(self.ends[task_id] + STREAM_END)
        for watcher in self.watching_all:
            watcher.send(b"".join(self.ends.values()))
        self.forget()

    def count_held(self, connection: Connection, _: str) -> None:
        """Tells how many streams are open that have shown all there was."""
        streams = (*self.held.values(), *self.watching_all)
        connection.write(answer(sum(stream.has_sent for stream in streams)))

    def forget(self) -> None:
        """Begins afresh."""
        self.held.clear()
        self.watching_all.clear()
        self.log.clear()
        self.ends.clear()


class Connection(asyncio.Protocol):
    """One connection: finds the requests in what arrives, and writes large answers at the reader's pace."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""
        self._rest: Iterator[bytes] = iter(())
        self._to_send = 0  # bytes of the rest
        self._may_write = True
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: D102
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, _, rest = head.partition(b"content-length:")
            whole = end + 4 + (int(rest.partition(b"\r\n")[0]) if rest else 0)
            if len(self._received) < whole:
                return
            path = self._received[:end].split(b" ", 2)[1].decode()
            self._received = self._received[whole:]
            self._service.handle(self, path)

    def write(self, data: bytes) -> None:
        """Writes something small."""
        if self._transport is not None:
            self._transport.write(data)

    def send(self, data: bytes) -> None:
        """Writes something large, piece by piece."""
        view = memoryview(data)
        pieces = (bytes(view[begin : begin + PIECE]) for begin in range(0, len(data), PIECE))
        self._rest = chain(self._rest, pieces)
        self._to_send += len(data)
        self._go_on()

    def _go_on(self) -> None:
        while self._may_write and (piece := next(self._rest, None)) is not None:
            self._to_send -= len(piece)
            self.write(piece)

    @property
    def has_sent(self) -> bool:
        """Whether all that was written has gone out."""
        buffered = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return not self._to_send and not buffered

    def pause_writing(self) -> None:  # noqa: D102
        self._may_write = False

    def resume_writing(self) -> None:  # noqa: D102
        self._may_write = True
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002, D102
        self._transport = None
        self._rest = iter(())
        if self in self._service.watching_all:
            self._service.watching_all.remove(self)


async def serve() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop = asyncio.get_running_loop()
    service = Service()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=1024)
    service.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(service.base, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started it is gone


if __name__ == "__main__":
    asyncio.run(serve())
