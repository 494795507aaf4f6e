"""Event streams: from where they begin, how they end, and what a slow reader costs."""

from __future__ import annotations

import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, BinaryIO

import pytest
from tests.local.api import Api, Connect, events_of

from requence.local import LocalServer, NodeContext, TaskTemplate, app

FROM_THE_START = {"since": "2000-01-01"}

both = pytest.mark.parametrize("path", ["/task/watch/{task_id}", "/task/watch-all"], ids=["one", "all"])


@pytest.fixture
def go() -> threading.Event:
    return threading.Event()


@pytest.fixture
def running(go: threading.Event) -> Iterator[LocalServer]:
    quick, paused, large = TaskTemplate("quick"), TaskTemplate("paused"), TaskTemplate("large")
    quick.node("n")(lambda ctx: 1)

    @paused.node
    def wait(ctx: NodeContext) -> None:
        go.wait(20)

    @large.node
    def produce(ctx: NodeContext) -> str:
        return "x" * 2**20

    last = produce
    for number in range(39):
        last = large.node(f"copy{number}", after=last)(lambda ctx: ctx.input)
    large.exit(after=last)
    with LocalServer(quick, paused, large) as server:
        yield server
        go.set()


@pytest.fixture
def api(running: LocalServer, connect: Connect) -> Api:
    return connect(running)


def positions(api: Api, task_id: str, **body: object) -> list[int]:
    return [event.position for event in api.watch(task_id, **body)]


def test_an_ended_task_is_replayed_and_the_stream_closes(api: Api) -> None:
    task_id = api.start("quick")
    assert positions(api, task_id) == [1, 2, 3, 4, 5]
    assert positions(api, task_id) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (0, [1, 2, 3, 4, 5]),
        (3, [4, 5]),
        (3.0, [4, 5]),
        (5, []),
        (99, []),
        (-7, [1, 2, 3, 4, 5]),
        (10**30, []),
    ],
)
def test_a_position_counts_and_since_is_left_aside(api: Api, last: float, expected: list[int]) -> None:
    task_id = api.start("quick")
    list(api.watch(task_id))
    assert positions(api, task_id, lastPosition=last) == expected
    assert positions(api, task_id, lastPosition=last, since="2999-01-01") == expected


def test_since_is_inclusive_and_reads_times_as_utc(api: Api) -> None:
    events = list(api.watch(api.start("quick")))
    task_id = events[0].payload["taskId"]
    at = datetime.fromisoformat(events[2].payload["timestamp"])
    expected = [e.position for e in events if datetime.fromisoformat(e.payload["timestamp"]) >= at]
    assert positions(api, task_id, since=at.isoformat()) == expected
    assert positions(api, task_id, since=at.astimezone().isoformat()) == expected
    assert positions(api, task_id, since=at.replace(tzinfo=None).isoformat()) == expected
    assert positions(api, task_id, since=at.date().isoformat()) == [1, 2, 3, 4, 5]
    assert positions(api, task_id, since=(at + timedelta(days=1)).date().isoformat()) == []


def test_a_reader_is_served_while_the_task_runs(api: Api, go: threading.Event) -> None:
    task_id = api.start("paused")
    stream = api.watch(task_id)
    assert [next(stream).name, next(stream).name] == ["taskStart", "nodeStart"]
    go.set()
    assert [event.name for event in stream] == ["nodeUpdate", "nodeEnd", "taskEnd"]


def test_a_reader_may_come_before_the_task_was_started(
    api: Api, connect: Connect, running: LocalServer
) -> None:
    task_id = api.prepare("quick")
    with api.http.stream("POST", f"/task/watch/{task_id}", json={"since": None}) as answer:
        assert connect(running).finalize(task_id).status_code == 200
        assert [event.position for event in events_of(answer.iter_lines())] == [1, 2, 3, 4, 5]


