"""The handle's two faces, against the local server over a real socket."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from requence import Client
from requence._token import encode_access_token
from requence.exceptions import ConfigurationError
from requence.local import LocalServer
from requence.task import (
    RequenceUnreachableException,
    Task,
    TaskAbortedError,
    TaskAbortException,
    TaskException,
    TaskFailedError,
    TaskNotFoundError,
    TaskProtectException,
    TaskRefusedError,
    TaskWaitTimeout,
    UnauthorizedError,
    abort_task,
    aio,
    get_task,
    protect_task,
)
from requence.task.updates import NodeError, NodeUpdate, TaskAborted, TaskEnd, TaskError, TaskStart

KINDS = ["taskStart", *["nodeStart", "nodeUpdate", "nodeEnd"] * 2, "taskEnd"]


def test_the_blocking_face(server: LocalServer) -> None:
    task = Task("my-template", {"name": "World"})
    result = task.sync.result
    assert result.result == "HELLO WORLD"
    assert result.input == {"name": "World"}
    assert result.task_id == task.sync.id == task.sync.finalized() == task.known_id
    assert result.task_url == task.sync.url
    assert result.task_url is not None
    assert result.task_url.startswith(server.url)
    assert result.get_node_data("greet") == "Hello World"
    assert result.get_node_error("greet") is None


async def test_the_awaitable_face(server: LocalServer) -> None:
    task = Task("my-template", {"name": "World"})
    result = await task.result
    assert result.result == "HELLO WORLD"
    assert result.task_id == await task.task_id == await task.finalized() == task.known_id
    assert result.task_url == await task.task_url
    assert await task == result == await task.wait() == await task.wait(5)


async def test_awaiting_the_result_needs_nothing_before(server: LocalServer) -> None:
    assert (await Task("my-template").result).result == "HELLO NOBODY"
    assert (await Task("my-template")).result == "HELLO NOBODY"


def test_iterating_gives_everything_each_time_and_ends(server: LocalServer) -> None:
    task = Task("my-template", {"name": "World"})
    once = list(task.sync.updates)
    again = list(task.sync.updates)
    assert [update.type for update in once] == KINDS
    assert once == again
    assert [update.position for update in once] == list(range(1, 9))
    match once:
        case [TaskStart(input=given), _, NodeUpdate(data=data), *_, TaskEnd(result=result)]:
            assert (given, data, result) == ({"name": "World"}, "Hello World", "HELLO WORLD")
        case _:
            pytest.fail(f"unexpected updates: {once}")


async def test_async_iteration_gives_everything_each_time_and_ends(server: LocalServer) -> None:
    task = Task("my-template")
    once = [update async for update in task.updates]
    again = [update async for update in task]
    assert [update.type for update in once] == KINDS == [update.type for update in again]


async def test_many_readers_at_once_do_not_disturb_each_other(server: LocalServer) -> None:
    task = Task("my-template")

    async def read() -> list[str]:
        return [update.type async for update in task.updates]

    assert await asyncio.gather(*(read() for _ in range(5))) == [KINDS] * 5


def test_each_update_has_the_context_of_its_moment(server: LocalServer) -> None:
    updates = list(Task("my-template", {"name": "World"}).sync.updates)
    assert [dict(update.context.node_data) for update in updates] == [
        {},
        {},
        *[{"greet": "Hello World"}] * 3,
        *[{"greet": "Hello World", "shout": "HELLO WORLD"}] * 3,
    ]
    assert [update.context.result for update in updates] == [None] * 7 + ["HELLO WORLD"]
    for update in updates:
        json.dumps(update.to_dict())  # can be relayed as it is


def test_leaving_an_iteration_early_leaves_the_task_alone(server: LocalServer) -> None:
    task = Task("my-template")
    for update in task.sync.updates:
        assert update.type == "taskStart"
        break
    assert task.sync.result.result == "HELLO NOBODY"


def test_a_failed_task(server: LocalServer) -> None:
    task = Task("failing")
    with pytest.raises(TaskFailedError, match="the second node cannot do it") as caught:
        _ = task.sync.result
    error = caught.value
    assert error.reason is not None
    assert "the second node cannot do it" in error.reason
    assert (error.task_id, error.task_template, error.task_url) == (task.sync.id, "failing", task.sync.url)
    assert error.context.get_node_data("first") == 1
    assert "cannot do it" in error.context.get_node_error("second")
    updates = list(task.sync.updates)  # says so in its last update, without raising
    assert isinstance(updates[-1], TaskError)
    assert any(isinstance(update, NodeError) for update in updates)


def test_abort_and_what_it_leaves(server: LocalServer) -> None:
    task = Task("endless")
    operation = task.abort("No longer needed")
    assert "confirmed" in repr(operation)
    with pytest.raises(TaskAbortedError, match="Task aborted: No longer needed") as caught:
        _ = task.sync.result
    assert caught.value.reason == "No longer needed"


def test_abort_of_a_running_task_with_a_reason_in_any_script(server: LocalServer) -> None:
    task = Task("endless")
    task.sync.finalized()
    task.sync.abort("não, 不要 🛑")
    with pytest.raises(TaskAbortedError) as caught:
        _ = task.sync.result
    assert caught.value.reason == "não, 不要 🛑"
    *_, last = task.sync.updates  # ends without raising; the last update says what happened
    assert isinstance(last, TaskAborted)
    assert last.reason == "não, 不要 🛑"


async def test_abort_and_protect_under_a_loop_are_awaited(server: LocalServer) -> None:
    task = Task("endless")
    await task.finalized()
    await task.protect()
    await task.abort("enough")
    with pytest.raises(TaskAbortedError, match="enough"):
        await task.result


def test_functions_for_a_task_by_its_id(server: LocalServer) -> None:
    task = Task("endless", name="by hand")
    task_id = task.sync.id
    protect_task(task_id)
    status, context = get_task(task_id)
    assert status in ("pending", "running")
    assert context.task_id == task_id
    abort_task(task_id, reason="by id")
    with pytest.raises(TaskAbortedError, match="by id"):
        _ = task.sync.result
    snapshot = get_task(task_id)
    assert (snapshot.status, snapshot.name) == ("stopped", "by hand")


async def test_their_coroutine_twins(server: LocalServer) -> None:
    task = Task("endless")
    task_id = await task.task_id
    await aio.protect_task(task_id)
    await aio.abort_task(task_id, reason="by id")
    snapshot = await aio.get_task(task_id)
    assert snapshot.status == "stopped"
    with pytest.raises(TaskAbortedError, match="by id"):
        await task


def test_an_unknown_id_is_an_error_of_each_function(server: LocalServer) -> None:
    with pytest.raises(TaskNotFoundError) as caught:
        get_task("no-such-task")
    assert caught.value.status_code == 404
    with pytest.raises(TaskAbortException) as aborting:
        abort_task("no-such-task")
    assert aborting.value.task_id == "no-such-task"
    with pytest.raises(TaskProtectException):
        protect_task("no-such-task")


def ways_to_ask(task: Task) -> list[type[BaseException] | None]:
    """Asks in every blocking way and returns what each raised."""

    def raised(ask: object) -> BaseException | None:
        assert callable(ask)
        try:
            ask()
        except TaskException as error:
            return error
        except RequenceUnreachableException as error:
            return error
        return None

    errors = [
        raised(lambda: task.sync.finalized()),
        raised(lambda: task.sync.id),
        raised(lambda: task.sync.url),
        raised(lambda: task.sync.result),
        raised(lambda: list(task.sync.updates)),
    ]
    assert len({str(error) for error in errors}) == 1, errors
    assert len({id(error) for error in errors}) == len(
        errors
    )  # each its own, so that tracebacks do not pile up
    return [type(error) if error else None for error in errors]


async def async_ways_to_ask(task: Task) -> list[type[BaseException] | None]:
    """Asks in every awaitable way and returns what each raised."""

    async def iterate() -> None:
        async for _ in task.updates:
            pass

    async def the(awaitable: object) -> None:
        await awaitable  # type: ignore[misc]

    asked = [task.finalized(), the(task.task_id), the(task.task_url), the(task.result), iterate(), the(task)]
    errors = await asyncio.gather(*asked, return_exceptions=True)
    return [type(error) if isinstance(error, BaseException) else None for error in errors]


REFUSED_NAME = {"name": 5}


def test_a_refused_input_is_told_by_everything(server: LocalServer) -> None:
    task = Task("my-template", REFUSED_NAME)
    assert ways_to_ask(task) == [TaskRefusedError] * 5
    with pytest.raises(TaskException, match=r"input\.name.*5") as caught:
        task.sync.finalized()
    assert caught.value.status_code == 400
    assert caught.value.task_template == "my-template"
    assert caught.value.task_id is not None
    assert task.known_id is None


async def test_a_refused_input_is_told_by_every_awaitable(server: LocalServer) -> None:
    assert await async_ways_to_ask(Task("my-template", REFUSED_NAME)) == [TaskRefusedError] * 6


def test_an_unknown_template_names_the_known_ones(server: LocalServer) -> None:
    task = Task("my-tmplate")
    assert ways_to_ask(task) == [TaskRefusedError] * 5
    with pytest.raises(TaskRefusedError, match="my-template"):
        task.sync.finalized()


def test_a_wrong_token(server: LocalServer) -> None:
    token = encode_access_token("wrong", server.url)
    assert ways_to_ask(Task("my-template", access_token=token)) == [UnauthorizedError] * 5
    with pytest.raises(UnauthorizedError):
        get_task("x", token)
    with pytest.raises(UnauthorizedError):
        abort_task("x", token)


def test_an_unreachable_server(free_port: int) -> None:
    token = encode_access_token("t", f"http://127.0.0.1:{free_port}")
    client = Client(token, retries=0)
    assert ways_to_ask(Task("my-template", client=client)) == [RequenceUnreachableException] * 5
    with pytest.raises(
        RequenceUnreachableException, match=rf"127\.0\.0\.1:{free_port}.*could not be reached"
    ):
        Task("my-template", client=client).sync.finalized()


async def test_an_unreachable_server_for_every_awaitable(free_port: int) -> None:
    client = Client(encode_access_token("t", f"http://127.0.0.1:{free_port}"), retries=0)
    assert await async_ways_to_ask(Task("my-template", client=client)) == [RequenceUnreachableException] * 6


def test_a_malformed_token_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match="access token"):
        Task("my-template", access_token="garbage")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"task_template": ""}, "task_template"),
        ({"task_template": ".."}, "task_template"),
        ({"task_template": 5}, "task_template"),
        ({"task_template": "t", "priority": 11}, "priority"),
        ({"task_template": "t", "priority": True}, "priority"),
        ({"task_template": "t", "priority": 2.5}, "priority"),
        ({"task_template": "t", "name": 5}, "name"),
        ({"task_template": "t", "input": {"when": {1, 2}}}, r"input\.when"),
        ({"task_template": "t", "access_token": 5}, "access_token"),
    ],
)
def test_a_bad_argument_is_told_at_once(server: LocalServer, arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Task(**arguments)  # type: ignore[call-overload]


def test_a_wait_with_a_limit_leaves_the_task_alone(server: LocalServer) -> None:
    task = Task("endless")
    next(updates := iter(task.sync.updates))  # it runs
    updates.close()
    with pytest.raises(TaskWaitTimeout, match="still runs") as caught:
        task.sync.wait(timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.task_id, caught.value.task_url) == (task.sync.id, task.sync.url)
    assert get_task(task.sync.id).status == "running"
    task.sync.abort("done")
    with pytest.raises(TaskAbortedError, match="done"):
        task.sync.wait(timeout=30)


async def test_a_cancelled_wait_can_be_repeated(server: LocalServer) -> None:
    task = Task("endless")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.ensure_future(_await(task)), 0.05)
    await task.abort("done")
    with pytest.raises(TaskAbortedError):
        await task.result


async def _await(task: Task) -> None:
    await task.result


def test_one_task_in_several_loops_and_threads(server: LocalServer) -> None:
    task = Task("my-template")

    async def ask() -> object:
        return (await task.result).result

    found = [asyncio.run(ask()), asyncio.run(ask())]

    def ask_in_a_loop() -> None:
        found.append(asyncio.run(ask()))

    def ask_blocking() -> None:
        found.append(task.sync.result.result)

    threads = [threading.Thread(target=way) for way in [ask_in_a_loop, ask_blocking] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["HELLO NOBODY"] * 8


def test_require_ack_is_confirmed_before_the_result_is_handed_out(server: LocalServer) -> None:
    task = Task("my-template", require_ack=True)
    assert task.sync.result.result == "HELLO NOBODY"
    assert get_task(task.sync.id).status == "successful"


def test_a_repr_does_no_io_and_shows_no_token(server: LocalServer) -> None:
    task = Task("endless")
    shown = [repr(task), repr(task.sync), repr(task.result), repr(task.updates), repr(task.sync.updates)]
    shown += [repr(server.client), repr(task.sync.abort), repr(task._run)]
    assert not any(server.access_token in text for text in shown)
    task.sync.abort()
