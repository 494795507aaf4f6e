"""`max_streams`: more tasks than streams may be open. Results and updates are the same, they only take turns."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.fake_clock import FakeClock
from tests.scripted_server import (
    Answer,
    Call,
    Gate,
    ScriptedServer,
    Stream,
    end,
    event,
    from_position,
    report,
)

from requence import Client
from requence._transport.io_thread import io_thread
from requence._transport.session import session
from requence._transport.slots import Slots
from requence.exceptions import ConfigurationError
from requence.task import Task

NODE = {"id": "n1", "type": "service", "alias": "ocr"}
LOG = (event(1, "taskStart", input=None), event(2, "nodeUpdate", node=NODE, data="x"), end(3, "done"))


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    with FakeClock.of_io_thread().standing() as clock:
        yield clock


def of_task(call: Call) -> str:
    return call.path.rpartition("/")[2].partition("?")[0]


async def test_no_more_streams_are_open_than_there_are_places(
    server: ScriptedServer, clock: FakeClock
) -> None:
    gate = Gate()
    server.always("watch", Stream([LOG[0], gate, *LOG[1:]], end="open"))
    client = server.client_with(max_streams=3)
    tasks = [Task("t", client=client) for _ in range(40)]
    waiters = [asyncio.ensure_future(task.result) for task in tasks]
    slots = await io_thread().run_async(lambda: slots_of(server, 3))
    while slots._waiting < 37:
        await asyncio.sleep(0.001)
    await server.until(lambda: len(server.calls("watch")) == 3)  # and the clock stands
    gate.open()
    assert [result.result for result in await asyncio.gather(*waiters)] == ["done"] * 40
    assert len(server.calls("watch")) == 40
    assert (slots._free, slots._waiting, slots._leases) == (3, 0, {})


async def slots_of(server: ScriptedServer, count: int) -> Slots:
    return session().slots(server.url, count)


async def test_quiet_streams_take_turns_and_lose_nothing(server: ScriptedServer, clock: FakeClock) -> None:
    """Six tasks on two streams: each shows its first two updates, and its end only at its third turn."""
    turns: dict[str, int] = {}

    def play(call: Call) -> Stream:
        turn = turns[of_task(call)] = turns.get(of_task(call), 0) + 1
        position = call.json.get("lastPosition", 0)
        return Stream(LOG[position : min(3, turn)], end="open")

    server.always("watch", play)
    client = server.client_with(max_streams=2)
    tasks = [Task("t", client=client) for _ in range(6)]

    async def read(task: Task) -> list[int | None]:
        return [update.position async for update in task.updates]

    readers = [asyncio.create_task(read(task)) for task in tasks[:3]]
    waiters = [asyncio.ensure_future(task.result) for task in tasks[3:]]
    pending = {*readers, *waiters}
    while pending:
        await asyncio.to_thread(clock.move_on, 0.25)
        _, pending = await asyncio.wait(pending, timeout=0.005)
    assert [reader.result() for reader in readers] == [[1, 2, 3]] * 3
    assert [waiter.result().result for waiter in waiters] == ["done"] * 3
    assert set(turns.values()) == {3}
    positions = [call.json.get("lastPosition") for call in server.calls("watch") if of_task(call) == "task-1"]
    assert positions == [None, 1, 2]


async def test_a_quiet_stream_keeps_its_place_while_nobody_wants_it(
    server: ScriptedServer, clock: FakeClock
) -> None:
    gate = Gate()
    server.always("watch", Stream([LOG[0], gate, *LOG[1:]], end="open"))
    client = server.client_with(max_streams=2)
    waiting = asyncio.ensure_future(Task("t", client=client).result)
    await server.until(lambda: len(server.calls("watch")) == 1)
    await asyncio.to_thread(clock.wait_for_timer, 299, 301)
    await asyncio.to_thread(clock.move_on, 200)
    gate.open()
    assert (await waiting).result == "done"
    assert len(server.calls("watch")) == 1


async def test_a_busy_stream_makes_room_at_the_end_of_its_slice(
    server: ScriptedServer, clock: FakeClock
) -> None:
    gates = [Gate() for _ in range(100)]
    ticks = [event(2 + number, "nodeEnd", node=NODE) for number in range(100)]
    busy = [piece for pair in zip(gates, ticks, strict=True) for piece in pair]
    server.script("watch", Stream([LOG[0], *busy], end="open"), from_position(*LOG))
    server.always("watch", from_position(LOG[0], *ticks, end(102, "busy")))
    client = server.client_with(max_streams=1)
    first = asyncio.ensure_future(Task("t", client=client).result)
    await server.until(lambda: len(server.calls("watch")) == 1)
    second = asyncio.ensure_future(Task("t", client=client).result)
    slots = await io_thread().run_async(lambda: slots_of(server, 1))
    while not slots.wanted:
        await asyncio.sleep(0.001)
    while not second.done():  # never quiet for a whole second
        await asyncio.to_thread(clock.move_on, 0.5)
        gates.pop(0).open()
        while not second.done() and not any(lease.last_event == clock.now() for lease in slots._leases):
            await asyncio.sleep(0.001)  # the event has not arrived yet
    assert (await second).result == "done"
    assert (await first).result == "busy"
    assert 30 < len(gates) <= 41  # a slice of 30 seconds, an event each half


@pytest.mark.parametrize("quiet_first", [True, False], ids=["quiet already", "quiet soon"])
async def test_a_newcomer_gets_the_place_of_a_quiet_stream_not_of_a_busy_one(
    server: ScriptedServer, clock: FakeClock, quiet_first: bool
) -> None:
    """The busy stream was there first, and would keep its place for half a minute."""
    gates = [Gate() for _ in range(60)]
    ticks = [event(2 + number, "nodeEnd", node=NODE) for number in range(len(gates))]
    streams = {
        "task-1": Stream([LOG[0], *(piece for pair in zip(gates, ticks, strict=True) for piece in pair)]),
        "task-2": Stream([LOG[0]], end="open"),
        "task-3": Stream(LOG),
    }
    server.always("watch", lambda call: streams[of_task(call)])
    client = server.client_with(max_streams=2)
    tasks: list[Task] = []
    for _ in streams:
        tasks.append(Task("t", client=client))
        await tasks[-1].task_id
    slots = await io_thread().run_async(lambda: slots_of(server, 2))
    holding: list[asyncio.Future[Any]] = []
    for number, task in enumerate(tasks[:2], 1):
        holding.append(asyncio.ensure_future(task.result))
        while len(slots._leases) < number or list(slots._leases)[-1].last_event > clock.now():
            await asyncio.sleep(0.001)  # it is not open yet
    busy = next(iter(slots._leases))

    async def half_a_second() -> None:
        await asyncio.to_thread(clock.move_on, 0.5)
        gates.pop(0).open()
        while busy.last_event != clock.now():
            await asyncio.sleep(0.001)

    if quiet_first:
        for _ in range(4):
            await half_a_second()
    newcomer = asyncio.ensure_future(tasks[2].result)
    while not (slots._asking or newcomer.done()):
        await asyncio.sleep(0.001)
    if not quiet_first:
        for _ in range(2):
            await half_a_second()
    assert (await asyncio.wait_for(newcomer, 10)).result == "done"  # and the clock stands
    assert busy in slots._leases
    for waiter in holding:
        waiter.cancel()


async def test_a_service_slow_to_begin_its_streams_is_asked_for_the_end(
    server: ScriptedServer, clock: FakeClock
) -> None:
    """Streams that never show anything within their turn must not be reopened for ever."""
    server.always("watch", Stream(end="open"))
    server.always("get", report("successful", result=7))
    client = server.client_with(max_streams=1, call_timeout=5)
    waiters = {asyncio.ensure_future(Task("t", client=client).result) for _ in range(2)}
    pending = waiters
    while pending:
        await asyncio.to_thread(clock.move_on, 0.5)
        _, pending = await asyncio.wait(pending, timeout=0.005)
    assert [waiter.result().result for waiter in waiters] == [7, 7]
    gets = server.operations.index("get")
    assert server.operations[:gets].count("watch") >= 4


async def test_one_task_too_many_does_not_keep_the_others_moving(
    server: ScriptedServer, clock: FakeClock
) -> None:
    server.always("watch", from_position(LOG[0], end="open"))
    client = server.client_with(max_streams=5)
    tasks = [Task("t", client=client) for _ in range(6)]
    waiters = [asyncio.ensure_future(task.result) for task in tasks]
    slots = await io_thread().run_async(lambda: slots_of(server, 5))
    while not slots.wanted:
        await asyncio.sleep(0.001)
    for _ in range(4 * 30):
        await asyncio.to_thread(clock.move_on, 0.25)
        await asyncio.sleep(0.005)
    assert 15 <= len(server.calls("watch")) <= 6 + 30  # one turn in a second, whatever the number of places
    server.always("watch", from_position(*LOG, end="open"))
    pending = set(waiters)
    while pending:
        await asyncio.to_thread(clock.move_on, 0.25)
        _, pending = await asyncio.wait(pending, timeout=0.005)
    assert {waiter.result().result for waiter in waiters} == {"done"}


@pytest.mark.parametrize("leaves", ["ends", "is given up"])
async def test_a_wait_is_not_forgotten_when_the_stream_that_was_asked_leaves(
    server: ScriptedServer, clock: FakeClock, leaves: str
) -> None:
    """Two wait for one place, so one of them can ask nobody: the other's stream must be asked when it begins."""
    gate = Gate()
    streams = {
        "task-1": Stream([LOG[0], gate, *LOG[1:]], end="open"),
        "task-2": Stream([LOG[0]], end="open"),
        "task-3": Stream(LOG),
    }
    server.always("watch", lambda call: streams[of_task(call)])
    client = server.client_with(max_streams=1)
    tasks: list[Task] = []
    for _ in streams:
        tasks.append(Task("t", client=client))
        await tasks[-1].task_id
    slots = await io_thread().run_async(lambda: slots_of(server, 1))
    waiters: list[asyncio.Future[Any]] = []
    for number in range(len(tasks)):
        waiters.append(asyncio.ensure_future(tasks[number].result))
        await server.until(lambda: len(server.calls("watch")) == 1)
        while slots._waiting < number or len(slots._asking) < number:
            await asyncio.sleep(0.001)
    if leaves == "ends":
        gate.open()
        assert (await waiters[0]).result == "done"
    else:
        waiters[0].cancel()
        del tasks[0]
        await asyncio.wait({waiters.pop(0)})
        gc.collect()
    await server.until(lambda: len(server.calls("watch")) == 2)
    await quiet_until(clock, waiters[-1].done)
    assert (await waiters[-1]).result == "done"
    waiters[-2].cancel()


