"""Hours of following, on a clock that is moved on: what ends a stream is the task, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tests.fake_clock import FakeClock
from tests.scripted_server import (
    Answer,
    Gate,
    ScriptedServer,
    Step,
    Stream,
    end,
    event,
    from_position,
    report,
)

from requence import Client
from requence._transport.crossing import BATCH
from requence.task import StreamInterruptedError, Task, Update

FIRST = event(1, "taskStart", input=None)
LAST = end(2, "done")
MINUTE = 60.0
HOUR = 60 * MINUTE
SILENT = (290.0, 300.5)  # the limit of a stream that sends no comments


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeClock]:
    roll(monkeypatch, 0.0)
    with FakeClock.of_io_thread().standing() as clock:
        yield clock


def roll(monkeypatch: pytest.MonkeyPatch, dice: float) -> None:
    """Makes the jitter of pauses between connections certain: 0 is none, and nearly 1 the longest."""
    monkeypatch.setattr("requence._transport.event_stream.random.random", lambda: dice)


def slow(server: ScriptedServer, **settings: Any) -> Client:
    """A client whose calls do not end in 30 seconds, so that what does is known."""
    return server.client_with(call_timeout=100, **settings)


def longest_pauses(clock: FakeClock, count: int) -> None:
    """Lets the pauses between connections pass, from the first on, each when it has begun."""
    for number in range(count):
        pause = min(0.25 * 2.0**number, 30.0) * 0.99
        clock.skip_to_timer(pause - 0.001, pause + 0.001)


def wait_for_watches(server: ScriptedServer, count: int) -> None:
    server.wait_until(lambda: len(server.calls("watch")) == count)


class Waiting:
    """Something that blocks, in a thread of its own."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._outcome: list[Any] = []
        self._thread = threading.Thread(target=lambda: self._outcome.append(self._attempt(work)))
        self._thread.start()

    @staticmethod
    def _attempt(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:
            return error

    def end(self) -> Any:
        self._thread.join(20)
        assert not self._thread.is_alive(), "it has not ended"
        return self._outcome[0]


def test_a_node_that_is_silent_for_two_hours(server: ScriptedServer, clock: FakeClock) -> None:
    """Without any comment a silent connection may be dead, so it is renewed; the task is followed all the same."""
    gate = Gate()
    server.script("watch", Stream([FIRST], end="open"), *[Stream(end="open")] * 23, Stream([gate, LAST]))
    updates = iter(Task("t", client=server.client).sync.updates)
    assert next(updates).position == 1  # so the first connection has brought something before the clock moves
    waiting = Waiting(lambda: [update.type for update in updates])
    began = clock.now()
    for number in range(1, 25):
        wait_for_watches(server, number)
        clock.skip_to_timer(*SILENT)
    assert clock.now() - began >= 2 * HOUR - MINUTE
    gate.open()
    assert waiting.end() == ["taskEnd"]
    assert len(server.calls("watch")) == 25
    assert len(server.calls("get")) == 23  # after each connection that brought nothing
    assert {call.json.get("lastPosition") for call in server.calls("watch")[1:]} == {1}


EACH = 17.0  # seconds between two comments; at no multiple of it is anything else due that a test waits for


class KeptAlive:
    """A stream that shows one event and then, as the clock is moved on, a comment after each `EACH` seconds."""

    def __init__(self, server: ScriptedServer, clock: FakeClock) -> None:
        self._gates = [Gate() for _ in range(500)]
        self._first, self._last = Gate(), Gate()
        pieces = [piece for gate in self._gates for piece in (gate, b": keep-alive\n\n")]
        server.script("watch", Stream([self._first, FIRST, *pieces, self._last, LAST], end="open"))
        self._clock = clock
        self._shown = 0

    def until(self, seconds: float) -> float:
        """Lets so much time pass since the stream was opened, up to the next comment; returns how much it was."""
        if self._shown == 0:
            self._clock.wait_for_timer(309.5, 310.5)  # it is open: the task would be asked for then
            self._clock.move_on(1)  # so that the limit of its silence tells when the first event has arrived
            self._first.open()
        while self._shown * EACH < seconds:
            limit = 300.0 if self._shown < 2 else 3 * EACH
            self._clock.wait_for_timer(limit - 0.5, limit + 0.5)  # the comment before has arrived
            self._clock.move_on(EACH)
            self._gates[self._shown].open()
            self._shown += 1
        return self._shown * EACH

    def end(self) -> None:
        """Shows the last event."""
        for gate in (self._first, *self._gates, self._last):
            gate.open()


@pytest.mark.parametrize("answer", [report("running"), Answer(403, "not you"), Answer(503)], ids=repr)
def test_comments_hold_a_silent_connection_for_two_hours(
    server: ScriptedServer, clock: FakeClock, answer: Step
) -> None:
    """The task is asked for now and then; whatever the answer is, the open stream goes on."""
    stream, passed = KeptAlive(server, clock), 0.0
    server.always("get", answer)
    client = server.client_with(patience=1.0, retries=0)
    waiting = Waiting(lambda: Task("t", client=client).sync.result.result)
    for pause, next_pause in itertools.pairwise((310, 620, 1240, 2480, 3600)):
        passed = stream.until(passed + pause)
        clock.wait_for_timer(next_pause - 0.5, next_pause + 0.5)  # it was asked for
    stream.until(2 * HOUR)
    stream.end()
    assert waiting.end() == "done"
    assert server.operations == ["prepare", "finalize", "watch", *["get"] * 4]


def test_a_stream_with_an_event_now_and_then_is_not_asked_for(
    server: ScriptedServer, clock: FakeClock
) -> None:
    gates = [Gate() for _ in range(20)]
    ticks = [event(number, "nodeEnd", node={"id": "n", "type": "service"}) for number in range(1, 21)]
    pieces = [piece for pair in zip(gates, ticks, strict=True) for piece in pair]
    server.script("watch", Stream([*pieces, end(21, "done")]))
    waiting = Waiting(lambda: Task("t", client=server.client).sync.result.result)
    for gate in gates:
        clock.wait_for_timer(299, 300.5)
        clock.move_on(4.5 * MINUTE)
        gate.open()
    assert waiting.end() == "done"
    assert server.operations == ["prepare", "finalize", "watch"]


@pytest.mark.parametrize("withheld", [True, False], ids=["an end that was withheld", "a log that is gone"])
def test_a_task_that_has_ended_while_comments_hold_its_stream(
    server: ScriptedServer, clock: FakeClock, withheld: bool
) -> None:
    stream, gate = KeptAlive(server, clock), Gate()
    kept_alive = Stream([b": keep-alive\n\n"], end="open", when=gate)
    server.script("watch", Stream([LAST], when=gate) if withheld else kept_alive)
    server.always("get", report("successful", result="from the report"))
    waiting = Waiting(lambda: Task("t", client=server.client_with(call_timeout=77)).sync.result.result)
    stream.until(310)
    wait_for_watches(server, 2)
    clock.move_on(7)
    gate.open()
    if not withheld:
        clock.skip_to_timer(76.9, 77.1)  # which has begun with the answer
    assert waiting.end() == ("done" if withheld else "from the report")
    assert server.operations[2:] == ["watch", "get", "watch"]
    assert [call.json.get("lastPosition") for call in server.calls("watch")] == [None, 1]


def test_silence_where_comments_were_regular_is_a_loss(server: ScriptedServer, clock: FakeClock) -> None:
    gates = [Gate(), Gate()]
    comment = b": keep-alive\n\n"
    server.script("watch", Stream([FIRST, gates[0], comment, gates[1], comment], end="open"))
    server.always("watch", from_position(FIRST, LAST))
    begun = threading.Event()

    def follow() -> Any:
        updates: list[Any] = []
        for update in Task("t", client=server.client).sync.updates:
            updates.append(update)
            begun.set()
        return updates[-1].result

    waiting = Waiting(follow)
    assert begun.wait(20)  # from the first event on the silence counts
    for gate in gates:
        clock.wait_for_timer(299, 300.5)
        clock.move_on(20)
        gate.open()
    clock.skip_to_timer(59, 60.5)
    assert waiting.end() == "done"
    assert [call.json.get("lastPosition") for call in server.calls("watch")] == [None, 1]


def test_a_proxy_that_closes_cleanly_each_minute_for_forty_minutes(
    server: ScriptedServer, clock: FakeClock
) -> None:
    gates = [Gate() for _ in range(40)]
    server.script("watch", *(Stream([gate]) for gate in gates))
    server.always("watch", from_position(FIRST, LAST))
    waiting = Waiting(lambda: Task("t", client=server.client_with(patience=30.0)).sync.result.result)
    for gate in gates:
        clock.wait_for_timer(299, 300.5)  # the stream is open
        clock.move_on(MINUTE)
        gate.open()
    assert waiting.end() == "done"
    assert [call.json for call in server.calls("watch")] == [{"since": None}] * 41  # no event, so no position
    assert len(server.calls("get")) == 40


def test_a_server_gone_for_good_is_given_up_after_the_patience(
    server: ScriptedServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll(monkeypatch, 0.99)
    server.script("watch", Stream([FIRST], end="open"))
    task = Task("t", client=server.client_with(retries=0))
    updates = iter(task.sync.updates)
    next(updates)
    server.go_away()
    began = clock.now()
    waiting = Waiting(lambda: next(updates))
    longest_pauses(clock, 7 + 30)  # 31 s, then 30 s each
    error = waiting.end()
    assert isinstance(error, StreamInterruptedError)
    assert error.position == 1
    assert "no contact with the service for 9" in error.message
    assert 900 <= clock.now() - began <= 930


def test_an_endless_patience(
    server: ScriptedServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    roll(monkeypatch, 0.99)
    server.script("watch", Stream([FIRST], end="close"))
    server.always("watch", Answer(503))
    client = server.client_with(patience=None)
    waiting = Waiting(lambda: Task("t", client=client).sync.result.result)
    began = clock.now()
    longest_pauses(clock, 7 + 120)
    clock.wait_for_timer(29.6, 29.8)
    assert clock.now() - began > HOUR - MINUTE
    server.always("watch", from_position(FIRST, LAST))
    clock.move_on(MINUTE)
    assert waiting.end() == "done"


def test_a_stream_that_cannot_be_opened_for_long_is_warned_of(
    server: ScriptedServer,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roll(monkeypatch, 0.99)
    server.always("watch", Answer(503))
    waiting = Waiting(lambda: Task("t", client=server.client).sync.result.result)
    longest_pauses(clock, 7)
    clock.wait_for_timer(29.6, 29.8)
    assert len(server.calls("get")) == 1
    server.always("watch", from_position(FIRST, LAST))
    clock.move_on(MINUTE)
    assert waiting.end() == "done"
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "task task-1 runs, but its stream cannot be opened" in record.getMessage()


# A task that has ended, and whose log is gone


def test_an_ended_task_whose_log_is_empty_is_settled_within_a_second(
    server: ScriptedServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the pauses have grown long, while the task ran."""
    roll(monkeypatch, 0.99)
    server.always("watch", Stream())
    waiting = Waiting(lambda: Task("t", client=server.client).sync.result.result)
    longest_pauses(clock, 7)
    clock.wait_for_timer(29.6, 29.8)
    server.always("get", report("successful", result=7))
    clock.move_on(30)
    began = clock.now()
    longest_pauses(clock, 2)
    assert waiting.end() == 7
    assert clock.now() - began < 1


def test_an_ended_task_whose_stream_is_silent_is_given_one_time_limit(
    server: ScriptedServer, clock: FakeClock
) -> None:
    """By default it is half a minute, so not several of them."""
    gate = Gate()
    server.script("watch", Stream())
    server.always("watch", Stream(end="open", when=gate))
    server.always("get", report("successful", result=7))
    waiting = Waiting(lambda: Task("t", client=server.client_with(call_timeout=77)).sync.result.result)
    wait_for_watches(server, 2)
    clock.move_on(7)
    gate.open()
    clock.skip_to_timer(76.9, 77.1)  # which has begun with the answer
    assert waiting.end() == 7
    assert len(server.calls("watch")) == 2


# A consumer that takes nothing


def test_a_stream_whose_consumer_takes_nothing_is_closed_and_goes_on_later(
    server: ScriptedServer, clock: FakeClock
) -> None:
    count = 5000
    log = [event(at, "nodeEnd", node={"id": "n", "type": "service"}) for at in range(1, count)]
    server.always("watch", from_position(*log, end(count, "done"), end="open"))
    updates = iter(Task("t", client=slow(server)).sync.updates)
    seen = [next(updates).position]
    clock.skip_to_timer(29.9, 30.1)
    closed = server.calls("watch")[0].connection
    server.wait_until(lambda: closed not in server.open_connections)
    clock.move_on(5 * HOUR)  # it is not missed, and costs no patience
    seen += [update.position for update in updates]
    assert seen == list(range(1, count + 1))
    second = server.calls("watch")[1].json
    assert second["lastPosition"] > 1024 - BATCH
    assert "get" not in server.operations


# A sign of life


async def test_after_thirty_seconds_one_line_says_what_is_waited_for(
    server: ScriptedServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "requence")
    gate = Gate()
    server.always("watch", Stream([FIRST, gate, LAST]))
    task = Task("my-template", client=slow(server))
    page = await task.task_url
    waiting = asyncio.ensure_future(task.result)
    await asyncio.to_thread(clock.skip_to_timer, 29, 30.5)
    await asyncio.to_thread(clock.move_on, 100)
    gate.open()
    assert (await waiting).result == "done"
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert lines == [
        f"Waiting for 30 seconds now for the result of task task-1 ('my-template'); look at {page}"
    ]


async def test_an_iteration_says_it_once(
    server: ScriptedServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "requence")
    gates = [Gate(), Gate()]
    middle = event(2, "nodeEnd", node={"id": "n", "type": "service"})
    server.always("watch", Stream([FIRST, gates[0], middle, gates[1], end(3, "done")]))
    seen: list[Update] = []

    async def read() -> None:
        async for update in Task("t", client=slow(server)):
            seen.append(update)  # noqa: PERF401 (one by one)

    reader = asyncio.create_task(read())
    while len(seen) < 1:
        await asyncio.sleep(0.001)
    await asyncio.to_thread(clock.skip_to_timer, 29, 30.5)
    gates[0].open()
    while len(seen) < 2:
        await asyncio.sleep(0.001)
    await asyncio.to_thread(clock.move_on, 100)
    gates[1].open()
    await reader
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    [line] = lines
    assert line.startswith(
        "Waiting for 30 seconds now for the next update of task task-1 ('t'); look at http"
    )


@pytest.mark.parametrize("wait", ["task.task_id", "task.result", "task.wait(1000)"])
async def test_a_start_that_takes_long_says_where_it_goes(
    server: ScriptedServer, clock: FakeClock, caplog: pytest.LogCaptureFixture, wait: str
) -> None:
    caplog.set_level(logging.INFO, "requence")
    gate = Gate()
    server.always("prepare", Answer(503, when=gate))
    task = Task("t", client=slow(server, retries=0))
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "task.task_id": lambda: task.task_id,
        "task.result": lambda: task.result,
        "task.wait(1000)": lambda: task.wait(1000),
    }
    waiting = asyncio.ensure_future(ways[wait]())
    await server.until(lambda: server.operations == ["prepare"])
    await asyncio.to_thread(clock.skip_to_timer, 29, 30.5)
    gate.open()
    await asyncio.wait({waiting})
    assert waiting.exception() is not None
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == [
        f"Waiting for 30 seconds now for the start of a task of 't' at {server.url}"
    ]


async def test_of_a_wait_that_was_given_up_nothing_is_said(
    server: ScriptedServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "requence")
    gate = Gate()
    server.always("watch", Stream([FIRST, gate, LAST]))
    task = Task("t", client=slow(server))
    waiting = asyncio.ensure_future(task.result)
    await server.until(lambda: len(server.calls("watch")) == 1)
    waiting.cancel()
    await asyncio.wait({waiting})
    for _ in range(2):
        await asyncio.to_thread(clock.skip_to_timer, 29, 30.5)
    waiting = asyncio.ensure_future(task.result)
    gate.open()
    assert (await waiting).result == "done"
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == []
