"""Going on with a task elsewhere: references, attaching, pickling."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fake_clock import FakeClock
from tests.scripted_server import (
    BEARER,
    Answer,
    Gate,
    ScriptedServer,
    Stream,
    check_nothing_is_left,
    end,
    event,
    report,
    started,
)

from requence import Client
from requence._token import encode_access_token
from requence.exceptions import ConfigurationError, UsageError
from requence.local import LocalServer
from requence.task import (
    Task,
    TaskAbortException,
    TaskException,
    TaskFailedError,
    TaskNotFoundError,
    TaskRef,
    TaskRefusedError,
    Update,
)

LOG = (
    event(1, "taskStart", input={"n": 1}),
    event(2, "nodeEnd", node={"id": "a", "type": "service"}),
    end(3, "done"),
)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        server.always("watch", Stream(LOG))
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    check_nothing_is_left(caplog)


def reference(server: ScriptedServer) -> TaskRef:
    return Task("t", {"n": 1}, client=server.client).sync.ref()


def test_a_reference_says_what_is_known(server: ScriptedServer) -> None:
    ref = reference(server)
    root = server.url.removesuffix("/api")
    assert ref == TaskRef(
        task_id="task-1",
        base_url=server.url,
        task_template="t",
        task_url=f"{root}/page/task-1",
        watch_url=f"{root}/follow-here/task-1?key=%2F2",
    )
    assert server.operations == ["prepare", "finalize"]


async def test_both_faces_give_the_same_reference(server: ScriptedServer) -> None:
    task = Task("t", client=server.client)
    ref = await task.ref()
    assert ref == (await Task.attach(ref, client=server.client).ref())
    assert hash(ref) == hash(TaskRef.from_json(ref.to_json()))


def test_a_reference_goes_through_json_and_pickle(server: ScriptedServer) -> None:
    ref = reference(server)
    assert TaskRef.from_json(ref.to_json()) == ref
    assert TaskRef.from_json(ref.to_json().encode()) == ref
    assert pickle.loads(pickle.dumps(ref)) == ref
    with_more = json.dumps({**json.loads(ref.to_json()), "a later version's": 1})
    assert TaskRef.from_json(with_more) == ref
    short = TaskRef(task_id="x", base_url="http://h")
    assert TaskRef.from_json(short.to_json()) == short


def test_nothing_secret_is_in_it(server: ScriptedServer) -> None:
    task = Task("t", client=server.client)
    ref = task.sync.ref()
    with_token = (server.access_token, BEARER)
    for shown in (repr(ref), ref.to_json(), repr(pickle.dumps(ref)), repr(pickle.dumps(task))):
        assert not any(secret in shown for secret in with_token)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "This is no TaskRef: Expecting value"),
        ("[]", "This is no TaskRef: it is not a JSON object"),
        ("{}", "This is no TaskRef: task_id and base_url missing"),
        ('{"task_id": "a"}', "This is no TaskRef: base_url missing"),
        ('{"task_id": 5, "base_url": "http://h"}', "task_id must be text, not int"),
        ('{"task_id": "..", "base_url": "http://h"}', "task_id must not be '..'"),
        ('{"task_id": "a", "base_url": ""}', "base_url must not be empty"),
        ('{"task_id": "a", "base_url": null}', "base_url must not be empty"),
        (
            '{"task_id": "a", "base_url": "http://h", "watch_url": 1}',
            "watch_url must be text or None, not int",
        ),
        (5, "This is no TaskRef: the JSON object must be str"),
        ("[" * 100_000, "This is no TaskRef: "),
    ],
)
def test_what_is_no_reference_is_told(text: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{problem.replace('.', '[.]')}"):
        TaskRef.from_json(text)


def test_a_handle_from_a_reference_does_everything(server: ScriptedServer) -> None:
    ref = reference(server)
    told: list[Update] = []
    task = Task.attach(ref, client=server.client, on_update=told.append)
    assert (task.known_id, task.sync.id, task.sync.url) == ("task-1", "task-1", ref.task_url)
    assert [update.position for update in task.sync.updates] == [1, 2, 3]
    assert [update.position for update in task.sync.updates_after(1)] == [1, 2, 3][1:]
    assert (task.sync.result.result, task.sync.result.input) == ("done", {"n": 1})
    assert task.sync.result.task_url == ref.task_url
    assert repr(task) == "<Task 't' task-1, succeeded>"
    task.sync.protect()
    task.sync.abort("enough")
    server.wait_until(lambda: [update.position for update in told] == [1, 2, 3])
    assert server.operations.count("prepare") == server.operations.count("finalize") == 1
    assert [call.body for call in server.calls("abort")] == [b"enough"]


async def test_attaching_sends_nothing(server: ScriptedServer) -> None:
    ref = await Task("t", client=server.client).ref()
    asked = len(server.operations)
    task = Task.attach(ref, client=server.client)
    assert await task.task_id == await task.finalized() == "task-1"
    assert await task.task_url == ref.task_url
    assert len(server.operations) == asked
    assert (await task).result == "done"


def test_of_a_failed_task_the_error_names_the_template(server: ScriptedServer) -> None:
    server.always("watch", Stream([event(1, "taskError", reason="broken")]))
    task = Task.attach(reference(server), client=server.client)
    with pytest.raises(TaskFailedError, match="broken") as caught:
        _ = task.sync.result
    assert (caught.value.task_template, caught.value.task_id) == ("t", "task-1")


def test_a_reference_of_another_service_is_refused(server: ScriptedServer) -> None:
    ref = dataclasses.replace(reference(server), base_url="https://other.example.org/api")
    with pytest.raises(ConfigurationError) as caught:
        Task.attach(ref, client=server.client)
    assert caught.value.message == (
        f"The task is at https://other.example.org/api, but the access token is for {server.url}"
    )
    assert caught.value.hint == "give a token of the service that runs the task"


@pytest.mark.parametrize(
    "watch_url", ["http://127.0.0.1:9/follow", "https://{}/follow", "ftp://{}/", "http://[", None]
)
def test_the_token_goes_to_no_other_host_that_a_reference_names(
    server: ScriptedServer, watch_url: str | None
) -> None:
    """References may have been in other hands: the end is then learned by asking the service itself."""
    where = server.url.removeprefix("http://").removesuffix("/api")
    ref = dataclasses.replace(reference(server), watch_url=watch_url and watch_url.format(where))
    server.always("get", report("successful", result=7))
    task = Task.attach(ref, client=server.client)
    [update] = task.sync.updates
    assert (update.type, update.synthetic) == ("taskEnd", True)
    assert task.sync.result.result == 7
    assert "watch" not in server.operations


@pytest.mark.parametrize(
    "path",
    [
        "/api/task/abort/other",
        "/api/task/finalize/other",
        "/API/task/protect/other",
        "/api/%74ask/abort/other",
        "/api/%2574ask/abort/other",
        "/follow-here/../api/task/abort/other",
        "/follow-here/%2e%2e/api/task/abort/other",
        "//api/task/abort/other",
    ],
)
def test_a_changed_reference_makes_no_other_request_of_the_service(server: ScriptedServer, path: str) -> None:
    ref = dataclasses.replace(reference(server), watch_url=server.url.removesuffix("/api") + path)
    server.always("get", report("successful", result=7))
    asked = len(server.operations)
    assert Task.attach(ref, client=server.client).sync.result.result == 7
    assert server.operations[asked:] == ["get"]


async def test_from_an_id_the_end_is_learned_by_asking_with_growing_pauses(server: ScriptedServer) -> None:
    server.script("get", *[report("running")] * 12)
    server.always("get", report("successful", result=7, nodesData=[{"alias": "ocr", "data": "text"}]))
    with FakeClock.of_io_thread().standing() as clock:
        task = Task.attach("some id", client=server.client_with(call_timeout=100))
        assert repr(task) == "<Task some id>"
        reading = asyncio.ensure_future(_updates(task))
        for count in range(12):
            pause = min(0.5 * 1.5**count, 30)
            await server.until(lambda: len(server.calls("get")) == count + 1)  # noqa: B023 (it ends here)
            await asyncio.to_thread(clock.skip_to_timer, pause * 0.99, pause * 1.01)
        [update] = await reading
    assert (update.type, update.synthetic) == ("taskEnd", True)
    assert (await task.result).get_node_data("ocr") == "text"
    assert {call.path for call in server.calls("get")} == {"/api/task/some%20id"}


async def _updates(task: Task) -> list[Update]:
    return [update async for update in task.updates]


def test_an_unknown_id_is_told_when_it_is_asked_for(server: ScriptedServer) -> None:
    server.always("get", Answer(404, "no such task"))
    server.always("abort", Answer(404, "no such task"))
    task = Task.attach("x", client=server.client)
    assert task.sync.id == "x"
    for _ in range(2):
        with pytest.raises(TaskNotFoundError, match="no such task"):
            _ = task.sync.result
    with pytest.raises(TaskAbortException, match="no such task"):
        task.sync.abort()


@pytest.mark.parametrize(
    ("task", "problem"), [("", "must not be ''"), ("..", "must not be"), (5, "must be text, not int")]
)
def test_what_cannot_be_attached_to_is_told_at_once(server: ScriptedServer, task: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Task.attach(task, client=server.client)


def test_a_handle_is_pickled_as_its_reference(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the token nor the client is in it: where it is read, they are looked up as for a new task."""
    task = Task("t", client=server.client)
    task.sync.finalized()
    pickled = pickle.dumps(task)
    with pytest.raises(ConfigurationError, match="No access token was found"):
        pickle.loads(pickled)
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", server.access_token)
    again: Task[Any] = pickle.loads(pickled)
    assert type(again) is Task
    assert again is not task
    assert again.sync.ref() == task.sync.ref()
    assert again.sync.result.result == "done"
    assert pickle.loads(pickle.dumps(again)).known_id == "task-1"