async def quiet_until(clock: FakeClock, condition: Callable[[], bool]) -> None:
    """Lets the second pass after which a stream counts as quiet, once one waits for that, until a condition holds.

    Not once only: an event that comes after its stream was opened begins that second anew.
    """
    seconds = 0
    while not condition():
        armed = await asyncio.to_thread(clock.armed)
        if any(0.99 <= due <= 1.01 for due in armed):
            seconds += 1
            assert seconds <= 5, "no stream gives way"
            await asyncio.to_thread(clock.move_on, 1.01)
        await asyncio.sleep(0.001)


async def test_no_stream_gives_way_for_one_who_has_given_up(server: ScriptedServer, clock: FakeClock) -> None:
    server.always("watch", from_position(LOG[0], end="open"))
    client = server.client_with(max_streams=3)
    slots = await io_thread().run_async(lambda: slots_of(server, 3))
    holding = [asyncio.ensure_future(Task("t", client=client).result) for _ in range(3)]
    await server.until(lambda: len(server.calls("watch")) == 3)
    newcomers = [Task("t", client=client) for _ in range(3)]
    waiting = [asyncio.ensure_future(task.result) for task in newcomers]
    while len(slots._asking) < 3:
        await asyncio.sleep(0.001)
    while newcomers[1:]:
        waiting.pop().cancel()
        newcomers.pop()
        gc.collect()
    while len(slots._asking) > 1:
        await asyncio.sleep(0.001)
    await quiet_until(clock, lambda: not slots._asking)  # pyright: ignore[reportPrivateUsage]
    await server.until(lambda: len(server.calls("watch")) >= 4)
    await server.until(lambda: sum(call.left for call in server.calls("watch")) >= 1)
    await Task("t", client=client).finalized()  # any others would have left, and come again, in this time
    assert len(server.calls("watch")) == 4
    assert (len(slots._leases), slots._waiting) == (3, 1)  # one place, one that waits for its next turn
    for waiter in (*holding, *waiting):
        waiter.cancel()


