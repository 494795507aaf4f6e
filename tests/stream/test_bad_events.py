"""Events that are damaged, strange or too large."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import pytest
from tests.scripted_server import (
    Call,
    ScriptedServer,
    Stream,
    end,
    event,
    from_position,
    report,
)
from tests.stream.a_log import FIRST, LAST, LOG, NODE, bodies, positions
from tests.stream.cut_scripts import short_pauses

from requence.task import (
    StreamEventTooLarge,
    Task,
    TaskException,
)
from requence.task.updates import TaskEnd, UnknownUpdate


@pytest.mark.breaks_contract
@pytest.mark.parametrize(
    "data",
    [b"{half", b"", b"[1]", b"null", b"NaN", b"[" * 100_000],
    ids=["half", "empty", "list", "null", "NaN", "deep"],
)
@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
def test_a_damaged_event_is_fetched_again_then_skipped(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, data: bytes, ids: bool
) -> None:
    damaged = (b"id: 2\n" if ids else b"") + b"event: nodeUpdate\ndata: " + data + b"\n\n"
    log = [event(1 if ids else None, "taskStart"), damaged, end(3 if ids else None, "done")]
    server.always("watch", from_position(*log))
    updates = list(Task("t", client=server.client).sync.updates)
    assert [update.type for update in updates] == ["taskStart", "taskEnd"]
    assert bodies(server) == [{"since": None}, {"since": None, "lastPosition": 1} if ids else {"since": None}]
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "nodeUpdate" in record.getMessage()
    assert "skipped" in record.getMessage()


def test_an_event_that_was_damaged_on_its_way_is_not_lost(server: ScriptedServer) -> None:
    server.script("watch", Stream([FIRST, b"id: 2\ndata: {\n\n", LAST]), from_position(*LOG))
    assert positions(list(Task("t", client=server.client).sync.updates)) == [1, 2, 3]


def test_several_damaged_events_are_skipped_one_by_one(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    log = (
        FIRST,
        b"id: 2\ndata: {\n\n",
        b"id: 3\ndata: }\n\n",
        event(4, "nodeEnd", node=NODE),
        end(5, "done"),
    )
    server.always("watch", from_position(*log))
    assert positions(list(Task("t", client=server.client).sync.updates)) == [1, 4, 5]
    assert [body.get("lastPosition") for body in bodies(server)] == [None, 1, 2]
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 2


def test_several_damaged_events_without_ids(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    log = [b"data: {\n\n", b"data: }\n\n", end(None, "done")]
    server.always("watch", Stream(log))
    [update] = Task("t", client=server.client).sync.updates
    assert isinstance(update, TaskEnd)
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 2


@pytest.mark.breaks_contract
def test_damage_that_looks_different_each_time_does_not_hide_the_end(server: ScriptedServer) -> None:
    """Without an id it cannot be known to be the same, so it is never passed over; but the task is asked for."""
    numbers = itertools.count()
    first, last = event(None, "taskStart"), end(None, "done")

    def play(call: Call) -> Stream:
        damaged = b"event: nodeUpdate\ndata: half a line %d\n\n" % next(numbers)
        return Stream([first, damaged, last])

    server.always("watch", play)
    server.script("get", report("running"))
    server.always("get", report("successful", result=7))
    with short_pauses():
        updates = list(Task("t", client=server.client).sync.updates)
    assert [(update.type, update.synthetic) for update in updates] == [
        ("taskStart", False),
        ("taskEnd", True),
    ]
    assert len(server.calls("get")) == 2
    assert len(server.calls("watch")) == 1 + 4 + 4 + 4


@pytest.mark.breaks_contract
@pytest.mark.parametrize("position", [b"", b"id: 2\n"], ids=["no id", "id"])
async def test_a_damaged_last_update_fails_the_result(server: ScriptedServer, position: bytes) -> None:
    server.always("watch", Stream([FIRST, position + b"event: taskEnd\ndata: {\n\n"], end="open"))
    task = Task("t", client=server.client)
    with pytest.raises(TaskException, match=r"taskEnd.*its last update cannot be read"):
        await task.result
    updates = aiter(task)
    assert (await anext(updates)).position == 1
    with pytest.raises(TaskException, match="cannot be read"):
        await anext(updates)


def test_half_a_surrogate_pair_is_no_damage(server: ScriptedServer) -> None:
    server.always("watch", Stream([FIRST, end(2, "cut \ud83d")]))
    assert Task("t", client=server.client).sync.result.result == "cut \ud83d"


@pytest.mark.breaks_contract
def test_unknown_events_are_passed_on(server: ScriptedServer) -> None:
    server.script(
        "watch",
        Stream(
            [
                FIRST,
                event(2, "nodeDance", node=NODE, steps=3),
                b'id: 3\ndata: {"hello": 1}\n\n',
                end(4, "done"),
            ]
        ),
    )
    _, dance, nameless, _ = Task("t", client=server.client).sync.updates
    assert isinstance(dance, UnknownUpdate)
    assert (dance.type, dance.position, dance.steps) == ("nodeDance", 2, 3)
    assert isinstance(nameless, UnknownUpdate)
    assert (nameless.type, nameless.hello) == ("message", 1)


@pytest.mark.parametrize(
    "reference",
    [
        {"__REQUENCE_type": "SomethingNew", "url": "http://h/x"},
        {"__REQUENCE_type": "RequenceFile"},
    ],
    ids=["unknown", "broken"],
)
def test_a_strange_reference_stays_a_plain_object(server: ScriptedServer, reference: dict[str, Any]) -> None:
    update = event(2, "nodeUpdate", node=NODE, data={"it": [reference]}, output=None)
    server.always("watch", Stream([FIRST, update, end(3, reference)]))
    task = Task("t", client=server.client)
    assert [later.get("data") for later in task.sync.updates][1] == {"it": [reference]}
    assert task.sync.result.result == reference


@pytest.mark.breaks_contract
def test_the_type_inside_an_event_wins_over_its_name(server: ScriptedServer) -> None:
    server.script("watch", Stream([event(1, "message", type="taskEnd", result="done")], end="open"))
    assert Task("t", client=server.client).sync.result.result == "done"


def test_ids_that_are_no_numbers_are_ignored(server: ScriptedServer) -> None:
    server.script(
        "watch", Stream([b"id: one\n" + event(None, "taskStart")]), Stream([b"id: -3\n" + end(None, 7)])
    )
    assert positions(list(Task("t", client=server.client).sync.updates)) == [None, None]
    assert bodies(server) == [{"since": None}] * 2


async def test_an_event_that_is_too_large(server: ScriptedServer) -> None:
    large = event(2, "nodeUpdate", node=NODE, data="x" * 5000, output=None)
    server.always("watch", Stream([FIRST, large, LAST]))
    task = Task("t", client=server.client_with(max_event_size=1000))
    updates = aiter(task)
    assert (await anext(updates)).position == 1
    with pytest.raises(StreamEventTooLarge) as caught:
        await anext(updates)
    assert (caught.value.position, caught.value.limit, caught.value.task_id) == (1, 1000, "task-1")
    assert caught.value.size > 1000
    with pytest.raises(StreamEventTooLarge):
        await task.result
    assert len(server.calls("watch")) == 2  # it would be as large the next time