def test_a_handle_without_an_id_is_not_pickled(server: ScriptedServer) -> None:
    gate = Gate()
    server.script("prepare", Answer(404, "no such template"))
    server.always("finalize", Answer(when=gate))
    failed, in_flight = Task("t", client=server.client), Task("t", client=server.client)
    with pytest.raises(TaskRefusedError):
        _ = failed.sync.id
    for task in (failed, in_flight):
        with pytest.raises(UsageError) as caught:
            pickle.dumps(task)
        assert caught.value.message == (
            "A Task can be pickled once its start is confirmed, since only then it has an id"
        )
    in_flight.sync.abort()
    gate.open()


def test_a_copy_of_a_handle_is_the_handle(server: ScriptedServer) -> None:
    task = Task("t", client=server.client)
    assert copy.copy(task) is copy.deepcopy(task) is task
    assert copy.deepcopy({"tasks": [task]})["tasks"] == [task]
    task.sync.finalized()


def test_a_reference_can_be_a_part_of_an_input(server: ScriptedServer) -> None:
    ref = reference(server)
    Task("follow-up", {"after": ref}, client=server.client).sync.finalized()
    sent = server.calls("finalize")[-1].json["input"]["after"]
    assert TaskRef.from_json(sent) == ref


@pytest.mark.breaks_contract
def test_without_a_stream_url_from_the_service(server: ScriptedServer) -> None:
    server.always("finalize", started(server, "task-1", urls=None))
    server.always("get", report("successful", result=7))
    ref = reference(server)
    assert (ref.watch_url, ref.task_url) == (None, None)
    assert Task.attach(ref, client=server.client).sync.result.result == 7


