"""What a task's data refers to: objects in the place of references, values in the place of claim checks."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scripted_server import (
    Answer,
    Lose,
    ScriptedServer,
    Stream,
    end,
    event,
    from_position,
    prepared_for_files,
    report,
)

from requence._references import without_objects
from requence.exceptions import TaskException, UsageError
from requence.files import ClaimCheck, RequenceCallback, RequenceFile, RequenceStream
from requence.files.references import with_objects
from requence.task import Task, TaskWatcher, get_task
from requence.task.updates import NodeUpdate

FILE: dict[str, Any] = {"__REQUENCE_type": "RequenceFile", "url": "http://h/f", "mime": "a/b", "size": 1}
STREAM: dict[str, Any] = {"__REQUENCE_type": "RequenceStream", "url": "http://h/s", "mime": "a/b"}
CLAIM: dict[str, Any] = {"__REQUENCE_type": "ClaimCheck", "url": "http://h/c", "size": 1}
CONNECTION: dict[str, Any] = {
    "__REQUENCE_type": "RequenceCallback",
    "lifetime": "connection",
    "sourceId": "s",
    "callbackId": "0b0e63a3-61f6-4f4c-8d6f-3c2ad5a5e9c1",
    "outputName": None,
    "propertyPath": ["on", 0],
}
DURABLE: dict[str, Any] = {
    "__REQUENCE_type": "RequenceCallback",
    "lifetime": "durable",
    "name": "approve",
    "nodeId": "n",
    "outputName": "out",
    "propertyPath": [],
}
EARLIER = {name: value for name, value in CONNECTION.items() if name != "lifetime"}
NODE = {"id": "n", "type": "service", "alias": "cover"}


def without(reference: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in reference.items() if key != name}


@pytest.mark.parametrize(
    ("reference", "kind"),
    [
        (FILE, RequenceFile),
        (FILE | {"size": 0}, RequenceFile),
        (FILE | {"more": [1], "__REQUENCE_type": "RequenceFile"}, RequenceFile),
        (STREAM, RequenceStream),
        (STREAM | {"size": "any"}, RequenceStream),
        (CLAIM, ClaimCheck),
        (CONNECTION, RequenceCallback),
        (EARLIER, RequenceCallback),
        (DURABLE, RequenceCallback),
        (DURABLE | {"bound": {"x": 1}}, RequenceCallback),
    ],
)
def test_what_becomes_an_object(reference: dict[str, Any], kind: type) -> None:
    for wrap, find in WRAPPED:
        value, claims = with_objects(wrap(dict(reference)), None)
        found = find(value)
        assert type(found) is kind
        assert claims == (kind is ClaimCheck)
        assert without_objects(value) == wrap(reference)
        assert json.loads(json.dumps(without_objects(value))) == wrap(reference)
        assert type(find(pickle.loads(pickle.dumps(value)))) is kind


WRAPPED: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (lambda it: it, lambda value: value),
    (lambda it: [0, it], lambda value: value[1]),
    (lambda it: {"a": {"b": [[it]]}, "c": 1}, lambda value: value["a"]["b"][0][0]),
]


@pytest.mark.parametrize(
    "value",
    [
        FILE | {"size": True},
        FILE | {"size": -1},
        FILE | {"size": 1.0},
        FILE | {"mime": None},
        FILE | {"url": "/relative"},
        FILE | {"url": "http://"},
        FILE | {"url": 5},
        without(FILE, "size"),
        without(FILE, "mime"),
        without(STREAM, "url"),
        CLAIM | {"size": 0},
        CLAIM | {"size": "1"},
        without(CONNECTION, "outputName"),
        without(CONNECTION, "propertyPath"),
        CONNECTION | {"propertyPath": [True]},
        CONNECTION | {"propertyPath": "on"},
        CONNECTION | {"sourceId": 5},
        without(DURABLE, "nodeId"),
        DURABLE | {"outputName": 5},
        {"__REQUENCE_type": "RequenceHandler", "url": "http://h/x", "mime": "a/b", "size": 1},
        {"__REQUENCE_type": None},
        {"__REQUENCE_type": ["RequenceFile"]},
        {"type": "RequenceFile"},
    ],
)
def test_what_stays_as_it_is(value: dict[str, Any]) -> None:
    for wrap, _ in WRAPPED:
        assert with_objects(wrap(dict(value)), None) == (wrap(value), False)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from([FILE, STREAM, CLAIM, DURABLE]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


@given(JSON)
def test_any_data_comes_back(value: Any) -> None:
    made, _ = with_objects(json.loads(json.dumps(value)), None)
    assert without_objects(made) == value


def test_data_of_any_depth() -> None:
    value: Any = dict(FILE)
    for _ in range(20_000):
        value = [value]
    made, _ = with_objects(value, None)
    for _ in range(20_000):
        [made] = made
    assert isinstance(made, RequenceFile)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        server.always("prepare", prepared_for_files(server, "task-1"))
        yield server


def log(*events: bytes) -> Callable[[Any], Stream]:
    return from_position(event(1, "taskStart", input={"f": FILE, "on": DURABLE}), *events)


def test_in_updates_and_results(server: ScriptedServer) -> None:
    server.always(
        "watch", log(event(2, "nodeUpdate", node=NODE, data=dict(FILE), output=None), end(3, {"s": [STREAM]}))
    )
    task = Task("t", client=server.client)
    start, update, last = task.sync.updates
    assert isinstance(update, NodeUpdate)
    result = task.sync.result
    for file in (
        update.data,
        update["data"],
        update.context.node_data["cover"],
        result.get_node_data("cover"),
        start.context.input["f"],
    ):
        assert isinstance(file, RequenceFile)
        assert file.file_object == FILE
    for values in (last.context.result, result.result, result["result"]):
        assert isinstance(values["s"][0], RequenceStream)
    assert update.to_dict()["data"] == FILE
    assert update.to_dict()["context"]["node_data"] == {"cover": FILE}
    assert result.to_dict()["result"] == {"s": [STREAM]}
    again = pickle.loads(pickle.dumps(result))
    assert again.to_dict() == result.to_dict()
    assert server.calls("download") == []


def test_callbacks_say_why_they_cannot_be_called(server: ScriptedServer) -> None:
    server.always("watch", log(end(2, {"on": CONNECTION})))
    result = Task("t", client=server.client).sync.result
    with pytest.raises(UsageError, match="The input of a task may not have callbacks"):
        result.input["on"]("x", y=1)
    with pytest.raises(UsageError, match="cannot be called by the client of a task"):
        result.result["on"]()
    assert repr(result.input["on"]) == "<RequenceCallback 'approve'>"
    assert callable(result.result["on"])


@dataclass
class Report:
    title: str
    file: RequenceFile


def test_in_typed_results(server: ScriptedServer) -> None:
    server.always("watch", log(end(2, {"title": "x", "file": FILE})))
    result = Task("t", client=server.client, result_type=Report).sync.result
    assert isinstance(result.result.file, RequenceFile)
    assert result.result.title == "x"
    server.always("watch", log(end(2, {"title": "x", "file": 5})))
    with pytest.raises(TaskException, match="file"):
        _ = Task("t", client=server.client, result_type=Report).sync.result


class TestClaimChecks:
    """Ways to learn of a task whose result, node data and input were too large."""

    def claim(self, server: ScriptedServer, value: Any, name: str = "large") -> dict[str, Any]:
        content = json.dumps(value).encode()
        server.contents[name] = content
        url = f"{server.url.removesuffix('/api')}/files-here/{name}"
        return CLAIM | {"url": url, "size": len(content)}

    def serve(self, server: ScriptedServer, *, result: Any, data: Any, value: Any = None) -> None:
        server.always(
            "watch",
            from_position(
                event(1, "taskStart", taskId="task-1", input=value),
                event(2, "nodeUpdate", taskId="task-1", node=NODE, data=data, output=None),
                end(3, result, taskId="task-1"),
            ),
        )

    def serve_to_all(self, server: ScriptedServer) -> None:
        """One task, with large node data and a large result, in the stream of all tasks."""
        result, data = self.claim(server, "r", "r"), self.claim(server, "d", "d")
        server.always(
            "watch-all",
            from_position(
                event(1, "taskStart", taskId="task-1", input=None),
                event(2, "nodeUpdate", taskId="task-1", node=NODE, data=data, output=None),
                end(3, result, taskId="task-1"),
                end="open",
            ),
        )

    def test_by_updates(self, server: ScriptedServer) -> None:
        self.serve(server, result=self.claim(server, {"r": [1]}, "r"), data=self.claim(server, [2], "d"))
        _, update, last = Task("t", client=server.client).sync.updates
        assert isinstance(update, NodeUpdate)
        assert update.data == update.context.node_data["cover"] == [2]
        assert last.context.result == {"r": [1]}
        assert all("authorization" not in call.headers for call in server.calls("download"))

    @pytest.mark.parametrize("is_async", [False, True])
    def test_by_the_result(self, server: ScriptedServer, is_async: bool) -> None:
        self.serve(
            server,
            result={"in": self.claim(server, {"r": [1]}, "r")},
            data=self.claim(server, [2], "d"),
            value=self.claim(server, {"i": 3}, "i"),
        )
        task = Task.attach(Task("t", client=server.client).sync.ref(), client=server.client)

        async def main() -> Any:
            return await task.result

        result = asyncio.run(main()) if is_async else task.sync.result
        assert result.result == {"in": {"r": [1]}}
        assert result.get_node_data("cover") == [2]
        assert result.input == {"i": 3}

    def test_ones_own_input_is_not_fetched(self, server: ScriptedServer) -> None:
        self.serve(server, result=1, data=2, value=self.claim(server, {"i": 3}))
        assert Task("t", {"i": 3}, client=server.client).sync.result.input == {"i": 3}
        assert server.calls("download") == []

    def test_by_get(self, server: ScriptedServer) -> None:
        result, data = self.claim(server, "r", "r"), self.claim(server, "d", "d")
        server.always(
            "get", report("successful", result=result, nodesData=[{"alias": "cover", "data": data}])
        )
        context = get_task("task-1", client=server.client).context
        assert (context.result, context.get_node_data("cover")) == ("r", "d")

    def test_by_asking(self, server: ScriptedServer) -> None:
        """From an id alone."""
        server.always("get", report("successful", result=self.claim(server, "r")))
        task = Task.attach("task-1", client=server.client)
        assert task.sync.result.result == "r"
        [last] = task.sync.updates
        assert last.context.result == "r"

    def test_by_the_shared_stream(self, server: ScriptedServer) -> None:
        self.serve_to_all(server)
        found = Task("t", client=server.client_with(shared_stream=True)).sync.result
        assert (found.result, found.get_node_data("cover")) == ("r", "d")

    def test_by_a_watcher(self, server: ScriptedServer) -> None:
        self.serve_to_all(server)
        watcher = TaskWatcher("2026-01-01", client=server.client)
        for update, _ in watcher.sync.updates:
            if isinstance(update, NodeUpdate):
                assert update.data == "d"
            if update.type == "taskEnd":
                assert update.context.result == "r"
                break
        watcher.stop()

    @pytest.mark.parametrize("within", [False, True])
    def test_a_value_that_is_one_again(self, server: ScriptedServer, within: bool) -> None:
        def wrap(value: Any) -> Any:
            return {"in": [value]} if within else value

        inner = self.claim(server, wrap(self.claim(server, {"r": [1]}, "inner")), "middle")
        self.serve(server, result=self.claim(server, wrap(inner), "outer"), data=1)
        assert Task("t", client=server.client).sync.result.result == wrap(wrap({"r": [1]}))

    def test_a_value_that_is_too_large_is_not_fetched_again(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("requence._transport.session._LARGEST_ANSWER", 2**16)
        self.serve(server, result=self.claim(server, "x" * 2**17), data=1)
        with pytest.raises(TaskException, match="the answer has more than 65536 bytes"):
            _ = Task("t", client=server.client).sync.result
        assert len(server.calls("download")) == 1

    def test_a_text_that_was_cut_in_two(self, server: ScriptedServer) -> None:
        self.serve(server, result=self.claim(server, ["\ud83d"]), data=1)
        assert Task("t", client=server.client).sync.result.result == ["\ud83d"]

    def test_inside_of_what_was_fetched(self, server: ScriptedServer) -> None:
        inner = self.claim(server, {"f": FILE}, "inner")
        self.serve(server, result=self.claim(server, [inner], "outer"), data=1)
        assert isinstance(Task("t", client=server.client).sync.result.result[0]["f"], RequenceFile)

    def test_in_a_circle(self, server: ScriptedServer) -> None:
        """It ends, and is told like all that cannot be fetched."""
        again = self.claim(server, None, "again")
        server.contents["again"] = json.dumps([again]).encode()
        self.serve(server, result=again, data=1)
        with pytest.raises(TaskException, match="inside of more than 8 others") as caught:
            _ = Task("t", client=server.client).sync.result
        assert caught.value.result is not None
        value: Any = caught.value.result.result
        while not isinstance(value, ClaimCheck):
            [value] = value

    @pytest.mark.parametrize("step", [Answer(404, "gone"), Answer(200, "no JSON")])
    def test_node_data_that_cannot_be_fetched(
        self, server: ScriptedServer, step: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It does not stop the stream, and the rest is there."""
        self.serve(server, result=1, data=self.claim(server, "d"))
        server.always("download", step)
        task = Task("t", client=server.client)
        _, update, _last = task.sync.updates
        assert isinstance(update, NodeUpdate)
        assert isinstance(update.data, ClaimCheck)
        assert update.to_dict()["data"]["__REQUENCE_type"] == "ClaimCheck"
        assert task.sync.result.result == 1
        warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
        assert all("stays in its place" in each.getMessage() for each in warnings)
        assert "files-here" not in caplog.text
        assert warnings

    @pytest.mark.parametrize("require_ack", [False, True])
    @pytest.mark.parametrize("by_updates", [False, True])
    def test_a_result_that_cannot_be_fetched_now(
        self, server: ScriptedServer, require_ack: bool, by_updates: bool
    ) -> None:
        """Waiting again fetches it again; before that its delivery is not confirmed."""
        claim = self.claim(server, "r")
        server.always(
            "watch", from_position(event(1, "taskStart", input=None), end(2, claim, requireAck=require_ack))
        )
        server.always("download", Answer(404, "gone for now"))
        task = Task("t", client=server.client, require_ack=require_ack)
        if by_updates:
            *_, last = task.sync.updates
            assert isinstance(last.context.result, ClaimCheck)
        with pytest.raises(TaskException, match="succeeded, but a part of its result is not here") as caught:
            _ = task.sync.result
        assert caught.value.status_code == 404
        assert caught.value.result is not None
        assert isinstance(caught.value.result.result, ClaimCheck)
        assert server.calls("ack") == []
        server.always("download", server._as_usual)
        assert task.sync.result.result == "r"
        assert len(server.calls("ack")) == require_ack

    def test_a_fetch_is_tried_again(self, server: ScriptedServer) -> None:
        self.serve(server, result=self.claim(server, "r"), data=1)
        server.script("download", Lose(), Answer(503))
        assert Task("t", client=server.client).sync.result.result == "r"

    @pytest.mark.parametrize(("size", "limit"), [(500, 400), (5 * 2**20, None)])
    def test_an_input_that_is_too_large(self, server: ScriptedServer, size: int, limit: int | None) -> None:
        limits = {} if limit is None else {"maxPayloadSize": limit}
        server.always("prepare", prepared_for_files(server, "task-1", **limits))
        value = {"text": "x" * size}
        Task("t", value, client=server.client).sync.finalized()
        [upload] = server.calls("upload")
        assert (json.loads(upload.body), upload.mime) == (value, "application/json")
        assert "file-size" not in upload.headers
        sent = server.calls("finalize")[0].json
        assert sent["input"] == {
            "__REQUENCE_type": "ClaimCheck",
            "url": f"{server.url.removesuffix('/api')}/files-here/content-0",
            "size": len(upload.body),
        }
        assert sent["name"] is None

    def test_the_largest_goes_first(self, server: ScriptedServer) -> None:
        server.always("prepare", prepared_for_files(server, "task-1", maxPayloadSize=1000))
        Task("t", "x" * 400, name="n" * 900, client=server.client).sync.finalized()
        sent = server.calls("finalize")[0].json
        assert sent["input"] == "x" * 400
        assert sent["name"]["__REQUENCE_type"] == "ClaimCheck"

    def test_both_if_need_be_and_nothing_small(self, server: ScriptedServer) -> None:
        server.always("prepare", prepared_for_files(server, "task-1", maxPayloadSize=10))
        Task("t", "x" * 400, name="n" * 300, client=server.client).sync.finalized()
        Task("t", "x" * 200, name="n" * 100, client=server.client).sync.finalized()
        first, second = (call.json for call in server.calls("finalize"))
        assert first["input"]["__REQUENCE_type"] == first["name"]["__REQUENCE_type"] == "ClaimCheck"
        assert (second["input"], second["name"]) == ("x" * 200, "n" * 100)

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_service_that_wants_none(self, server: ScriptedServer, limit: int) -> None:
        server.always("prepare", prepared_for_files(server, "task-1", maxPayloadSize=limit))
        Task("t", "x" * 5_000_000, client=server.client).sync.finalized()
        assert server.operations == ["prepare", "finalize"]

    def test_files_are_uploaded_first(self, server: ScriptedServer) -> None:
        server.always("prepare", prepared_for_files(server, "task-1", maxPayloadSize=300))
        Task("t", {"f": RequenceFile(b"x"), "t": "x" * 300}, client=server.client).sync.finalized()
        file, value = server.calls("upload")
        assert file.body == b"x"
        assert json.loads(value.body)["f"]["__REQUENCE_type"] == "RequenceFile"