@both
def test_the_stream_is_chunked_with_one_flush_per_event(api: Api, path: str) -> None:
    task_id = api.start("quick")
    list(api.watch(task_id))
    path = path.format(task_id=task_id)
    with api.http.stream("POST", path, json=FROM_THE_START) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in answer.headers
    with socket.create_connection(("127.0.0.1", int(api.url.rsplit(":", 1)[1])), timeout=20) as connection:
        body = json.dumps(FROM_THE_START)
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: {api.url[7:]}\r\nConnection: close\r\n"
            f"Authorization: Bearer {api.bearer}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        with connection.makefile("rb") as answered:
            while answered.readline().strip():
                pass
            chunks = [chunk_of(answered) for _ in range(5)]
            if "all" not in path:
                assert chunk_of(answered) == b""
    assert [chunk.split(b"\n")[0] for chunk in chunks] == [b"id: %d" % n for n in range(1, 6)]
    assert all(chunk.endswith(b"}\n\n") and chunk.count(b"\n") == 4 for chunk in chunks)


def chunk_of(answered: BinaryIO) -> bytes:
    chunk = answered.read(int(answered.readline(), 16))
    assert answered.readline() == b"\r\n"
    return chunk


@both
def test_a_silent_stream_shows_that_it_is_alive(
    api: Api, path: str, go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert app._KEEP_ALIVE_SECONDS == 15
    monkeypatch.setattr(app, "_KEEP_ALIVE_SECONDS", 0.02)
    task_id = api.start("paused")
    path = path.format(task_id=task_id)
    with api.http.stream("POST", path, json={**FROM_THE_START, "lastPosition": 2}) as answer:
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(4)] == [": keep-alive", "", ": keep-alive", ""]
        go.set()
        assert [event.position for event in islice(events_of(lines), 3)] == [3, 4, 5]


@both
def test_a_reader_that_stops_reading_costs_no_memory_and_misses_nothing(api: Api, path: str) -> None:
    task_id = api.start("large")
    assert list(api.watch(task_id, lastPosition=119))[-1].name == "taskEnd"
    state_size = 41 * 2**20
    tracemalloc.start()
    try:
        with api.http.stream("POST", path.format(task_id=task_id), json=FROM_THE_START) as answer:
            chunks = answer.iter_raw(65_536)
            next(chunks)
            before, _ = tracemalloc.get_traced_memory()
            wait_for_quiet()
            now, _ = tracemalloc.get_traced_memory()
            assert now - before < state_size / 8
            size = 0
            while size < 40 * 2**20:
                size += len(next(chunks))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < state_size / 3


def api_is_busy() -> bool:
    """Whether the process has used CPU time lately."""
    before = time.process_time()
    time.sleep(0.05)
    return time.process_time() - before > 0.02


def test_two_readers_at_different_speeds_see_the_same(running: LocalServer, connect: Connect) -> None:
    first, second = connect(running), connect(running)
    task_id = first.start("large")
    slow = first.watch(task_id)
    seen: list[Any] = [next(slow)]
    whole = [event.position for event in second.watch(task_id)]
    seen += slow
    assert [event.position for event in seen] == whole == list(range(1, 123))


@both
def test_many_who_stop_reading_in_a_large_event_share_it(connect: Connect, path: str) -> None:
    template = TaskTemplate("large")
    template.node("n")(lambda ctx: "x" * ctx.input)
    size = 8 * 2**20
    with LocalServer(template, strict=False) as server, ExitStack() as stack:
        api = connect(server)
        task_id = api.start("large", size)
        assert list(api.watch(task_id))[-1].name == "taskEnd"
        position = 3 if "all" not in path else 2
        tracemalloc.start()
        try:
            readers: list[Iterator[bytes]] = []
            first = b""
            for _ in range(8):
                answer = stack.enter_context(
                    connect(server).http.stream(
                        "POST",
                        path.format(task_id=task_id),
                        json={**FROM_THE_START, "lastPosition": position - 1},
                    )
                )
                readers.append(answer.iter_raw(65_536))
                first = next(readers[-1])
            wait_for_quiet()
            now, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert now < 3 * size
        seen = first
        while seen.count(b"\n\n") < 2:
            seen += next(readers[-1])
        events = events_of(iter(seen.decode().splitlines()))
        assert len(next(event for event in events if event.name == "nodeUpdate").payload["data"]) == size


def wait_for_quiet() -> None:
    """Waits until the server has nothing more to do: what it has not sent now, it keeps."""
    deadline = time.monotonic() + 20
    while api_is_busy() and time.monotonic() < deadline:
        time.sleep(0.01)
