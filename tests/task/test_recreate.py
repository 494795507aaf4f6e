"""`recreate_task`: a task once more, from what the service tells of the first one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.scripted_server import Answer, ScriptedServer, report

from requence import task as sdk
from requence.exceptions import (
    ConfigurationError,
    RequenceUnreachableException,
    TaskException,
    TaskNotFoundError,
    TaskRefusedError,
    UnauthorizedError,
)
from requence.files import RequenceFile
from requence.local import LocalServer, NodeContext, TaskTemplate
from requence.task import Task, aio, recreate_task

Recreate = Callable[..., Task]

FILE = {"__REQUENCE_type": "RequenceFile", "url": "http://h/x", "mime": "a/b", "size": 1, "more": True}
CALLBACK = {
    "__REQUENCE_type": "RequenceCallback",
    "lifetime": "connection",
    "sourceId": "s",
    "callbackId": "c",
    "outputName": None,
    "propertyPath": ["on", 0],
}


def awaiting(*args: Any, **kwargs: Any) -> Task:
    return asyncio.run(aio.recreate_task(*args, **kwargs))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(params=[recreate_task, awaiting], ids=["blocking", "awaiting"])
def recreate(request: pytest.FixtureRequest) -> Recreate:
    face: Recreate = request.param
    return face


def test_with_the_same_template_and_input(server: ScriptedServer, recreate: Recreate) -> None:
    server.always(
        "get", report("failed", input={"a": [1]}, taskTemplate="my template", name="Daily", branch="b")
    )
    task = recreate("old", client=server.client)
    assert isinstance(task, Task)
    assert task.sync.id == "task-1"
    assert server.calls("prepare")[0].path == "/api/task/prepare/my%20template"
    sent = server.calls("finalize")[0].json
    assert sent == {"name": "Daily", "input": {"a": [1]}, "priority": 5, "requireAck": False}
    assert server.calls("get")[0].path == "/api/task/old"


def test_what_is_given_counts(server: ScriptedServer, recreate: Recreate) -> None:
    server.always("get", report("failed", input=[], taskTemplate="t", name="Daily"))
    recreate("old", "Again", 9, "other", server.access_token).sync.finalized()
    recreate("old", name="", client=server.client).sync.finalized()
    assert server.calls("prepare")[0].path == "/api/task/prepare/other"
    first, second = (call.json for call in server.calls("finalize"))
    assert (first["name"], first["priority"]) == ("Again", 1)
    assert second["name"] == ""


def test_a_service_that_does_not_tell_the_template(server: ScriptedServer, recreate: Recreate) -> None:
    server.always("get", report("failed", input={}))
    with pytest.raises(TaskException, match="does not tell the template of task old") as caught:
        recreate("old", client=server.client)
    assert caught.value.hint == "give the template's name as task_template="
    assert caught.value.task_id == "old"
    assert server.operations == ["get"]
    recreate("old", task_template="t", client=server.client).sync.finalized()


@pytest.mark.parametrize("value", [None, {}, [], 0, ""])
def test_any_input_that_is_told(server: ScriptedServer, recreate: Recreate, value: Any) -> None:
    server.always("get", report("failed", taskTemplate="t", input=value))
    recreate("old", client=server.client).sync.finalized()
    assert server.calls("finalize")[0].json["input"] == value


def test_a_task_that_was_never_started(server: ScriptedServer, recreate: Recreate) -> None:
    server.always("get", report("IDLE", taskTemplate="t", input=None))
    with pytest.raises(TaskException, match="Task old was never started"):
        recreate("old", client=server.client)
    assert server.operations == ["get"]


def test_a_service_that_does_not_tell_the_input(server: ScriptedServer, recreate: Recreate) -> None:
    """A task must not run with another input than the first one."""
    server.always("get", report("failed", taskTemplate="t"))
    with pytest.raises(TaskException, match="does not tell the input of task old") as caught:
        recreate("old", client=server.client)
    assert caught.value.hint == "start one with Task('t', input=…)"
    assert server.operations == ["get"]


def test_references_are_sent_again_as_they_are(server: ScriptedServer, recreate: Recreate) -> None:
    server.always("get", report("failed", input={"f": FILE}, taskTemplate="t"))
    recreate("old", client=server.client).sync.finalized()
    assert server.calls("finalize")[0].json["input"] == {"f": FILE}
    assert server.operations == ["get", "prepare", "finalize"]


def test_a_claim_check_is_fetched(server: ScriptedServer, recreate: Recreate) -> None:
    server.contents["large"] = b'{"large": true}'
    url = f"{server.url.removesuffix('/api')}/files-here/large"
    claim = {"__REQUENCE_type": "ClaimCheck", "url": url, "size": 15}
    server.always("get", report("failed", input=claim, taskTemplate="t"))
    recreate("old", client=server.client).sync.finalized()
    assert server.calls("finalize")[0].json["input"] == {"large": True}


def test_callbacks_cannot_be_sent_again(server: ScriptedServer, recreate: Recreate) -> None:
    server.always("get", report("failed", input={"on": [CALLBACK]}, taskTemplate="t"))
    with pytest.raises(ConfigurationError, match=r"input\.on\[0\] is a RequenceCallback: the input"):
        recreate("old", client=server.client)
    assert server.operations == ["get"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, TaskNotFoundError), (401, UnauthorizedError), (503, RequenceUnreachableException)],
)
def test_what_the_question_meets(
    server: ScriptedServer, recreate: Recreate, status: int, error: type[Exception]
) -> None:
    server.always("get", Answer(status, "no"))
    with pytest.raises(error):
        recreate("old", client=server.client_with(retries=0))


def test_what_the_start_meets(server: ScriptedServer, recreate: Recreate) -> None:
    server.always("get", report("failed", input={}, taskTemplate="t"))
    server.always("finalize", Answer(400, "input: not like this"))
    task = recreate("old", client=server.client)
    with pytest.raises(TaskRefusedError, match="not like this"):
        task.sync.finalized()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"task_id": ""}, "task_id"),
        ({"task_id": "old", "name": 5}, "name"),
        ({"task_id": "old", "priority": 11}, "priority"),
        ({"task_id": "old", "priority": True}, "priority"),
        ({"task_id": "old", "task_template": ""}, "task_template"),
        ({"task_id": "old", "task_template": 5}, "task_template"),
        ({"task_id": "old", "access_token": "x"}, "access token"),
    ],
)
def test_arguments_are_checked_before_anything_is_sent(
    server: ScriptedServer, recreate: Recreate, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        recreate(**{"client": server.client} | arguments)
    assert server.operations == []


def test_on_a_local_server(recreate: Recreate) -> None:
    template = TaskTemplate("digest")

    @template.node
    def read(ctx: NodeContext) -> Any:
        return ctx.input

    with LocalServer(template) as server:
        value = {"file": RequenceFile(b"hello", mime="text/plain"), "n": 1}
        first = Task("digest", value, name="Daily", client=server.client)
        first.sync.result  # noqa: B018 (waits for it)
        again = recreate(first.sync.id, client=server.client)
        assert again.sync.id != first.sync.id
        assert again.sync.result.result["file"].text() == "hello"
        status, context = sdk.get_task(again.sync.id, client=server.client)
        snapshot = sdk.get_task(again.sync.id, client=server.client)
        assert (status, snapshot.task_template, snapshot.name) == ("successful", "digest", "Daily")
        assert context.input["n"] == 1
