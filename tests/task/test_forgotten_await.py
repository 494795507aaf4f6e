"""What is to be awaited explains itself where that was forgotten. Each message is pinned here."""

from __future__ import annotations

import copy
import inspect
import json
import logging
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.scripted_server import ScriptedServer, Stream, check_nothing_is_left

from requence.exceptions import UsageError
from requence.task import Task, TaskWatcher

RESULT = "task.result has to be awaited: `await task.result`, or without asyncio `task.sync.result`"
ID = "task.task_id has to be awaited: `await task.task_id`, or without asyncio `task.sync.id`"
URL = "task.task_url has to be awaited: `await task.task_url`, or without asyncio `task.sync.url`"
UPDATES = "task.updates is for `async for … in task.updates`, or without asyncio `for … in task.sync.updates`"
LATER = (
    "task.updates_after(3) is for `async for … in task.updates_after(3)`, "
    "or without asyncio `for … in task.sync.updates_after(3)`"
)
BLOCKING = "task.sync.updates is for a plain `for`: write `async for … in task.updates`"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def task(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> Iterator[Task]:
    task = Task("t", client=server.client)
    task.sync.finalized()
    yield task
    assert server.operations == ["prepare", "finalize"]  # no use below has asked for anything
    check_nothing_is_left(caplog)


def either(value: object) -> str:
    return "yes" if value else "no"


USES: dict[str, tuple[Callable[[Any], object], str]] = {
    "str(task.task_id)": (lambda task: str(task.task_id), ID),
    "f'{task.task_id}'": (lambda task: f"{task.task_id}", ID),
    "f'{task.task_url:>9}'": (lambda task: f"{task.task_url:>9}", URL),
    "'%s' % task.task_url": (lambda task: "%s" % task.task_url, URL),  # noqa: UP031 (as people write it)
    "print(task.result)": (lambda task: print(task.result), RESULT),
    "if task.result": (lambda task: either(task.result), RESULT),
    "not task.task_id": (lambda task: not task.task_id, ID),
    "task.result['result']": (lambda task: task.result["result"], RESULT),
    "task.task_id == 'task-1'": (lambda task: task.task_id == "task-1", ID),
    "task.task_id in [...]": (lambda task: task.task_id in ["task-0", "task-1"], ID),
    "a, b = task.result": (lambda task: [*task.result], RESULT),
    "for u in task.updates": (lambda task: list(task.updates), UPDATES),
    "for u in task": (lambda task: list(task), UPDATES),
    "for u in task.updates_after(3)": (lambda task: list(task.updates_after(3)), LATER),
}


@pytest.mark.parametrize("use", USES)
def test_a_forgotten_await_is_told_where_it_was_forgotten(task: Task, use: str) -> None:
    wrong, message = USES[use]
    with pytest.raises(UsageError) as caught:
        wrong(task)
    assert caught.value.message == message


def test_an_attribute_of_what_is_not_there_yet(task: Task) -> None:
    result: Any = task.result
    with pytest.raises(AttributeError) as caught:
        _ = result.result
    assert str(caught.value) == f"no attribute 'result', since {RESULT}"
    with pytest.raises(AttributeError, match=r"no attribute 'get_node_data', since task\.result has"):
        result.get_node_data("ocr")
    assert not hasattr(result, "result")


def test_json_and_logging(task: Task, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TypeError, match="Object of type Pending is not JSON serializable"):
        json.dumps({"id": task.task_id})
    with caplog.at_level(logging.INFO), pytest.raises(UsageError):
        logging.getLogger("a user's").info("started %s", task.task_id)


async def test_await_and_async_for_on_the_wrong_thing(task: Task) -> None:
    updates: Any = task.updates
    with pytest.raises(UsageError) as caught:
        await updates
    assert caught.value.message == UPDATES
    blocking: Any = task.sync.updates
    with pytest.raises(UsageError) as caught:
        async for _ in blocking:
            pass
    assert caught.value.message == BLOCKING


def test_a_watcher_says_it_too(server: ScriptedServer) -> None:
    server.always("watch-all", Stream(end="open"))
    with TaskWatcher("2026-01-31T12:00:00Z", client=server.client) as watcher:
        updates: Any = watcher.updates
        with pytest.raises(UsageError) as caught:
            list(updates)
    assert caught.value.message == (
        "watcher.updates is for `async for … in watcher.updates`, "
        "or without asyncio `for … in watcher.sync.updates`"
    )


def test_a_repr_says_what_to_write_and_never_fails(task: Task) -> None:
    shown = "<Task 't' task-1>"
    assert repr(task) == shown
    assert repr(task.result) == f"<{RESULT}>"
    assert repr(task.task_id) == f"<{ID}>"
    assert repr(task.updates) == f"<task.updates of {shown}: for `async for`>"
    assert repr(task.sync.updates) == f"<task.sync.updates of {shown}: for `for`>"
    assert repr(task.updates_after(3)) == f"<task.updates_after(3) of {shown}: for `async for`>"
    assert repr(task.sync) == f"<the blocking face of {shown}>"


def test_whoever_looks_into_a_handle_causes_nothing(task: Task) -> None:
    """Debuggers, mocks, documentation tools and serializers read every attribute."""
    for name in dir(task):
        if not name.startswith("__"):
            assert getattr(task, name) is not None
    members = dict(inspect.getmembers(task))
    assert members["known_id"] == "task-1"
    for awaitable in (task.result, task.task_id, task.task_url):
        inspect.getmembers(awaitable)
        assert copy.copy(awaitable) is not None
        assert not hasattr(awaitable, "__array__")
        assert not hasattr(awaitable, "_repr_html_")
        with pytest.raises(TypeError):
            pickle.dumps(awaitable)


async def test_they_can_still_be_awaited_afterwards(task: Task) -> None:
    task_id: Any = task.task_id
    with pytest.raises(UsageError):
        bool(task_id)
    assert await task_id == "task-1"
    assert await task_id == "task-1"
