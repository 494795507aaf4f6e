"""Ctrl-C at every line on the way to the I/O thread: what is asked afterwards gets there, and is answered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from types import CodeType, FrameType
from typing import Any

import pytest
from tests.scripted_server import ScriptedServer

import requence
from requence._transport.io_loop import IOThread
from requence.task import Task
from requence.task.run import Run


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def is_interrupted(work: Callable[[], object], codes: tuple[CodeType, ...], *, line: int) -> bool:
    """Calls something that is interrupted before it comes to a line of some code; says whether it got that far."""
    reached = 0

    def each_line(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal reached
        if event == "line":
            reached += 1
            if reached == line:
                raise KeyboardInterrupt
        return each_line

    before = sys.gettrace()
    sys.settrace(lambda frame, _event, _argument: each_line if frame.f_code in codes else None)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_a_start_that_is_interrupted_is_in_the_way_of_none_later(server: ScriptedServer) -> None:
    Task("t", client=server.client).sync.id  # noqa: B018 (from now on the thread is there)
    requence.flush(10)  # what other tests have left
    codes = IOThread._post.__code__, _ringing()
    kept = list[Task]()  # since the end of a handle is another way there
    line = 0
    for line in count(1):
        if not is_interrupted(lambda: kept.append(Task("t", client=server.client)), codes, line=line):
            break
        assert Task("t", client=server.client).sync.wait(10)
    assert line > 5
    assert requence.flush(10) == []


def test_a_wait_that_is_interrupted_as_it_begins_can_be_repeated(server: ScriptedServer) -> None:
    line = 0
    for line in count(1):
        task = Task("t", client=server.client)
        task.sync.id  # noqa: B018
        if not is_interrupted(lambda task=task: task.sync.result, (Run.ending.__code__,), line=line):  # type: ignore[misc]
            break
        assert task.sync.wait(10).result == "done"
    assert line > 5


def _ringing() -> CodeType:
    import asyncio

    return asyncio.BaseEventLoop.call_soon_threadsafe.__code__
