"""`TaskWatcher` over real sockets, from a service that does everything a service and a network can do."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice
from typing import Any

import pytest
from tests.scripted_server import (
    BEARER,
    Answer,
    Gate,
    Lose,
    ScriptedServer,
    Step,
    Stream,
    event,
    from_position,
)

from requence.exceptions import ConfigurationError, UsageError
from requence.task import (
    RequenceUnreachableException,
    StreamEventTooLarge,
    StreamInterruptedError,
    Task,
    TaskException,
    TaskNotFoundError,
    TaskWatcher,
    UnauthorizedError,
    Update,
)
from requence.task.mailbox import Mailbox
from requence.task.states import TaskStates

SINCE = datetime(2026, 1, 31, 12, tzinfo=UTC)
NODE = {"id": "n1", "type": "service", "alias": "ocr"}


def of(position: int | None, task: str, name: str, **payload: Any) -> bytes:
    """An event of the stream of all tasks, as the platform is thought to send it."""
    return event(position, name, **{"taskId": task, "task_id": task, "rootTaskId": None, **payload})


ALL = (
    of(1, "a", "taskStart", input=1),
    of(2, "b", "nodeUpdate", node=NODE, data="late", output=None),
    of(3, "a", "nodeUpdate", node=NODE, data="text", output=None),
    of(4, "a", "taskEnd", result="done"),
    of(5, "b", "taskError", reason="broken"),
)


def take(watcher: TaskWatcher, count: int) -> list[tuple[Update, bool]]:
    """The next items of a watcher, in one iteration."""
    return list(islice(watcher.sync.updates, count))


def seen(items: list[tuple[Update, bool]]) -> list[tuple[str, str]]:
    return [(update.task_id, update.type) for update, _ in items]


def bodies(server: ScriptedServer) -> list[dict[str, Any]]:
    return [call.json for call in server.calls("watch-all")]


class Heard:
    """Callbacks that write down what they were told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._changed = threading.Condition()

    def __getitem__(self, name: str) -> Callable[..., None]:
        def note(*args: Any) -> None:
            with self._changed:
                self.calls.append((name, *args))
                self._changed.notify_all()

        return note

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]

    def until(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.calls) >= count, timeout=10), self.calls

    def all(self) -> dict[str, Any]:
        names = ("on_connect", "on_reconnecting", "on_error", "on_unreachable")
        return {name: self[name] for name in names}


# What it gives