async def test_a_service_slow_to_answer_has_its_time(server: ScriptedServer, clock: FakeClock) -> None:
    """A turn begins when the stream is open, not when it was asked for."""
    gates = [Gate(), Gate()]
    server.script("watch", *(Stream(LOG, when=gate) for gate in gates))
    client = server.client_with(max_streams=1)
    waiters = [asyncio.ensure_future(Task("t", client=client).result) for _ in range(2)]
    slots = await io_thread().run_async(lambda: slots_of(server, 1))
    while not slots.wanted:
        await asyncio.sleep(0.001)
    for number, gate in enumerate(gates, 1):
        await server.until(lambda count=number: len(server.calls("watch")) == count)  # type: ignore[misc]
        await asyncio.to_thread(clock.move_on, 20)
        gate.open()
    assert [(await waiter).result for waiter in waiters] == ["done", "done"]


async def test_who_stops_waiting_takes_no_turn(server: ScriptedServer) -> None:
    server.always("watch", Stream([LOG[0]], end="open"))
    client = server.client_with(max_streams=1)
    first = Task("t", client=client)
    holding = asyncio.ensure_future(first.result)
    await server.until(lambda: len(server.calls("watch")) == 1)
    crowd = [Task("t", client=client) for _ in range(20)]
    waiting = [asyncio.ensure_future(task.result) for task in crowd]
    await asyncio.gather(*(task.task_id for task in crowd))
    for at in range(len(waiting)):
        waiting[at].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    del crowd, waiting
    gc.collect()
    last = Task("t", client=client)
    server.always("watch", from_position(*LOG))
    assert (await last.result).result == "done"
    assert (await holding).result == "done"
    watched = {of_task(call) for call in server.calls("watch")}
    assert watched == {await first.task_id, await last.task_id}


