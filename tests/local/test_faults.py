"""Faults on purpose: what each does on the wire, and that our own client gets over it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.conftest import endless, failing, greeting
from tests.fake_clock import FakeClock
from tests.local.api import Api, Connect
from tests.stream.cut_scripts import short_pauses

from requence import Client
from requence.exceptions import ConfigurationError, RequenceUnreachableException
from requence.local import Fault, LocalServer
from requence.task import Task, TaskWatcher, abort_task, get_task, protect_task
from requence.task.updates import TaskEnd

NAMES = ["taskStart", "nodeStart", "nodeUpdate", "nodeEnd", "nodeStart", "nodeUpdate", "nodeEnd", "taskEnd"]

Ask = Callable[[LocalServer], Fault]


@pytest.fixture
def running() -> Iterator[LocalServer]:
    with LocalServer(greeting(), failing(), endless()) as server:
        yield server


@pytest.fixture
def api(running: LocalServer, connect: Connect) -> Api:
    return connect(running)


@pytest.fixture
def quick() -> Iterator[None]:
    with short_pauses():
        yield


def ended(api: Api) -> str:
    """A task that has ended, so that its stream has no pauses."""
    task_id = api.start("my-template", {})
    list(api.watch(task_id))
    return task_id


# --- what goes over the wire -------------------------------------------------------------------


def lines(api: Api, task_id: str) -> tuple[list[str], bool]:
    """The lines of a task's stream, and whether it ended in due form."""
    found: list[str] = []
    with api.http.stream("POST", f"/task/watch/{task_id}", json={"since": None}) as answer:
        try:
            found.extend(answer.iter_lines())
        except httpx.RemoteProtocolError:
            return found, False
    return found, True


def names(found: list[str]) -> list[str]:
    return [line.removeprefix("event: ") for line in found if line.startswith("event: ")]


@pytest.mark.parametrize("after", [0, 3, 8])
def test_drop_cuts_a_stream_after_so_many_events(api: Api, running: LocalServer, after: int) -> None:
    task_id = ended(api)
    fault = running.faults.drop(after)
    found, in_due_form = lines(api, task_id)
    assert (names(found), in_due_form) == (NAMES[:after], False)
    assert (fault.struck, fault.left) == (1, 0)
    assert lines(api, task_id)[1]


def test_what_does_not_come_so_far_meets_nothing(api: Api, running: LocalServer) -> None:
    task_id = ended(api)
    fault = running.faults.drop(9)
    assert lines(api, task_id)[1]
    assert fault.struck == 0


def test_half_an_event_comes_without_its_end(api: Api, running: LocalServer) -> None:
    task_id = ended(api)
    whole, _ = lines(api, task_id)
    running.faults.half_event(2)
    found, in_due_form = lines(api, task_id)
    assert not in_due_form
    assert found[:8] == whole[:8]
    assert "".join(found[8:]) != "".join(whole[8:12])
    assert "\n".join(whole[8:12]).startswith("\n".join(found[8:]))
    assert len(found) > 8


def test_an_end_is_in_due_form(api: Api, running: LocalServer) -> None:
    task_id = ended(api)
    running.faults.end(3)
    found, in_due_form = lines(api, task_id)
    assert (names(found), in_due_form) == (NAMES[:3], True)


def test_duplicates_come_twice_with_the_same_position(api: Api, running: LocalServer) -> None:
    task_id = ended(api)
    fault = running.faults.duplicate(6)
    found, in_due_form = lines(api, task_id)
    assert names(found) == [*NAMES[:6], NAMES[6], NAMES[6], NAMES[7], NAMES[7]]
    positions = [line for line in found if line.startswith("id: ")]
    assert positions[6] == positions[7] == "id: 7"
    assert in_due_form
    assert fault.struck == 2