async def test_from_a_reference_of_the_local_server(shared_server: LocalServer) -> None:
    task = Task("my-template", {"name": "World"}, client=shared_server.client)
    ref = TaskRef.from_json((await task.ref()).to_json())
    again = Task.attach(ref, client=shared_server.client)
    assert [update.position async for update in again] == [update.position async for update in task]
    assert (await again.result).result == "HELLO WORLD"
    by_id = Task.attach(ref.task_id, client=shared_server.client)
    assert (await by_id.result).result == "HELLO WORLD"
    assert (await by_id.result).input == {"name": "World"}


def test_a_token_of_another_service_with_an_id_asks_there(server: ScriptedServer) -> None:
    other = Client(encode_access_token("t", "http://127.0.0.1:9"), retries=0, patience=0.01)
    ref = reference(server)
    with pytest.raises(ConfigurationError):
        Task.attach(ref, client=other)


@dataclasses.dataclass
class Invoice:
    number: int


def test_a_pickled_handle_keeps_the_type_of_its_result(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", server.access_token)
    server.always("watch", Stream([event(1, "taskStart", input=None), end(2, {"number": 5})]))
    typed, decoded = Task("t", result_type=Invoice), Task("t", decode=len)
    for task in (typed, decoded):
        task.sync.finalized()
    assert pickle.loads(pickle.dumps(typed)).sync.result.result == Invoice(5)
    assert pickle.loads(pickle.dumps(decoded)).sync.result.result == 1
    assert Task.attach(typed.sync.ref(), result_type=Invoice).sync.result.result.number == 5


def test_an_attached_handle_says_which_task_has_another_result(server: ScriptedServer) -> None:
    server.always("get", report("successful", result={"number": "five"}))
    with pytest.raises(TaskException) as caught:
        _ = Task.attach("task-9", client=server.client, result_type=Invoice).sync.result
    assert caught.value.message == (
        "The task task-9 succeeded, but its result does not fit Invoice: "
        "result.number: Expected `int`, got `str`"
    )
    assert caught.value.task_id == "task-9"