async def test_a_stream_that_cannot_be_opened_holds_no_place(server: ScriptedServer) -> None:
    def play(call: Call) -> Answer | Stream:
        return Answer(503, "", {"Retry-After": "60"}) if of_task(call) == "task-1" else Stream(LOG)

    server.always("watch", play)
    client = server.client_with(max_streams=1)
    stuck, other = Task("t", client=client), None
    await stuck.task_id
    waiting = asyncio.ensure_future(stuck.result)
    await server.until(lambda: len(server.calls("watch")) == 1)
    other = Task("t", client=client)
    assert (await other.result).result == "done"
    waiting.cancel()


def test_places_are_counted_for_each_service_and_number(server: ScriptedServer) -> None:
    with ScriptedServer() as elsewhere:
        server.always("watch", Stream([LOG[0]], end="open"))
        updates = iter(Task("t", client=server.client_with(max_streams=1)).sync.updates)
        next(updates)
        assert Task("t", client=elsewhere.client_with(max_streams=1)).sync.result.result == "done"
        del updates


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "3", None], ids=repr)
def test_wrong_numbers_are_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="max_streams"):
        Client(max_streams=value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("value", [0, 1, "yes", None], ids=repr)
def test_shared_stream_is_a_flag(value: object) -> None:
    with pytest.raises(ConfigurationError, match="shared_stream"):
        Client(shared_stream=value)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
