"""`map_tasks`: many tasks with back-pressure, of which each tells what has come of it. Both faces."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, closing, contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, Self, cast

import pytest
from tests.fake_clock import FakeClock
from tests.scripted_server import (
    Answer,
    Call,
    Gate,
    ScriptedServer,
    Stream,
    _left_running,
    check_nothing_is_left,
    end,
    event,
    from_position,
    started,
)

from requence._transport.io_thread import io_thread
from requence.exceptions import ConfigurationError, UsageError
from requence.local import LocalServer
from requence.task import (
    AckFailedError,
    Task,
    TaskAbortedError,
    TaskException,
    TaskFailedError,
    TaskItem,
    TaskNotFoundError,
    TaskRefusedError,
    aio,
    in_flight,
    map_tasks,
)
from requence.task.items import AsyncTaskItems


class EchoServer(ScriptedServer):
    """Its tasks end with their input as the result, once what they wait for is open."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: dict[str, Any] = {}
        self.gates: dict[Any, Gate] = {}
        self.gate: Gate | None = None
        self.always("finalize", self._started)
        self.always("watch", self._watched)

    def _started(self, call: Call) -> Answer:
        task_id = call.path.rpartition("/")[2].partition("?")[0]
        self.inputs[task_id] = call.json["input"]
        return started(self, task_id)

    def _watched(self, call: Call) -> Stream:
        value = self.inputs[call.path.rpartition("/")[2].partition("?")[0]]
        gate = self.gates.get(str(value), self.gate)
        last = {
            "fail": event(2, "taskError", reason="it cannot be done"),
            "abort": event(2, "taskAborted", reason="somebody did not want it"),
        }.get(str(value), end(2, value))
        if gate is None:
            return from_position(event(1, "taskStart", input=None), last)(call)
        return Stream([event(1, "taskStart", input=None), gate, last])

    def count(self, operation: str) -> int:
        """Returns how often an operation was asked for."""
        return cast("list[str]", self.operations).count(operation)


class Items(Iterator[TaskItem[Any]], Protocol):
    """What both faces have, seen from a test."""

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Driven(Iterator[TaskItem[Any]]):
    """The awaiting face, whose loop runs whenever something is awaited."""

    def __init__(self, runner: asyncio.Runner, items: AsyncTaskItems[Any]) -> None:
        self._runner = runner
        self._items = items

    def __next__(self) -> TaskItem[Any]:
        async def one() -> TaskItem[Any]:
            return await anext(self._items)

        try:
            return self._runner.run(one())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        self._runner.run(self._items.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._items.__aexit__(kind, error, trace))


