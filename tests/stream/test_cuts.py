"""Nothing lost, nothing twice, nothing hangs: for any log, cut at any byte."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal
from urllib.parse import urlsplit

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.cutting_proxy import CuttingProxy, Ending, Plan
from tests.scripted_server import (
    BEARER,
    Answer,
    ScriptedServer,
    event,
    from_position,
    prepared,
    started,
)
from tests.stream.cut_scripts import FOLLOWING, Script, Stage, bearable, follow, short_pauses
from tests.stream.soak import soak

from requence import Client
from requence._token import encode_access_token
from requence.task import Task, TaskWatcher

WITHIN = 10.0  # seconds after which a task hangs; all of them take a fraction of one

# What a reader can trip over: a comment, lines that end with CRLF, characters of two, three and four bytes.
SMALL_LOG = tuple(
    event.replace("\n", "\r\n").encode()
    for event in (
        'id: 1\n: ☕\nevent: taskStart\ndata: {"input":"é☕😀"}\n\n',
        'id: 2\nevent: nodeUpdate\ndata: {"node":{"alias":"ocr"},\ndata: "data":"é☕😀"}\n\n',
        'id: 3\nevent: taskEnd\ndata: {"result":"é☕😀"}\n\n',
    )
)


@pytest.fixture(scope="module", autouse=True)
def pauses_are_short() -> Iterator[None]:
    with short_pauses():
        yield


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


# The proxy itself


@pytest.mark.breaks_contract("requests", "answers")
@pytest.mark.parametrize(
    ("after", "by"), [*itertools.product((0, 1, 17, 5000), ("fin", "reset")), (150_000, "fin")]
)
def test_the_proxy_cuts_where_it_is_told(after: int, by: Ending) -> None:
    with ScriptedServer() as server, CuttingProxy(server.url) as proxy:
        server.always("watch", Answer(200, "x" * 200_000))
        route = proxy.route(Plan(after, by, pieces=(3, 1, 10)))
        assert ask(route.url) == (after, by)
        assert (route.connections, route.cuts) == (1, 1)


@pytest.mark.breaks_contract("requests")
def test_the_proxy_passes_on_what_no_plan_cuts() -> None:
    with ScriptedServer() as server, CuttingProxy(server.url) as proxy:
        server.always("watch", Answer(200, "x" * 200_000, length=200_001))  # so that the server closes
        directly = ask(server.url)
        route = proxy.route(None, Plan(10**9, pieces=(1, 2, 3)))
        assert [ask(route.url) for _ in range(3)] == [directly] * 3
        assert (route.connections, route.cuts) == (3, 0)


def ask(url: str) -> tuple[int, Ending]:
    """Asks for a stream, and returns how many bytes came and how the connection ended."""
    size, address = 0, urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=WITHIN) as client:
        client.sendall(b"POST /follow-here/x HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        try:
            while piece := client.recv(65536):
                size += len(piece)
        except ConnectionResetError:
            return size, "reset"
    return size, "fin"


# Any script, cut anywhere

plans = st.builds(
    Plan,
    cut_after=st.integers(0, 140) | st.integers(0, 1500),
    by=st.sampled_from(["fin", "reset"]),
    pieces=st.lists(st.integers(1, 400), max_size=12).map(tuple),
)
scripts = st.builds(
    Script,
    seed=st.integers(0, 10**6),
    events=st.integers(1, 8),
    last=st.sampled_from(["taskEnd", "taskError", "taskAborted"]),
    numbering=st.sampled_from(["positions", "gaps", "update ids", "mixed"]),
    resumes=st.booleans(),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    chunked=st.booleans(),
    block=st.sampled_from([0, 3, 50]),
    status=st.sampled_from(["running", "ended"]),
    require_ack=st.booleans(),
    places=st.sampled_from([0, 2]),
    plans=st.lists(plans, max_size=6).map(tuple),
    closes=st.lists(st.integers(0, 200), max_size=3).map(tuple),
).map(bearable)


@pytest.mark.breaks_contract
@given(script=scripts)
# Not shrunk: that would play a script that hangs over and over, and what is printed can be played by the soak.
@settings(
    max_examples=200,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    report_multiple_bugs=False,
)
def test_any_script_gives_every_update_once_and_the_right_outcome(stage: Stage, script: Script) -> None:
    async def in_each_way() -> None:
        each = (stage.play(replace(script, following=way), within=WITHIN) for way in FOLLOWING)
        for finding in await asyncio.gather(*each):
            assert finding.is_good, str(finding)

    asyncio.run(in_each_way())


@pytest.mark.breaks_contract
@pytest.mark.parametrize("by", ["fin", "reset"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "close-delimited"])
async def test_cuts_in_a_row_while_the_service_says_that_the_task_has_ended(
    stage: Stage, chunked: bool, by: Ending
) -> None:
    """Where the answer's end is marked it is known that each of them was a cut; else, that it was in an event."""
    in_first_event = Plan(cut_after=160, by=by)
    finding = await stage.play(
        Script(chunked=chunked, status="ended", plans=(in_first_event,) * 10), within=WITHIN
    )
    assert finding.is_good, str(finding)