def test_updates_of_all_tasks_with_their_contexts(server: ScriptedServer) -> None:
    server.always("watch-all", from_position(*ALL, end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        items = take(watcher, 5)
    assert seen(items) == [
        ("a", "taskStart"),
        ("b", "nodeUpdate"),
        ("a", "nodeUpdate"),
        ("a", "taskEnd"),
        ("b", "taskError"),
    ]
    assert [incomplete for _, incomplete in items] == [False, True, False, False, True]
    assert [update.incomplete for update, _ in items] == [False, True, False, False, True]
    assert [update.position for update, _ in items] == [1, 2, 3, 4, 5]
    end = items[3][0]
    assert end.context.input == 1
    assert end.context.get_node_data("ocr") == "text"
    assert end.context.result == end["context"]["result"] == "done"
    assert items[2][0].context.result is None  # each has a snapshot of its own
    failed = items[4][0]
    assert failed.context.get_node_data("ocr") == "late"
    assert bodies(server) == [{"since": "2026-01-31T12:00:00Z"}]
    assert server.operations == ["watch-all"]


def test_it_goes_on_after_tasks_have_ended(server: ScriptedServer) -> None:
    ends = [of(number, f"t{number}", "taskEnd", result=number) for number in range(1, 4)]
    again = of(4, "t1", "nodeEnd", node=NODE)
    server.always("watch-all", from_position(*ends, again, end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        items = take(watcher, 4)
    assert [update.context.result for update, _ in items] == [1, 2, 3, None]  # the state of `t1` was dropped
    assert items[3][1] is True


@pytest.mark.parametrize("spelling", ["taskId", "task_id"])
def test_either_spelling_names_the_task(server: ScriptedServer, spelling: str) -> None:
    named = event(1, "taskStart", input=1, **{spelling: "a"})
    nameless = event(2, "nodeEnd", node=NODE)
    server.always("watch-all", from_position(named, nameless, of(3, "a", "taskEnd"), end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        items = take(watcher, 2)
    assert seen(items) == [("a", "taskStart"), ("a", "taskEnd")]
    assert items[0][0]["taskId"] == items[0][0].task_id == "a"


def test_the_root_task_is_on_every_update(server: ScriptedServer) -> None:
    log = (
        of(1, "sub", "taskStart", rootTaskId="top", input=None),
        event(2, "nodeEnd", taskId="sub", node=NODE),
        of(3, "sub", "taskEnd", result=None),
        of(4, "top", "taskEnd", result=None),
    )
    server.always("watch-all", from_position(*log, end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        updates = [update for update, _ in take(watcher, 4)]
    assert [update.root_task_id for update in updates] == ["top", "top", "top", None]
    assert [update["rootTaskId"] for update in updates] == ["top", "top", "top", None]
    assert [update["root_task_id"] for update in updates] == ["top", "top", "top", None]


def test_only_some_types_are_handed_on_but_all_count(server: ScriptedServer) -> None:
    last = of(4, "a", "taskEnd", result="done", requireAck=True)
    other = of(5, "b", "taskError", reason="broken", requireAck=True)
    server.always("watch-all", from_position(*ALL[:3], last, other, end="open"))
    with TaskWatcher(SINCE, client=server.client, only=["taskEnd"]) as watcher:
        [(update, incomplete)] = take(watcher, 1)
    assert (update.type, incomplete) == ("taskEnd", False)
    assert update.context.get_node_data("ocr") == "text"
    assert [call.path for call in server.calls("ack")] == [
        "/api/task/ack/a"
    ]  # what is hidden is not acknowledged


async def test_async_iteration(server: ScriptedServer) -> None:
    server.always("watch-all", from_position(*ALL, end="open"))
    async with TaskWatcher(SINCE, client=server.client) as watcher:
        items: list[tuple[Update, bool]] = []
        async for update, incomplete in watcher.updates:
            items.append((update, incomplete))
            if len(items) == 5:
                break
        assert len(seen(items)) == 5
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(aiter(watcher)), 0.05)


def test_all_spellings_of_the_blocking_face(server: ScriptedServer) -> None:
    server.always("watch-all", from_position(*ALL, end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        first, incomplete = next(iter(watcher.sync().updates))
        second, _ = next(iter(watcher.sync.updates))
    assert (first.type, incomplete) == ("taskStart", False)
    assert second.type == "nodeUpdate"


@pytest.mark.parametrize(
    ("since", "sent"),
    [
        (datetime(2026, 1, 31, 12, 30, 15, 250_000, tzinfo=UTC), "2026-01-31T12:30:15.250000Z"),
        (datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))), "2026-01-31T10:00:00Z"),
        (datetime(2026, 1, 31, 12), datetime(2026, 1, 31, 12).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
        (date(2026, 1, 31), datetime(2026, 1, 31).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("2026-01-31T12:00:00.250Z", "2026-01-31T12:00:00.250000Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00Z"),
    ],
    ids=str,
)
def test_since_is_sent_with_its_offset(server: ScriptedServer, since: date | str, sent: str) -> None:
    with TaskWatcher(since, client=server.client):
        server.wait_until(lambda: len(server.calls("watch-all")) == 1)
    assert bodies(server) == [{"since": sent}]


def test_the_request(server: ScriptedServer) -> None:
    with TaskWatcher(SINCE, server.access_token):
        server.wait_until(lambda: len(server.calls("watch-all")) == 1)
    [call] = server.calls()
    assert (call.method, call.path) == ("POST", "/api/task/watch-all")
    assert call.headers["authorization"] == f"Bearer {BEARER}"
    assert call.headers["accept"] == "text/event-stream"


# Losing and finding the connection


@pytest.mark.parametrize(
    "drop",
    [
        Stream(ALL[:2], end="close"),
        Stream(ALL[:2], end="cut"),
        Stream(ALL[:2], end="reset"),
        Stream([*ALL[:2], ALL[2][:20]], end="cut"),
    ],
    ids=["closed", "cut", "reset", "half an event"],
)
def test_a_lost_connection_is_opened_again_from_its_position(server: ScriptedServer, drop: Stream) -> None:
    server.script("watch-all", drop)
    server.always("watch-all", from_position(*ALL, end="open"))
    heard = Heard()
    with TaskWatcher(SINCE, client=server.client, **heard.all()) as watcher:
        assert [update.position for update, _ in take(watcher, 5)] == [1, 2, 3, 4, 5]
        heard.until(3)
    assert heard.names() == ["on_connect", "on_reconnecting", "on_connect"]
    since = "2026-01-31T12:00:00Z"
    assert bodies(server) == [{"since": since}, {"since": since, "lastPosition": 2}]


def test_a_drop_before_the_first_event_does_not_move_since(server: ScriptedServer) -> None:
    server.script("watch-all", Lose(), Stream(end="close"), Stream(end="reset"))
    server.always("watch-all", from_position(*ALL, end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        assert len(take(watcher, 5)) == 5
    assert bodies(server) == [{"since": "2026-01-31T12:00:00Z"}] * 4


def test_a_replay_is_harmless(server: ScriptedServer) -> None:
    server.script("watch-all", Stream(ALL[:4], end="close"))
    server.always("watch-all", Stream(ALL, end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        items = take(watcher, 5)
    assert [update.position for update, _ in items] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_refusal_backs_off(server: ScriptedServer, status: int) -> None:
    server.script("watch-all", Answer(status, "not now", {"Retry-After": "1"}))
    server.always("watch-all", from_position(*ALL, end="open"))
    heard = Heard()
    with TaskWatcher(SINCE, client=server.client, **heard.all()) as watcher:
        take(watcher, 1)
        heard.until(3 if status in (502, 503, 504) else 2)
    first, second = server.calls("watch-all")
    assert second.at - first.at >= 1
    if status in (502, 503, 504):
        assert heard.names() == ["on_unreachable", "on_reconnecting", "on_connect"]
        error = heard.calls[0][1]
        assert isinstance(error, RequenceUnreachableException)
        assert error.status == status
    else:
        assert heard.names() == ["on_reconnecting", "on_connect"]


@pytest.mark.breaks_contract
@pytest.mark.parametrize(
    ("answer", "error", "status"),
    [
        (Answer(401, "who are you?"), UnauthorizedError, 401),
        (Answer(403, "not you"), UnauthorizedError, 403),
        (Answer(404, "no such thing"), TaskNotFoundError, 404),
        (Answer(410, "no longer"), TaskNotFoundError, 410),
        (Answer(307, "elsewhere", {"Location": "/elsewhere"}), TaskException, 307),
        (Answer(200, {"status": "running"}), TaskException, 200),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
@pytest.mark.parametrize("later", [False, True], ids=["at the start", "on reconnect"])
async def test_a_final_refusal_is_told_and_raised(
    server: ScriptedServer,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
    error: type[TaskException],
    status: int,
    later: bool,
) -> None:
    if later:
        server.script("watch-all", Stream(ALL[:2], end="close"))
    server.always("watch-all", answer)
    heard = Heard()
    watcher = TaskWatcher(SINCE, client=server.client, **heard.all())
    count = 0

    async def read() -> None:
        nonlocal count
        async for _ in watcher.updates:
            count += 1

    with pytest.raises(error) as caught:
        await read()
    assert count == (2 if later else 0)  # what came before it is not lost
    assert type(caught.value) is error
    name, told_status, reason = heard.calls[-1]
    assert (name, told_status, reason) == ("on_error", status, caught.value.message)
    assert heard.names() == (["on_connect", "on_reconnecting", "on_error"] if later else ["on_error"])
    with pytest.raises(error):
        await read()
    with pytest.raises(error):
        await asyncio.to_thread(lambda: next(iter(watcher.sync.updates)))
    assert len(server.calls("watch-all")) == (2 if later else 1)  # and it does not storm the service
    assert any(record.levelno == logging.ERROR for record in caplog.records)
    watcher.stop()


def test_a_service_that_is_gone_for_good(server: ScriptedServer) -> None:
    server.always("watch-all", Stream(ALL[:1], end="open"))
    heard = Heard()
    watcher = TaskWatcher(SINCE, client=server.client_with(patience=0.2), **heard.all())
    updates = iter(watcher.sync.updates)
    next(updates)
    server.go_away()
    with pytest.raises(StreamInterruptedError) as caught:
        next(updates)
    assert caught.value.position == 1
    assert heard.names()[0] == "on_connect"
    assert heard.names()[-1] == "on_error"
    assert set(heard.names()[1:-1]) == {"on_unreachable", "on_reconnecting"}


def test_an_event_that_is_too_large(server: ScriptedServer) -> None:
    large = of(2, "a", "nodeUpdate", node=NODE, data="x" * 5000, output=None)
    server.always("watch-all", from_position(ALL[0], large, end="open"))
    watcher = TaskWatcher(SINCE, client=server.client_with(max_event_size=1000))
    updates = iter(watcher.sync.updates)
    next(updates)
    with pytest.raises(StreamEventTooLarge) as caught:
        next(updates)
    assert (caught.value.position, caught.value.limit, caught.value.task_id) == (1, 1000, None)


@pytest.mark.breaks_contract
def test_a_damaged_event_is_skipped_whatever_it_was(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = b"id: 2\nevent: taskEnd\ndata: {half\n\n"
    server.always("watch-all", from_position(ALL[0], damaged, *ALL[2:], end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        assert [update.position for update, _ in take(watcher, 4)] == [1, 3, 4, 5]
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "position 2" in record.getMessage()


# The acknowledgement


@pytest.mark.parametrize("last", ["taskEnd", "taskError", "taskAborted"])
def test_an_outcome_is_acknowledged_before_it_is_handed_on(server: ScriptedServer, last: str) -> None:
    gate = Gate()
    server.script("ack", Answer(503), Answer(when=gate))
    server.always("watch-all", from_position(ALL[0], of(2, "a", last, requireAck=True), ALL[4], end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        updates = iter(watcher.sync.updates)
        next(updates)
        got: list[str] = []
        reader = threading.Thread(target=lambda: got.append(next(updates)[0].type))
        reader.start()
        server.wait_until(lambda: len(server.calls("ack")) == 2)
        assert not got
        gate.open()
        reader.join()
        assert got == [last]
        assert next(updates)[0].position == 5
    assert [call.path for call in server.calls("ack")] == ["/api/task/ack/a"] * 2


@pytest.mark.parametrize("answer", [Answer(404, "no"), Answer(500, "no"), Lose()], ids=repr)
def test_an_outcome_that_cannot_be_acknowledged_is_handed_on_and_logged(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, answer: Step
) -> None:
    server.always("ack", answer)
    server.always("watch-all", from_position(ALL[0], of(2, "a", "taskEnd", requireAck=True), end="open"))
    with TaskWatcher(SINCE, client=server.client_with(retries=0)) as watcher:
        assert [update.type for update, _ in take(watcher, 2)] == ["taskStart", "taskEnd"]
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "task a could not be acknowledged" in record.getMessage()


@pytest.mark.parametrize("settings", [{"ack": False}, {}], ids=["ack=False", "not asked for"])
def test_nothing_else_is_acknowledged(server: ScriptedServer, settings: dict[str, Any]) -> None:
    ack = bool(settings)
    server.always("watch-all", from_position(of(1, "a", "taskEnd", requireAck=ack), end="open"))
    with TaskWatcher(SINCE, client=server.client, **settings) as watcher:
        take(watcher, 1)
    assert "ack" not in server.operations


def test_several_iterations_acknowledge_once(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch-all", Stream([ALL[0], gate, of(2, "a", "taskEnd", requireAck=True)], end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        iterations = [iter(watcher.sync.updates) for _ in range(3)]
        next(iterations[0])
        threads = [threading.Thread(target=next, args=(iteration,)) for iteration in iterations]
        for thread in threads:
            thread.start()
        while (
            len(watcher._watching.broadcast._inboxes) < 3
        ):  # who comes later gets only what nobody has taken
            time.sleep(0.001)
        gate.open()
        for thread in threads:
            thread.join()
    assert len(server.calls("ack")) == 1


def test_a_handle_does_not_acknowledge_what_a_watcher_has(server: ScriptedServer) -> None:
    last = of(2, "task-1", "taskEnd", result="done", requireAck=True)
    server.always("watch-all", from_position(last, end="open"))
    server.always("watch", from_position(event(1, "taskEnd", result="done", requireAck=True)))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        take(watcher, 1)
    gc.collect()
    assert Task("t", require_ack=True, client=server.client).sync.result.result == "done"
    assert len(server.calls("ack")) == 1


# Stopping


async def test_stop_ends_every_iteration_at_once(server: ScriptedServer) -> None:
    server.always("watch-all", Stream(ALL[:1], end="open"))
    watcher = TaskWatcher(SINCE, client=server.client)

    async def read() -> int:
        return len([item async for item in watcher.updates])

    def read_blocking() -> int:
        return len(list(watcher.sync.updates))

    readers = [asyncio.create_task(read()), asyncio.create_task(asyncio.to_thread(read_blocking))]
    await server.until(lambda: len(server.calls("watch-all")) == 1)
    while len(watcher._watching.broadcast._inboxes) < 2:
        await asyncio.sleep(0.001)
    watcher.stop()
    for count in await asyncio.gather(*readers):
        assert count <= 1
    assert await asyncio.to_thread(read_blocking) == 0
    assert [item async for item in watcher] == []
    watcher.stop()
    assert repr(watcher) == "<TaskWatcher since 2026-01-31T12:00:00Z, stopped>"
    await server.until(lambda: server.calls("watch-all")[0].left)


def test_stop_while_the_service_is_away(server: ScriptedServer) -> None:
    server.always("watch-all", Answer(503, "", {"Retry-After": "60"}))
    watcher = TaskWatcher(SINCE, client=server.client)
    server.wait_until(lambda: len(server.calls("watch-all")) == 1)
    watcher.stop()
    assert list(watcher.sync.updates) == []


def test_what_was_confirmed_when_it_was_stopped_is_handed_on(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("ack", Answer(when=gate))
    last = of(2, "a", "taskEnd", requireAck=True)
    server.always("watch-all", from_position(ALL[0], last, ALL[4], end="open"))
    watcher = TaskWatcher(SINCE, client=server.client)
    updates = iter(watcher.sync.updates)
    next(updates)
    rest: list[str] = []
    reader = threading.Thread(target=lambda: rest.extend(update.type for update, _ in updates))
    reader.start()
    server.wait_until(lambda: len(server.calls("ack")) == 1)
    watcher.stop()
    reader.join(10)
    assert not reader.is_alive(), "it waits for the acknowledgement"
    assert rest == ["taskEnd"]
    gate.open()


def test_a_callback_that_stops_the_watcher_is_the_last(server: ScriptedServer) -> None:
    server.always("watch-all", from_position(*ALL, end="open"))
    heard = Heard()
    begun = threading.Event()

    def on_update(update: Update) -> None:
        begun.wait(10)
        heard["on_update"](update.position)
        watcher.stop()

    watcher = TaskWatcher(SINCE, client=server.client, on_update=on_update, on_error=heard["on_error"])
    begun.set()
    heard.until(1)
    assert list(watcher.sync.updates) == []
    assert heard.calls == [("on_update", 1)]


def test_stop_inside_the_loop(server: ScriptedServer) -> None:
    server.always("watch-all", from_position(*ALL, end="open"))
    watcher = TaskWatcher(SINCE, client=server.client)
    types: list[str] = []
    for update, _ in watcher.sync.updates:
        types.append(update.type)
        if update.type == "taskError":
            watcher.stop()
    assert types[-1] == "taskError"


def test_a_mailbox_is_emptied_while_its_consumer_takes() -> None:
    for _ in range(50):
        mailbox = Mailbox[int](on_full=lambda: None, on_drained=lambda: None)
        for number in range(1000):
            mailbox.put(number)
        taken: list[int] = []

        def consume(mailbox: Mailbox[int] = mailbox, taken: list[int] = taken) -> None:
            with suppress(IndexError):
                while True:
                    taken.append(mailbox.pop())

        consumer = threading.Thread(target=consume)
        consumer.start()
        rest = [number for number, _ in mailbox.empty()]
        consumer.join()
        assert sorted([*taken, *rest]) == list(range(1000))


def test_a_watcher_that_nobody_holds_stops(server: ScriptedServer) -> None:
    server.always("watch-all", Stream(ALL[:1], end="open"))
    updates = iter(TaskWatcher(SINCE, client=server.client).sync.updates)
    next(updates)
    gc.collect()
    assert not server.calls("watch-all")[0].left  # the iteration holds it
    del updates
    gc.collect()
    server.wait_until(lambda: server.calls("watch-all")[0].left)


# Iterations


def test_what_nobody_has_taken_goes_to_the_next_iteration(server: ScriptedServer) -> None:
    server.always("watch-all", Stream([b"".join(ALL)], end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        for expected in range(1, 6):
            for update, _ in watcher.sync.updates:
                assert update.position == expected
                break
            gc.collect()


def test_what_a_leaving_iteration_alone_had_goes_to_the_next(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch-all", Stream([b"".join(ALL[:4]), gate, ALL[4]], end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        first, second = iter(watcher.sync.updates), iter(watcher.sync.updates)
        assert next(first)[0].position == 1
        got: list[int | None] = []
        reader = threading.Thread(target=lambda: got.append(next(second)[0].position))
        reader.start()
        while len(watcher._watching.broadcast._inboxes) < 2:
            pass
        first.close()
        gate.open()
        reader.join()
        assert got == [5]
        assert [update.position for update, _ in take(watcher, 3)] == [2, 3, 4]


def test_iterations_at_the_same_time_each_get_all(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch-all", Stream([ALL[0], gate, *ALL[1:]], end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        first, second = iter(watcher.sync.updates), iter(watcher.sync.updates)
        next(first)
        got: list[int | None] = []
        reader = threading.Thread(target=lambda: got.extend(next(second)[0].position for _ in range(4)))
        reader.start()
        while not watcher._watching.broadcast._inboxes[1:]:  # the second has begun to wait
            pass
        gate.open()
        reader.join()
        assert got == [2, 3, 4, 5]
        assert [next(first)[0].position for _ in range(4)] == [2, 3, 4, 5]


def test_a_slow_iteration_loses_nothing(server: ScriptedServer) -> None:
    count = 5000
    log = [
        of(number, "a", "nodeUpdate", node=NODE, data=number, output=None) for number in range(1, count + 1)
    ]
    server.always("watch-all", from_position(b"".join(log[:1]), *log[1:], end="open"))
    with TaskWatcher(SINCE, client=server.client) as watcher:
        updates = iter(watcher.sync.updates)
        next(updates)
        server.wait_until(lambda: len(server.calls("watch-all")) == 1)
        assert [next(updates)[0].position for _ in range(count - 1)] == list(range(2, count + 1))
        inbox = watcher._watching.broadcast._inboxes[0]
        assert len(inbox._items) <= 1024


def test_the_states_are_bounded() -> None:
    states = TaskStates()
    for number in range(10_010):
        states.read("taskStart", {"taskId": f"t{number}"}, position=number)
    assert len(states) == 10_000
    forgotten = states.read("nodeEnd", {"taskId": "t0", "node": NODE}, position=1)
    known = states.read("nodeEnd", {"taskId": "t10009", "node": NODE}, position=1)
    assert forgotten is not None
    assert known is not None
    assert (forgotten.incomplete, known.incomplete) == (True, False)


# Callbacks


def test_on_update_gets_everything_in_order(server: ScriptedServer) -> None:
    server.always("watch-all", from_position(*ALL, end="open"))
    heard = Heard()
    thread_names: set[str] = set()

    def on_update(update: Update) -> None:
        thread_names.add(threading.current_thread().name)
        heard["on_update"](update.position)
        if update.position == 2:
            raise ValueError("a fault in the callback")

    watcher = TaskWatcher(SINCE, client=server.client, on_update=on_update, on_connect=heard["on_connect"])
    inside = watcher._watching
    del watcher
    gc.collect()  # nobody holds it, but it has somebody to tell
    heard.until(6)
    inside.stop()
    assert heard.calls == [("on_connect",), *(("on_update", position) for position in range(1, 6))]
    assert thread_names == {"requence-callback"}


async def test_coroutine_callbacks_run_on_the_loop_of_their_maker(server: ScriptedServer) -> None:
    server.always("watch-all", from_position(*ALL, end="open"))
    got: list[str] = []
    loops: set[asyncio.AbstractEventLoop] = set()
    done = asyncio.Event()

    async def on_connect() -> None:
        loops.add(asyncio.get_running_loop())
        got.append("on_connect")

    async def on_update(update: Update) -> None:
        await asyncio.sleep(0)
        loops.add(asyncio.get_running_loop())
        got.append(update.type)
        if len(got) == 6:
            done.set()

    async with TaskWatcher(SINCE, client=server.client, on_update=on_update, on_connect=on_connect):
        await asyncio.wait_for(done.wait(), 10)
    assert got == ["on_connect", "taskStart", "nodeUpdate", "nodeUpdate", "taskEnd", "taskError"]
    assert loops == {asyncio.get_running_loop()}


def test_a_watcher_whose_callback_lost_its_loop_ends(server: ScriptedServer) -> None:
    gate = Gate()
    server.always("watch-all", Stream([ALL[0], gate, *ALL[1:]], end="open"))

    async def main() -> None:
        told = asyncio.Event()

        async def on_update(update: Update) -> None:
            told.set()

        TaskWatcher(SINCE, client=server.client, on_update=on_update)
        await told.wait()

    asyncio.run(main())
    gate.open()
    server.wait_until(lambda: server.calls("watch-all")[0].left)


# Arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"since": None}, "since must be a datetime"),
        ({"since": "yesterday"}, "since must be a time in ISO 8601"),
        ({"since": 5}, "since must be a datetime"),
        ({"since": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))}, "since is out of range"),
        ({"only": "taskEnd"}, "only must be a list"),
        ({"only": []}, "only must be a list"),
        ({"only": [1]}, "only must be a list"),
        ({"only": 1}, "only must be a list"),
        ({"on_update": 1}, "on_update must be a function"),
        ({"client": "token"}, r"client must be a requence\.Client"),
        ({"access_token": "AGE"}, "access token"),
    ],
    ids=repr,
)
def test_wrong_arguments_are_refused_at_once(
    server: ScriptedServer, arguments: dict[str, Any], message: str
) -> None:
    settings: dict[str, Any] = {"since": SINCE, "client": server.client, **arguments}
    with pytest.raises(ConfigurationError, match=message):
        TaskWatcher(**settings)
    assert server.calls() == []


def test_a_coroutine_function_needs_a_loop(server: ScriptedServer) -> None:
    async def on_connect() -> None: ...

    with pytest.raises(UsageError, match="on_connect is a coroutine function"):
        TaskWatcher(SINCE, client=server.client, on_connect=on_connect)
    assert server.calls() == []


def test_it_is_neither_pickled_nor_shown_with_its_token(server: ScriptedServer) -> None:
    with TaskWatcher(SINCE, client=server.client) as watcher:
        with pytest.raises(UsageError, match="neither pickled nor copied"):
            pickle.dumps(watcher)
        texts = [repr(watcher), repr(watcher.sync), repr(watcher.updates), repr(watcher.sync.updates)]
        assert not any(BEARER in text or server.access_token in text for text in texts)