def test_silence_has_no_signs_of_life_and_no_end(
    api: Api, running: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("requence.local.app._KEEP_ALIVE_SECONDS", 0.01)
    task_id = ended(api)
    running.faults.silence(8)
    with api.http.stream("POST", f"/task/watch/{task_id}", json={"since": None}, timeout=0.3) as answer:
        found: list[str] = []
        with pytest.raises(httpx.ReadTimeout):
            found.extend(answer.iter_lines())
    assert not any(line.startswith(":") for line in found)


def test_a_silent_stream_does_not_keep_the_server(connect: Connect) -> None:
    server = LocalServer(greeting())
    with server:
        api = connect(server)
        server.faults.silence()
        task_id = api.start("my-template", {})
        with api.http.stream("POST", f"/task/watch/{task_id}", json={"since": None}):
            begun = time.monotonic()
            server.__exit__(None, None, None)
            assert time.monotonic() - begun < 1


@pytest.mark.parametrize(("seconds", "header"), [(None, None), (0, "0"), (1.2, "2")])
def test_a_status_comes_instead_of_the_answer(
    api: Api, running: LocalServer, seconds: float | None, header: str | None
) -> None:
    running.faults.status(503, operation="prepare", retry_after=seconds, times=2)
    for status in (503, 503, 200):
        answer = api.http.post("/task/prepare/my-template")
        assert answer.status_code == status
        assert answer.headers.get("retry-after") == (header if status == 503 else None)


def test_a_refused_finalize_has_not_started_the_task(api: Api, running: LocalServer) -> None:
    running.faults.status(502, operation="finalize")
    task_id = api.prepare("my-template")
    assert api.finalize(task_id, {}).status_code == 502
    assert api.get(task_id)["status"] == "idle"


def test_a_dropped_answer_leaves_the_work_done(api: Api, running: LocalServer) -> None:
    fault = running.faults.drop(operation="finalize")
    task_id = api.prepare("my-template")
    with pytest.raises(httpx.RemoteProtocolError):
        api.finalize(task_id, {})
    assert fault.struck == 1
    assert list(api.watch(task_id))[-1].name == "taskEnd"


def test_a_slow_start_comes_late(api: Api, running: LocalServer) -> None:
    running.faults.slow_start(0.2, operation="get")
    task_id = api.prepare("my-template")
    begun = time.monotonic()
    assert api.get(task_id)["status"] == "idle"
    assert time.monotonic() - begun >= 0.2


def test_a_fault_of_one_template_leaves_the_others(api: Api, running: LocalServer) -> None:
    fault = running.faults.status(500, operation="prepare", template="failing", times=None)
    for _ in range(2):
        assert api.http.post("/task/prepare/my-template").status_code == 200
        assert api.http.post("/task/prepare/failing").status_code == 500
    assert (fault.struck, fault.left) == (2, None)
    running.faults.drop(operation="get", template="failing")
    assert api.get(api.prepare("my-template"))["status"] == "idle"
    running.faults.clear()
    assert api.http.post("/task/prepare/failing").status_code == 200


def test_faults_strike_in_the_order_in_which_they_were_asked_for(api: Api, running: LocalServer) -> None:
    for status in (500, 429):
        running.faults.status(status, operation="get")
    task_id = api.prepare("my-template")
    assert [api.http.get(f"/task/{task_id}").status_code for _ in range(3)] == [500, 429, 200]


def test_files_meet_faults_too(running: LocalServer, api: Api) -> None:
    urls = api.http.post("/task/prepare/my-template").json()["fileUrls"]
    running.faults.status(503, operation="upload")
    assert [api.http.post(urls["uploadUrl"], content=b"x").status_code for _ in range(2)] == [503, 200]


def test_what_makes_no_sense_is_refused_at_once() -> None:
    faults: Any = LocalServer(greeting()).faults
    calls: list[Callable[[], object]] = [
        lambda: faults.drop(-1),
        lambda: faults.drop(True),
        lambda: faults.drop(times=0),
        lambda: faults.drop(operation="watching"),
        lambda: faults.drop(2, operation="get"),
        lambda: faults.silence(operation="get"),
        lambda: faults.status(200),
        lambda: faults.status("500"),
        lambda: faults.status(503, retry_after=-1),
        lambda: faults.status(503, operation="types", template="x"),
        lambda: faults.drop(operation="watch_all", template="x"),
        lambda: faults.slow_start(float("nan")),
        lambda: faults.slow_start("1"),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError):
            call()


# --- our own client ----------------------------------------------------------------------------

STREAM_FAULTS: dict[str, Ask] = {
    "drop at once": lambda server: server.faults.drop(),
    "drop": lambda server: server.faults.drop(4, times=1),
    "drop before the end": lambda server: server.faults.drop(7),
    "half an event": lambda server: server.faults.half_event(3),
    "half the end": lambda server: server.faults.half_event(7),
    "clean end": lambda server: server.faults.end(5),
    "clean end at once": lambda server: server.faults.end(),
    "duplicates": lambda server: server.faults.duplicate(),
    "status": lambda server: server.faults.status(503, retry_after=0, times=2),
    "slow start": lambda server: server.faults.slow_start(0.05),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_a_followed_task_loses_nothing_and_repeats_nothing(running: LocalServer, fault: str) -> None:
    asked = STREAM_FAULTS[fault](running)
    updates = list(Task("my-template", {"name": "World"}, client=running.client).sync.updates)
    assert [update.type for update in updates] == NAMES
    assert [update.position for update in updates] == list(range(1, 9))
    assert isinstance(updates[-1], TaskEnd)
    assert updates[-1].result == "HELLO WORLD"
    assert asked.struck >= 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", STREAM_FAULTS)
def test_a_result_comes_all_the_same(running: LocalServer, fault: str) -> None:
    asked = STREAM_FAULTS[fault](running)
    assert Task("my-template", {}, client=running.client).sync.result.result == "HELLO NOBODY"
    assert asked.struck >= 1


def test_a_silent_stream_is_given_up_and_opened_again(running: LocalServer) -> None:
    fault = running.faults.silence(2)
    with FakeClock.of_io_thread().standing() as clock:
        updates = iter(Task("my-template", {}, client=running.client).sync.updates)
        seen = [next(updates), next(updates)]
        rest: list[Any] = []
        reader = threading.Thread(target=lambda: rest.extend(updates))
        reader.start()
        clock.skip_to_timer(290, 300.5)  # the limit of a stream that sends no signs of life
        clock.skip_to_timer(0.0, 0.25)
        reader.join(20)
    assert [update.type for update in seen + rest] == NAMES
    assert fault.struck == 1


WATCHER_FAULTS: dict[str, Ask] = {
    "drop": lambda server: server.faults.drop(3, operation="watch_all"),
    "half an event": lambda server: server.faults.half_event(3, operation="watch_all"),
    "end": lambda server: server.faults.end(3, operation="watch_all"),
    "duplicate": lambda server: server.faults.duplicate(operation="watch_all"),
    "status": lambda server: server.faults.status(503, operation="watch_all", retry_after=0),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", WATCHER_FAULTS)
def test_a_watcher_loses_nothing_and_repeats_nothing(running: LocalServer, fault: str) -> None:
    asked = WATCHER_FAULTS[fault](running)
    connected = threading.Event()
    with TaskWatcher("2000-01-01", client=running.client, on_connect=connected.set) as watcher:
        task = Task("my-template", {}, client=running.client)
        seen: list[str] = []
        for update, _ in watcher.sync.updates:
            seen.append(update.type)
            if update.type == "taskEnd":
                break
    assert seen == NAMES
    assert asked.struck >= 1
    assert task.sync.id


CALLS: dict[str, Callable[[Client, str], object]] = {
    "prepare": lambda client, task_id: Task("my-template", {}, client=client).sync.finalized(),
    "finalize": lambda client, task_id: Task("my-template", {}, client=client).sync.finalized(),
    "get": lambda client, task_id: get_task(task_id, client=client),
    "abort": lambda client, task_id: abort_task(task_id, client=client),
    "protect": lambda client, task_id: protect_task(task_id, client=client),
}


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("kind", ["status", "drop", "slow_start"])
def test_calls_get_over_it(
    running: LocalServer, api: Api, monkeypatch: pytest.MonkeyPatch, operation: Any, kind: str
) -> None:
    task_id = api.start("endless")
    if kind == "status":
        # Even a finalize may be repeated after this: the client asks how the task is.
        fault = running.faults.status(503, operation=operation, retry_after=0)
    elif kind == "drop":
        fault = running.faults.drop(operation=operation)
    else:
        fault = running.faults.slow_start(0.05, operation=operation)
    CALLS[operation](running.client, task_id)
    assert fault.struck == 1


def test_what_never_gets_better_is_an_error(running: LocalServer) -> None:
    fault = running.faults.status(503, operation="prepare", retry_after=0, times=None)
    with pytest.raises(RequenceUnreachableException) as failed:
        Task("my-template", {}, client=Client(running.access_token, retries=2, proxy="")).sync.finalized()
    assert failed.value.status == 503
    assert fault.struck == 3