@pytest.mark.breaks_contract
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "close-delimited"])
@pytest.mark.parametrize("by", ["fin", "reset"])
async def test_a_cut_after_each_byte_of_the_answer(by: Ending, chunked: bool) -> None:
    in_turn: Iterator[Literal["for", "async for"]] = itertools.cycle(("for", "async for"))
    with ScriptedServer() as server, CuttingProxy(server.url) as proxy:
        # Left open, so that no connection is used again: each answer has one of its own, and a plan.
        server.always("watch", from_position(*SMALL_LOG, chunked=chunked, end="open"))
        route = proxy.route()
        server.script("prepare", prepared(server, "it"))
        server.script("finalize", started(server, "it", urls={"watch": f"{route.url}/follow-here/it"}))
        task = Task("t", client=server.client)
        for after in itertools.count():
            route.plan(Plan(after, by))
            try:
                updates = await follow(task, next(in_turn), within=WITHIN)
            except TimeoutError:
                pytest.fail(f"it hung after a cut after {after} bytes")
            assert [update.position for update in updates] == [1, 2, 3], f"after a cut after {after} bytes"
            context = updates[-1].context
            assert (context.input, context.get_node_data("ocr"), context.result) == ("é☕😀",) * 3
            if route.cuts == after:  # none this time: the client has left with the last update
                break
        assert route.cuts > len(b"".join(SMALL_LOG))
        assert (await task.result).result == "é☕😀"


@pytest.mark.parametrize("by", ["fin", "reset"])
def test_the_stream_of_all_tasks_is_cut_everywhere(by: Ending) -> None:
    """A watcher for every few bytes, and one that is cut at all of these places, one after the other."""
    log = [
        event(
            at,
            name,
            taskId=task,
            task_id=task,
            rootTaskId=None,
            node={"id": "n", "type": "service"},
            input="é☕",
            result="😀",
        )
        for at, (task, name) in enumerate(itertools.product("abc", ("taskStart", "nodeEnd", "taskEnd")), 1)
    ]
    places = range(0, 200 + len(b"".join(log)), 23)
    with ScriptedServer() as server, CuttingProxy(server.url) as proxy:
        server.always("watch-all", from_position(*log, end="open"))
        for plans in (*([Plan(place, by)] for place in places), [Plan(place, by) for place in places]):
            route = proxy.route(*plans)
            client = Client(encode_access_token(BEARER, f"{route.url}/api"))
            with TaskWatcher("2026-01-31T12:00:00Z", client=client) as watcher:
                items = list(itertools.islice(watcher.sync.updates, len(log)))
            assert [update.position for update, _ in items] == list(range(1, len(log) + 1)), plans
            assert [update.context.input for update, _ in items] == ["é☕"] * len(log), plans
            assert not any(incomplete for _, incomplete in items), plans


@pytest.mark.breaks_contract
def test_hundreds_of_cuts_over_many_tasks_side_by_side() -> None:
    tally = asyncio.run(soak(300, seed=1, at_once=20, within=2 * WITHIN))
    assert not tally.bad, "\n".join(map(str, [*tally.bad, tally]))
    assert tally.cuts >= 300
