"""The stream of all tasks: what is in it, from where it begins, and that it does not end."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import endless, failing, greeting
from tests.local.api import Api, Connect, Received
from tests.local.contract import EVENT_SCHEMAS, fits

from requence.local import LocalServer, NodeContext, TaskTemplate, app

TERMINAL = ("taskEnd", "taskError", "taskAborted")


@pytest.fixture
def running() -> Iterator[LocalServer]:
    retried, calls = TaskTemplate("retried"), Counter[str]()

    @retried.node
    def second_time(ctx: NodeContext) -> str:
        calls[ctx.task_id] += 1
        return "done" if calls[ctx.task_id] > 1 else ctx.retry(100)

    with LocalServer(greeting(), failing(), endless(), retried) as server:
        yield server


@pytest.fixture
def api(running: LocalServer, connect: Connect) -> Api:
    return connect(running)


@pytest.fixture
def short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream with nothing left to send says so soon."""
    monkeypatch.setattr(app, "_KEEP_ALIVE_SECONDS", 0.05)


def until_ended(events: Iterator[Received], tasks: int) -> Iterator[Received]:
    """Yields events until so many tasks have ended."""
    while tasks:
        event = next(events)
        yield event
        tasks -= event.name in TERMINAL


def so_far(api: Api, **body: object) -> list[int]:
    """The positions that a stream sends before it has nothing more to send. Needs `short_silence`."""
    positions: list[int] = []
    with api.http.stream("POST", "/task/watch-all", json={"since": "2000-01-01", **body}) as answer:
        for line in answer.iter_lines():
            if line.startswith(":"):
                return positions
            if line.startswith("id: "):
                positions.append(int(line[4:]))
    raise AssertionError("the server has ended the stream")


def test_all_events_of_all_tasks_come_in_the_order_in_which_they_happened(api: Api) -> None:
    prepared = api.prepare("endless")
    tasks = [api.start(name, {}) for name in ("my-template", "failing", "my-template", "endless")]
    with api.watch_all() as everything:
        events = list(until_ended(everything, 3))
        api.post("abort", tasks[-1], b"enough")
        api.post("abort", prepared)
        events += until_ended(everything, 2)
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    times = [event.payload["timestamp"] for event in events]
    assert times == sorted(times)
    assert {event.payload["taskId"] for event in events} == {prepared, *tasks}
    for task_id in (prepared, *tasks):
        in_all = [(event.name, event.payload) for event in events if event.payload["taskId"] == task_id]
        belongs = {"task_id": task_id, "rootTaskId": None}
        assert in_all == [(event.name, {**event.payload, **belongs}) for event in api.watch(task_id)]


def test_every_event_fits_the_contract(api: Api) -> None:
    names = ("my-template", "failing", "retried", "endless")
    *_, lasting = [api.start(name, {}) for name in names]
    with api.watch_all() as everything:
        events = list(until_ended(everything, 3))
        api.post("abort", lasting)
        events += until_ended(everything, 1)
    assert {event.name for event in events} == set(EVENT_SCHEMAS)
    assert [event for event in events if not fits(EVENT_SCHEMAS[event.name], event.payload)] == []


def test_events_come_while_tasks_run_and_the_stream_outlives_them(api: Api) -> None:
    with api.watch_all() as everything:
        for _ in range(2):
            task_id = api.start("endless")
            assert [next(everything).name, next(everything).name] == ["taskStart", "nodeStart"]
            api.post("abort", task_id)
            assert next(everything).name == "taskAborted"


def test_many_readers_see_the_same(api: Api) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(api.watch_all()) for _ in range(20)]
        api.start("my-template", {})
        api.start("failing")
        first, *others = (list(until_ended(stream, 2)) for stream in streams)
    assert all(other == first for other in others)