Mapping = Callable[..., Items]


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(server: EchoServer, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    check_nothing_is_left(caplog)


@pytest.fixture(params=["for", "async for"])
def mapping(request: pytest.FixtureRequest, server: EchoServer) -> Iterator[Mapping]:
    """`map_tasks` of either face, to be iterated without `await`, at the server."""
    at_server: dict[str, Any] = {"client": server.client}
    if request.param == "for":

        def blocking(inputs: Any, **settings: Any) -> Items:
            return map_tasks("t", inputs, **{**at_server, **settings})

        yield blocking
        return
    with asyncio.Runner() as runner:
        runner.get_loop()  # else its first use would be a signal handler of this thread

        def asynchronous(inputs: Any, **settings: Any) -> Items:
            async def made() -> AsyncTaskItems[Any]:
                return aio.map_tasks("t", inputs, **{**at_server, **settings})

            return Driven(runner, runner.run(made()))

        yield asynchronous


class Counted(Iterator[int]):
    """Numbers from 0 on, for ever or for so many, which tell how many of them were read."""

    def __init__(self, count: int | None = None) -> None:
        self.read = 0
        self._numbers = iter(range(count)) if count is not None else itertools.count()

    def __next__(self) -> int:
        number = next(self._numbers)
        self.read += 1
        return number


# What comes


def test_each_input_has_its_item(mapping: Mapping) -> None:
    inputs = [{"number": number} for number in range(250)]
    items = list(mapping(inputs))
    assert sorted(item.index for item in items) == list(range(250))
    for item in items:
        assert item.input is inputs[item.index]
        assert item.error is None
        assert item.result.result == item.input
        assert item.task is not None
        assert item.task.known_id == item.result.task_id


def test_they_come_as_the_tasks_end(mapping: Mapping, server: EchoServer) -> None:
    server.gates = {str(number): Gate() for number in range(5)}
    with mapping(range(5)) as items:
        for number in (3, 0, 4, 1, 2):
            server.gates[str(number)].open()
            assert next(items).index == number
        assert next(items, None) is None


@pytest.mark.parametrize("inputs", [[], (), iter(()), range(0)])
def test_no_inputs_no_items(mapping: Mapping, server: EchoServer, inputs: Any) -> None:
    items = mapping(inputs)
    assert list(items) == []
    assert list(items) == []
    assert server.operations == []


def test_it_is_over_once(mapping: Mapping) -> None:
    items = mapping([1])
    assert [item.input for item in items] == [1]
    assert list(items) == []
    items.close()
    items.close()


# What is begun


def test_nothing_is_begun_before_the_first_step(mapping: Mapping, server: EchoServer) -> None:
    inputs = Counted()
    mapping(inputs).close()
    del mapping
    assert (inputs.read, server.operations) == (0, [])


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_no_more_is_begun_than_fits(mapping: Mapping, server: EchoServer, limit: int) -> None:
    """What has ended and was not taken counts, too."""
    inputs = Counted()
    with mapping(inputs, max_in_flight=limit) as items:
        for taken, _ in enumerate(itertools.islice(items, 30)):
            assert taken < inputs.read <= taken + limit
            if taken % 10 == 0:  # time enough for all that was begun to end
                server.wait_until(lambda: server.count("watch") == inputs.read)
                assert inputs.read <= taken + limit


def test_as_much_is_begun_as_fits(mapping: Mapping, server: EchoServer) -> None:
    with mapping(Counted(), max_in_flight=20) as items, opened_once_there_are(server, 20):
        next(items)
        assert server.count("finalize") == 20


@contextmanager
def opened_once_there_are(server: EchoServer, count: int) -> Generator[None]:
    """Lets no task end before so many were begun."""
    server.gate = gate = Gate()

    def wait() -> None:
        server.wait_until(lambda: server.count("watch") == count)
        gate.open()

    waiting = threading.Thread(target=wait)
    waiting.start()
    try:
        yield
    finally:
        waiting.join()


def test_inputs_that_cannot_be_sent_have_room_like_others(mapping: Mapping, server: EchoServer) -> None:
    inputs = Counted()
    endless = (object() for _ in inputs)
    with mapping(endless, max_in_flight=5) as items:
        for taken, item in enumerate(itertools.islice(items, 20)):
            assert isinstance(item.error, ConfigurationError)
            assert inputs.read <= taken + 5
    assert server.operations == []


def test_more_tasks_than_streams(mapping: Mapping, server: EchoServer) -> None:
    client = server.client_with(max_streams=2)
    items = list(mapping(range(40), max_in_flight=20, client=client))
    assert sorted(item.result.result for item in items) == list(range(40))


def test_one_stream_for_all(mapping: Mapping, server: EchoServer) -> None:
    """More tasks than there may be streams, at a service with a stream of all tasks."""
    with LocalServer() as local:
        local.stub("t", lambda ctx: ctx.input)
        client = type(local.client)(local.access_token, shared_stream=True, max_streams=1)
        items = list(mapping(range(60), max_in_flight=30, client=client))
        assert sorted(item.result.result for item in items) == list(range(60))
        del items
        gc.collect()


def test_what_is_the_same_for_all_is_sent_with_each(mapping: Mapping, server: EchoServer) -> None:
    list(mapping(range(3), name="a batch", priority=10, require_ack=True))
    sent = [call.json for call in server.calls("finalize")]
    assert [(one["name"], one["priority"]) for one in sent] == [("a batch", 0)] * 3
    assert all(one["requireAck"] is True for one in sent)


def test_names_can_be_made_of_index_and_input(mapping: Mapping, server: EchoServer) -> None:
    def name(index: int, input: Any) -> str:
        return f"{index} is {input}"

    list(mapping(["x", "y"], name=name))
    assert sorted(call.json["name"] for call in server.calls("finalize")) == ["0 is x", "1 is y"]


def test_default_converts_inputs(mapping: Mapping) -> None:
    [item] = mapping([{1}], default=list)
    assert item.result.result == [1]


# Arguments


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_in_flight": 0}, "max_in_flight must be a whole number from 1 on, not 0"),
        ({"max_in_flight": True}, "max_in_flight must be a whole number from 1 on, not True"),
        ({"max_in_flight": 2.5}, "max_in_flight must be a whole number from 1 on, not 2.5"),
        ({"on_exit": "stay"}, """on_exit must be "leave" or "abort", not 'stay'"""),
        ({"on_exit": []}, r'on_exit must be "leave" or "abort", not \[\]'),
        ({"priority": 11}, "priority must be from 0"),
        ({"name": 5}, "name must be text or None, not int"),
        ({"access_token": "x"}, "access_token"),
        ({"client": "x"}, "client must be a requence.Client, not str"),
        ({"decode": 5}, "decode must be a function or None, not int"),
        ({"decode": str, "result_type": int}, "decode and result_type were both given"),
        ({"result_type": "text"}, "result_type is"),
        ({"default": 5}, "default must be a function or None, not int"),
        ({"inputs": "abc"}, "inputs must have one input for each task, and not be a str"),
        ({"inputs": b"abc"}, "inputs must have one input for each task, and not be a bytes"),
        ({"inputs": {"a": 1}}, "inputs must have one input for each task, and not be a dict"),
        ({"inputs": 5}, "inputs must be an iterable of inputs, not int"),
        ({"inputs": None}, "inputs must be an iterable of inputs, not NoneType"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_arguments_are_checked_at_the_call(
    mapping: Mapping, server: EchoServer, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        mapping(**({"inputs": [1]} | wrong))
    assert server.operations == []


def test_a_coroutine_function_makes_no_names(mapping: Mapping) -> None:
    async def name(index: int, input: object) -> str:
        return f"{index}"

    with pytest.raises(ConfigurationError, match="name must be a plain function"):
        mapping([1], name=name)


@pytest.mark.parametrize("function", [map_tasks, aio.map_tasks])
def test_what_is_wrong_for_all_is_told_at_the_call(
    function: Callable[..., object], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("without a token"))
    with pytest.raises(ConfigurationError, match="No access token was found"):
        function("t", [1])
    with pytest.raises(ConfigurationError, match="task_template must be text, not int"):
        function(5, [1])
    with pytest.raises(TypeError, match="max_in_fligth"):
        function("t", [1], max_in_fligth=5)
    with pytest.raises(TypeError):
        function("t")


def test_an_asynchronous_iterable_is_for_the_twin(server: EchoServer) -> None:
    async def inputs() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(ConfigurationError, match="not async_generator") as caught:
        map_tasks("t", cast("Any", inputs()), client=server.client)
    assert caught.value.hint == "requence.task.aio.map_tasks takes it"


# What goes wrong with one of them


def test_an_input_that_cannot_be_sent_is_told_and_the_others_go_on(mapping: Mapping) -> None:
    inputs = [1, {"a": [object()]}, 3]
    items = {item.index: item for item in mapping(inputs)}
    assert [items[index].result.result for index in (0, 2)] == [1, 3]
    failed = items[1]
    assert isinstance(failed.error, ConfigurationError)
    assert failed.input is inputs[1]
    assert failed.task is None
    assert "input['a'][0] is an object" in str(failed.error) or "input.a[0]" in str(failed.error)
    assert failed.error.__notes__[-1].startswith("This was input 1: {'a': [<object object at")


def test_an_input_that_fails_when_it_is_looked_at_is_told_too(mapping: Mapping) -> None:
    class Gone:
        @property
        def to_json(self) -> Any:
            raise LeftError

    items = {item.index: item for item in mapping([1, {"a": Gone()}, 3])}
    assert [items[index].result.result for index in (0, 2)] == [1, 3]
    assert "input.a could not be read: LeftError()" in str(items[1].error)


def test_what_goes_wrong_with_a_task_is_its_error(mapping: Mapping, server: EchoServer) -> None:
    def refuse(call: Call) -> Answer:
        if call.json["input"] == "refuse":
            return Answer(400, "the input does not fit")
        return server._started(call)

    server.always("finalize", refuse)
    found = {item.input: item for item in mapping(["refuse", "fail", "abort", "good"])}
    kinds = {name: type(item.error) for name, item in found.items()}
    assert kinds == {
        "refuse": TaskRefusedError,
        "fail": TaskFailedError,
        "abort": TaskAbortedError,
        "good": type(None),
    }
    assert str(found["fail"].error) == "it cannot be done"
    for name, item in found.items():
        assert item.task is not None
        if item.error is not None:
            assert item.error.__notes__[-1] == f"This was input {item.index}: {name!r}"
            with pytest.raises(type(item.error)) as caught:
                item.result  # noqa: B018 (it raises)
            assert caught.value is item.error


def test_a_task_that_cannot_be_followed_is_told(mapping: Mapping, server: EchoServer) -> None:
    def gone(call: Call) -> Answer | Stream:
        stream = server._watched(call)
        return Answer(404, "no such task") if b"gone" in b"".join(cast("Any", stream.chunks)) else stream

    server.always("watch", gone)
    server.always("get", Answer(404, "no such task"))
    found = {item.input: item.error for item in mapping(["gone", "good"])}
    assert isinstance(found["gone"], TaskNotFoundError)
    assert found["good"] is None


def test_a_delivery_that_cannot_be_confirmed_is_told_with_the_result(
    mapping: Mapping, server: EchoServer
) -> None:
    server.always("watch", from_position(end(1, "done", requireAck=True)))
    server.script("ack", Answer(404, "no such task"))
    [item] = mapping([1])
    assert isinstance(item.error, AckFailedError)
    assert item.error.result is not None
    assert item.error.result.result == "done"
    assert item.task is not None
    assert item.task.sync.result.result == "done"


def test_a_name_that_cannot_be_made_is_the_error_of_its_input(mapping: Mapping) -> None:
    def name(index: int, input: Any) -> Any:
        return {0: "good", 1: 5}[index]

    errors = {item.index: item.error for item in mapping(["a", "b", "c"], name=name)}
    assert errors[0] is None
    assert str(errors[1]) == "what name returns must be text or None, not int"
    assert str(errors[2]) == "name failed on this input: KeyError(2)"
    assert isinstance(errors[2], ConfigurationError)
    assert isinstance(errors[2].__cause__, KeyError)


def test_an_input_is_named_shortly_and_whatever_its_repr_does(mapping: Mapping) -> None:
    class Silent:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    notes = [item.error.__notes__[-1] for item in mapping([Silent(), {"a" * 1000: object()}, [10**5000]])
             if item.error]  # fmt: skip
    assert "Silent" in "".join(notes)
    assert all(len(note) < 250 for note in notes)


def test_an_error_can_be_raised_again_and_again(mapping: Mapping) -> None:
    [item] = mapping(["fail"])
    lengths = set[int]()
    for _ in range(3):
        with pytest.raises(TaskFailedError) as caught:
            item.result  # noqa: B018 (it raises)
        lengths.add(len(caught.traceback))
    assert len(lengths) == 1


def test_items_tell_what_they_are(mapping: Mapping) -> None:
    told = sorted(repr(item) for item in mapping(["fail", 7]))
    assert told[0] == "<TaskItem 0: TaskFailedError: it cannot be done>"
    assert told[1].startswith("<TaskItem 1: <TaskResult of task ")


def test_results_are_decoded_before_they_are_taken(mapping: Mapping) -> None:
    threads = list[str]()

    def decode(raw: Any) -> int:
        threads.append(threading.current_thread().name)
        return 10 // int(raw)

    items = {item.input: item for item in mapping([0, 2, 5], decode=decode)}
    assert (items[2].result.result, items[5].result.result) == (5, 2)
    assert isinstance(items[0].error, TaskException)
    assert "decode failed on its result: ZeroDivisionError" in str(items[0].error)
    assert items[0].error.result is not None
    assert items[0].error.result.result == 0
    assert items[0].error.__notes__[-1] == "This was input 0: 0"
    task = items[2].task
    assert task is not None
    assert task.sync.result is items[2].result  # it is decoded once
    assert len(threads) == 3
    assert "requence-io" not in threads


def test_results_have_the_type(mapping: Mapping) -> None:
    items = {item.input: item for item in mapping([1, "x"], result_type=int)}
    assert items[1].result.result == 1
    assert "its result does not fit int" in str(items["x"].error)


# Leaving early


class LeftError(Exception):
    pass


def leave_by_break(items: Items) -> None:
    with items:
        for _ in items:
            break


def leave_by_error(items: Items) -> None:
    def use() -> None:
        with items:
            for _ in items:
                raise LeftError

    with pytest.raises(LeftError):
        use()


def leave_by_close(items: Items) -> None:
    next(items)
    items.close()


def leave_by_closing(items: Items) -> None:
    with closing(items):
        next(items)


def leave_by_an_error_of_the_inputs(items: Items) -> None:
    with pytest.raises(LeftError):
        list(items)


LEAVING = [leave_by_break, leave_by_error, leave_by_close, leave_by_closing, leave_by_an_error_of_the_inputs]


def some_inputs(server: EchoServer) -> Iterator[str]:
    """One that ends once all others are there, and nine that never do; then an error."""
    server.gates = {name: Gate() for name in ("first", *"012345678")}
    yield "first"
    yield from "01234567"
    server.gates["first"].open()
    yield "8"
    server.wait_until(lambda: server.count("watch") == 10)
    raise LeftError


@pytest.mark.parametrize("leave", LEAVING)
def test_what_is_under_way_is_left_running(
    mapping: Mapping, server: EchoServer, leave: Callable[[Items], None], caplog: pytest.LogCaptureFixture
) -> None:
    items = mapping(some_inputs(server), max_in_flight=10 if leave is not LEAVING[-1] else 11)
    leave(items)
    server.wait_until(lambda: server.count("finalize") == 10)
    assert list(items) == []
    gc.collect()
    server.wait_until(lambda: sum(call.left for call in server.calls("watch")) <= 9)
    assert "abort" not in server.operations
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("leave", LEAVING)
def test_what_is_under_way_is_aborted(
    mapping: Mapping, server: EchoServer, leave: Callable[[Items], None]
) -> None:
    limit = 10 if leave is not LEAVING[-1] else 11
    items = mapping(some_inputs(server), max_in_flight=limit, on_exit="abort")
    leave(items)
    # Confirmed by now; those that were not started yet are not started at all, or are aborted as well.
    aborted = {call.path.rpartition("/")[2] for call in server.calls("abort")}
    others = {task_id for task_id, value in server.inputs.items() if value != "first"}
    assert aborted >= others
    assert len(aborted - set(server.inputs)) + len(others) == 9
    assert len(aborted) <= 10  # the end of the first one may have been on its way
    reasons = {call.body.decode() for call in server.calls("abort")}
    assert reasons == {"map_tasks was left before this task had ended"}
    assert list(items) == []


def test_a_generator_of_inputs_is_closed(mapping: Mapping) -> None:
    closed = list[bool]()

    def inputs() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    with mapping(inputs(), max_in_flight=3) as items:
        next(items)
        assert not closed
    assert closed == [True]


def test_dropping_it_is_leaving_it(mapping: Mapping, server: EchoServer) -> None:
    for _ in mapping(some_inputs(server), max_in_flight=10, on_exit="abort"):
        break
    server.wait_until(lambda: server.count("abort") == 9)


def test_what_has_ended_is_not_aborted(mapping: Mapping, server: EchoServer) -> None:
    with mapping(Counted(), max_in_flight=5, on_exit="abort") as items, opened_once_there_are(server, 5):
        next(items)
        io_thread().run(_left_running)  # nobody follows any of them any more
    assert "abort" not in server.operations


def test_an_iteration_that_has_come_to_its_end_aborts_nothing(mapping: Mapping, server: EchoServer) -> None:
    with mapping(range(5), on_exit="abort") as items:
        assert len(list(items)) == 5
    assert "abort" not in server.operations


def test_a_task_that_was_not_started_is_not_started_at_all(mapping: Mapping, server: EchoServer) -> None:
    gate = Gate()
    prepare = server._as_usual
    server.always("prepare", lambda call: Answer(200, cast("Any", prepare(call)).body, when=gate))

    def inputs() -> Iterator[int]:
        yield 1
        server.wait_until(lambda: server.count("prepare") == 1)
        threading.Timer(0.05, gate.open).start()  # while the abort waits for the id
        raise LeftError

    with pytest.raises(LeftError):
        next(mapping(inputs(), on_exit="abort"))
    assert server.operations == ["prepare", "abort"]


def test_leaving_waits_for_the_aborts_but_not_for_ever(
    mapping: Mapping, server: EchoServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(in_flight, "_CONFIRMED_WITHIN", 0.05)
    gate = Gate()
    server.always("abort", Answer(when=gate))
    with mapping(some_inputs(server), max_in_flight=10, on_exit="abort") as items:
        next(items)
    assert [record.getMessage() for record in caplog.records] == [
        "9 of 9 aborts of tasks of 't' were not confirmed within 0.05 seconds"
    ]
    gate.open()


def test_what_could_not_be_aborted_is_logged(
    mapping: Mapping, server: EchoServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.script("abort", Answer(404, "there is no such task"))
    with mapping(some_inputs(server), max_in_flight=10, on_exit="abort") as items:
        next(items)
        server.wait_until(lambda: server.count("watch") == 10)
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("Task task-")
    assert line.endswith("of 't' was not aborted: there is no such task")


def test_it_can_be_closed_in_another_thread(server: EchoServer) -> None:
    server.gate = Gate()
    items = map_tasks("t", range(3), client=server.client, on_exit="abort")
    found = list[list[TaskItem]]()
    waiting = threading.Thread(target=lambda: found.append(list(items)))
    waiting.start()
    server.wait_until(lambda: server.count("watch") == 3)
    items.close()
    waiting.join(10)
    assert found == [[]]
    assert server.count("abort") == 3


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_close, leave_by_error])
def test_what_was_taken_or_left_is_not_kept(mapping: Mapping, leave: Callable[[Items], None]) -> None:
    class Input(dict[str, int]):
        pass

    kept = list[weakref.ref[Input]]()

    def inputs() -> Iterator[Input]:
        for number in range(20):
            one = Input(number=number)
            kept.append(weakref.ref(one))
            yield one
            del one

    items = mapping(inputs(), max_in_flight=5)
    item = next(items)
    handle = weakref.ref(cast("Task", item.task))
    del item
    assert handle() is None  # without the collector
    leave(items)
    del items
    io_thread().run(_left_running)  # what was left has been forgotten there by then
    gc.collect()
    assert not any(one() for one in kept)


# In its surroundings


def test_in_a_running_loop_it_warns(server: EchoServer) -> None:
    async def main() -> list[Any]:
        with map_tasks("t", range(3), client=server.client) as items:
            return [item.result.result for item in items]

    with pytest.warns(RuntimeWarning, match="async for … in requence.task.aio.map_tasks") as caught:
        assert sorted(asyncio.run(main())) == [0, 1, 2]
    assert {warning.filename for warning in caught} == {__file__}


async def test_where_that_is_an_error_it_ends(server: EchoServer) -> None:
    server.gate = Gate()
    items = map_tasks("t", range(3), client=server.client, on_exit="abort")
    with pytest.raises(RuntimeWarning):
        next(items)
    items.close()
    assert server.count("abort") == 3


@pytest.mark.filterwarnings("ignore:This blocks the running event loop")
async def test_each_face_says_how_it_is_iterated(server: EchoServer) -> None:
    with pytest.raises(UsageError, match="is for `async for … in aio"):
        list(cast("Any", aio.map_tasks("t", [1], client=server.client)))
    with pytest.raises(UsageError, match="is for `async for … in aio"):
        await cast("Any", aio.map_tasks("t", [1], client=server.client))
    with pytest.raises(UsageError, match="write `async for … in requence"):
        async for _ in cast("Any", map_tasks("t", [1], client=server.client)):
            pass


async def test_it_tells_how_far_it_is(server: EchoServer) -> None:
    items = aio.map_tasks("t", range(3), client=server.client, max_in_flight=2)
    assert repr(items) == "<map_tasks of 't': 0 begun, 0 of 2 in flight>"
    with opened_once_there_are(server, 2):
        await anext(items)
    assert repr(items) == "<map_tasks of 't': 2 begun, 1 of 2 in flight>"
    await items.aclose()
    assert repr(items) == "<map_tasks of 't': 2 begun, over>"


async def test_one_step_at_a_time(server: EchoServer) -> None:
    server.gate = gate = Gate()
    items = aio.map_tasks("t", range(3), client=server.client)
    first = asyncio.ensure_future(anext(items))
    await server.until(lambda: server.count("watch") == 3)
    with pytest.raises(UsageError, match="waited for already"):
        await anext(items)
    gate.open()
    assert (await first).error is None
    assert len([item async for item in items]) == 2


@pytest.mark.parametrize("on_exit", ["leave", "abort"])
async def test_a_cancelled_wait_ends_it(server: EchoServer, on_exit: Any) -> None:
    server.gate = Gate()
    items = aio.map_tasks("t", range(3), client=server.client, on_exit=on_exit)
    waiting = asyncio.ensure_future(anext(items))
    await server.until(lambda: server.count("watch") == 3)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await waiting
    assert server.count("abort") == (3 if on_exit == "abort" else 0)
    goes_on = "are aborted" if on_exit == "abort" else "go on"
    assert caught.value.__notes__ == [f"3 tasks of 't' {goes_on} (on_exit)"]
    assert [item async for item in items] == []


async def test_a_time_limit_around_the_loop_ends_it(server: EchoServer) -> None:
    server.gate = Gate()

    async def to_the_end() -> None:
        async with aclosing(aio.map_tasks("t", range(3), client=server.client, on_exit="abort")) as items:
            async for _ in items:
                pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(to_the_end(), 0.2)
    assert server.count("abort") == 3


async def test_a_long_wait_is_told_once(server: EchoServer, caplog: pytest.LogCaptureFixture) -> None:
    """Not for each task."""
    caplog.set_level(logging.INFO, "requence")
    server.gate = gate = Gate()
    client = server.client_with(call_timeout=10_000, patience=None)
    with FakeClock.of_io_thread().standing() as clock:
        items = aio.map_tasks("t", range(3), client=client)
        waiting = asyncio.ensure_future(anext(items))
        await server.until(lambda: server.count("watch") == 3)
        await asyncio.to_thread(clock.skip_to_timer, 29, 30.5)
        await asyncio.to_thread(clock.move_on, 100)
        gate.open()
        await waiting
        assert len([item async for item in items]) == 2
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.INFO] == [
        "Waiting for 30 seconds now for the next of 3 tasks of 't'"
    ]


# Inputs that are waited for


async def test_inputs_can_be_asynchronous(server: EchoServer) -> None:
    async def inputs() -> AsyncIterator[int]:
        for number in range(150):
            if number % 50 == 0:
                await asyncio.sleep(0.01)
            yield number

    async with aio.map_tasks("t", inputs(), client=server.client, max_in_flight=20) as items:
        assert sorted([item.result.result async for item in items]) == list(range(150))


async def test_no_more_asynchronous_inputs_are_read_than_fit(server: EchoServer) -> None:
    read = 0

    async def inputs() -> AsyncIterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    taken = 0
    async with aio.map_tasks("t", inputs(), client=server.client, max_in_flight=5) as items:
        async for _ in items:
            taken += 1
            assert read <= taken - 1 + 5
            if taken == 50:
                break


async def test_items_come_while_the_next_input_is_waited_for(server: EchoServer) -> None:
    """Such as where the inputs come of the results."""
    queue = asyncio.Queue[int]()

    async def inputs() -> AsyncIterator[int]:
        while (number := await queue.get()) <= 20:
            yield number

    queue.put_nowait(0)
    seen = list[int]()
    async with aio.map_tasks("t", inputs(), client=server.client) as items:
        async for item in items:
            seen.append(item.result.result)
            queue.put_nowait(seen[-1] + 1)
    assert seen == list(range(21))


async def test_an_error_of_asynchronous_inputs_is_raised(server: EchoServer) -> None:
    server.gate = Gate()

    async def inputs() -> AsyncIterator[int]:
        yield 1
        yield 2
        await server.until(lambda: server.count("watch") == 2)
        raise LeftError

    items = aio.map_tasks("t", inputs(), client=server.client, on_exit="abort")
    with pytest.raises(LeftError):
        async for _ in items:
            pass
    assert server.count("abort") == 2
    assert [item async for item in items] == []


@pytest.mark.parametrize("way", ["aclose", "cancel", "drop"])
async def test_leaving_ends_the_wait_for_an_input(server: EchoServer, way: str) -> None:
    ended = asyncio.Event()

    async def inputs() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.set()

    items = aio.map_tasks("t", inputs(), client=server.client)
    assert (await anext(items)).input == 1
    if way == "aclose":
        await items.aclose()
        assert ended.is_set()
    elif way == "cancel":
        waiting = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert ended.is_set()
    else:
        del items
        await asyncio.wait_for(ended.wait(), 10)


async def test_asynchronous_inputs_are_read_in_one_task(server: EchoServer) -> None:
    """Else what is open in a generator where it yields does not work, or not without a word."""
    level = ContextVar("level", default=0)
    met = list[Any]()

    async def inputs() -> AsyncIterator[int]:
        token = level.set(1)
        try:
            async with asyncio.timeout(0.05):
                yield 1
                met.append(level.get())
                await asyncio.Event().wait()
        except TimeoutError as error:
            met.append(type(error))
        level.reset(token)
        async with asyncio.TaskGroup() as group:
            yield 2
            group.create_task(asyncio.sleep(0))
            yield 3
        met.append(level.get())

    async with aio.map_tasks("t", inputs(), client=server.client) as items:
        assert sorted([item.input async for item in items]) == [1, 2, 3]
    assert met == [1, TimeoutError, 0]


@pytest.mark.parametrize("way", ["aclose", "drop", "error"])
async def test_an_asynchronous_generator_of_inputs_is_closed_where_it_was_read(
    server: EchoServer, way: str
) -> None:
    """Though the iterator, or even the generator, is kept."""
    tasks = list[object]()
    closed = asyncio.Event()

    async def made() -> AsyncGenerator[int]:
        try:
            while True:
                tasks.append(asyncio.current_task())
                yield 1
        finally:
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())
            closed.set()

    inputs = made()
    items = aio.map_tasks("t", inputs, client=server.client, max_in_flight=2)
    if way == "error":
        with suppress(LeftError):
            async with items:
                async for _ in items:
                    raise LeftError
    elif way == "aclose":
        await anext(items)
        await items.aclose()
    else:
        await anext(items)
        del items
        await asyncio.wait_for(closed.wait(), 10)
    assert closed.is_set()
    assert len(set(tasks)) == 1
    assert [number async for number in inputs] == []


def test_asynchronous_inputs_stay_on_their_loop(server: EchoServer) -> None:
    async def inputs() -> AsyncIterator[int]:
        while True:
            yield 1

    async def step(items: AsyncTaskItems[Any]) -> object:
        return (await anext(items)).input

    async def made() -> AsyncTaskItems[Any]:
        return aio.map_tasks("t", inputs(), client=server.client, max_in_flight=1)

    with asyncio.Runner() as one, asyncio.Runner() as other:
        items = one.run(made())
        assert one.run(step(items)) == 1
        with pytest.raises(UsageError, match="are being read on another event loop"):
            other.run(step(items))
    with asyncio.Runner() as one:
        items = one.run(made())
        assert one.run(step(items)) == 1
    with pytest.raises(UsageError, match="has ended before them"):
        asyncio.run(step(items))