@pytest.mark.usefixtures("short_silence")
@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (0, [1, 2, 3, 4, 5, 6, 7]),
        (4, [5, 6, 7]),
        (4.0, [5, 6, 7]),
        (7, []),
        (99, []),
        (-7, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_a_position_counts_and_since_is_left_aside(api: Api, last: float, expected: list[int]) -> None:
    api.run("failing")
    assert so_far(api, lastPosition=last) == expected
    assert so_far(api, lastPosition=last, since="2999-01-01") == expected
    assert so_far(api, lastPosition=10**30) == []


@pytest.mark.usefixtures("short_silence")
def test_a_reader_that_comes_back_misses_nothing(api: Api) -> None:
    api.start("my-template", {})
    with api.watch_all() as everything:
        seen = list(islice(everything, 3))
    api.start("failing")
    with api.watch_all(since="2999-01-01", lastPosition=seen[-1].position) as everything:
        seen += until_ended(everything, 2)
    assert [event.position for event in seen] == so_far(api)


@pytest.mark.usefixtures("short_silence")
def test_since_is_inclusive_and_reads_times_as_utc(api: Api) -> None:
    api.run("failing")
    api.run("my-template", {})
    with api.watch_all() as everything:
        events = list(until_ended(everything, 2))
    at = datetime.fromisoformat(events[5].payload["timestamp"])
    expected = [e.position for e in events if datetime.fromisoformat(e.payload["timestamp"]) >= at]
    assert so_far(api, since=at.isoformat()) == expected
    assert so_far(api, since=at.astimezone().isoformat()) == expected
    assert so_far(api, since=at.replace(tzinfo=None).isoformat()) == expected
    assert so_far(api, since=at.date().isoformat()) == [event.position for event in events]
    assert so_far(api, since=(at + timedelta(days=1)).date().isoformat()) == []


@pytest.mark.usefixtures("short_silence")
def test_events_before_since_are_silence(running: LocalServer, connect: Connect) -> None:
    """Also those that happen, however often, while somebody waits for later ones."""
    enough = threading.Event()

    def keep_busy(api: Api) -> None:
        while not enough.is_set():
            api.run("failing")

    busy = threading.Thread(target=keep_busy, args=(connect(running),))
    busy.start()
    try:
        with connect(running).http.stream("POST", "/task/watch-all", json={"since": "2999-01-01"}) as answer:
            assert list(islice(answer.iter_lines(), 6)) == [": keep-alive", ""] * 3
    finally:
        enough.set()
        busy.join()


@pytest.mark.usefixtures("short_silence")
def test_times_need_not_rise_with_positions(tmp_path: Path, connect: Connect) -> None:
    """As after a clock was set back."""
    db = tmp_path / "tasks.db"
    with LocalServer(failing(), db=db) as server:
        connect(server).run("failing")
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE events SET at = '2999-01-01T00:00:00.000000Z' WHERE number IN (2, 4)")
    with LocalServer(failing(), db=db) as server:
        assert so_far(connect(server), since="2998-01-01") == [2, 4]
        assert so_far(connect(server)) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.usefixtures("short_silence")
def test_positions_go_on_after_a_restart(tmp_path: Path, connect: Connect) -> None:
    db = tmp_path / "tasks.db"
    with LocalServer(failing(), db=db) as server:
        connect(server).run("failing")
    with LocalServer(failing(), db=db) as server:
        api = connect(server)
        api.run("failing")
        assert so_far(api) == list(range(1, 15))
        assert so_far(api, lastPosition=7) == list(range(8, 15))


def test_the_stream_ends_with_the_server(connect: Connect) -> None:
    with ExitStack() as stack:
        with LocalServer(failing()) as server:
            everything = stack.enter_context(connect(server).watch_all())
            connect(server).start("failing")
            assert len(list(until_ended(everything, 1))) == 7
        assert list(everything) == []


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"since": None},
        {"since": None, "lastPosition": 3},
        {"lastPosition": 3},
        {"since": 5},
        {"since": ""},
        {"since": "yesterday"},
        {"since": "yesterday", "lastPosition": 3},
        {"since": "2026-01-31", "lastPosition": "3"},
        {"since": "2026-01-31", "lastPosition": 1.5},
        {"since": "2026-01-31", "lastPosition": None},
        {"since": "2026-01-31", "more": "x" * 70_000},
        [],
    ],
    ids=str,
)
def test_what_makes_no_sense_is_400(api: Api, sent: Any) -> None:
    answer = api.http.post("/task/watch-all", json=sent)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe"])
def test_what_is_not_json_is_400(api: Api, raw: bytes) -> None:
    assert api.http.post("/task/watch-all", content=raw).status_code == 400


@pytest.mark.parametrize("authorization", ["", "Bearer wrong"])
def test_without_the_bearer_nothing_is_told(api: Api, authorization: str) -> None:
    headers = {"Authorization": authorization}
    answer = api.http.post("/task/watch-all", json={"since": "2000-01-01"}, headers=headers)
    assert answer.status_code == 401
    assert api.bearer not in answer.text
