"""What breaks the contract is found: each operation and kind of event once as it should be, and once broken."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
import yaml
from tests.contract_client.judge import Judge, Request, events_in
from tests.contract_client.watching import CONTRACT

DOCUMENT: dict[str, Any] = yaml.safe_load(CONTRACT.read_text("utf-8"))
TOKEN = {"authorization": "Bearer secret"}
JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain; charset=utf-8"}
START = {"name": None, "input": {"a": 1}, "priority": 5, "requireAck": False}
PREPARED = {"taskId": "a", "finalizeUrl": "http://127.0.0.1/x", "branch": "live"}
STATE: dict[str, Any] = {"status": "running", "nodesData": [], "nodesError": []}

ANSWERS: list[tuple[str, int, dict[str, str], Any, str | None]] = [
    ("prepare_task", 200, JSON, PREPARED, None),
    ("prepare_task", 200, JSON, PREPARED | {"taskId": 5}, "5"),
    ("prepare_task", 200, JSON, {"taskId": "a"}, "finalizeUrl"),
    ("prepare_task", 200, TEXT, "x", "mimetype"),
    ("prepare_task", 200, JSON, None, "no body"),
    ("prepare_task", 418, TEXT, "x", None),  # of the class 4XX
    ("prepare_task", 204, TEXT, "", "204"),
    ("prepare_task", 404, JSON, {"message": "x"}, "mimetype"),
    ("prepare_task", 404, TEXT, "", None),
    ("get_task", 200, JSON, STATE, None),
    ("get_task", 200, JSON, STATE | {"nodesData": {}}, "nodesData"),
    ("watch_task", 200, {"content-type": "text/event-stream"}, "", None),
    ("watch_task", 200, JSON, {}, "mimetype"),
]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(DOCUMENT)


def request(judge: Judge, operation: str, body: object = None, **headers: str) -> Request:
    content = b"" if body is None else json.dumps(body).encode()
    kind = {} if body is None else JSON
    return judge.request(operation, "a%2Fb", "", {**TOKEN, **kind, **headers}, content)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("prepare_task", None),
        ("finalize_task", START),
        ("watch_task", {"since": None}),
        ("watch_task", {"since": "2026-01-31T12:00:00Z", "lastPosition": 3}),
        ("watch_all_tasks", {"since": "2026-01-31T12:00:00Z"}),
        ("get_task", None),
        ("abort_task", None),
        ("protect_task", None),
        ("ack_task", None),
        ("get_python_types", None),
    ],
)
def test_a_request_needs_the_token_and_the_right_body(judge: Judge, operation: str, body: Any) -> None:
    good = request(judge, operation, body)
    assert judge.of_request(good) == []
    asked = judge.request(operation, "a", "more=1", {**TOKEN, **JSON}, good.body or b"")
    assert "no more in the query" in str(judge.of_request(asked))
    assert "Security" in str(
        judge.of_request(judge.request(operation, "a", "", dict(JSON), good.body or b""))
    )
    if body is not None:
        assert judge.of_request(request(judge, operation)) != []
        assert "more" in str(judge.of_request(request(judge, operation, body | {"more": 1})))
        for name in set(body) - {"lastPosition"}:
            missing = {key: value for key, value in body.items() if key != name}
            assert name in str(judge.of_request(request(judge, operation, missing)))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"priority": 11}, "11"),
        ({"priority": "5"}, "'5'"),
        ({"requireAck": None}, "None"),
        ({"name": 5}, "5"),
    ],
)
def test_wrong_values_of_a_start_are_found(judge: Judge, broken: dict[str, Any], said: str) -> None:
    [complaint] = judge.of_request(request(judge, "finalize_task", START | broken))
    assert complaint.startswith("finalize_task, request: ")
    assert said in complaint


@pytest.mark.parametrize(("operation", "status", "headers", "body", "said"), ANSWERS)
def test_wrong_answers_are_found(
    judge: Judge, operation: str, status: int, headers: dict[str, str], body: Any, said: str | None
) -> None:
    asked = request(judge, operation, {"since": None} if operation == "watch_task" else None)
    content = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
    complaints = judge.of_answer(asked, status, headers, content)
    if said is None or said == "nodesData":
        assert bool(complaints) is (said is not None)
    else:
        assert said in str(complaints)


def test_whole_and_broken_events_are_told_apart(judge: Judge) -> None:
    for operation in ("watch_task", "watch_all_tasks"):
        kinds = judge.kinds(operation)
        assert len(kinds) == 9
        for kind in kinds:
            event = example(kind)
            assert judge.of_event(operation, kind, json.dumps(event)) == ()
            for field in ("timestamp", "updateId"):
                broken = {key: value for key, value in event.items() if key != field}
                assert field in str(judge.of_event(operation, kind, json.dumps(broken)))
            assert "is not of type" in str(judge.of_event(operation, kind, json.dumps(event | {"name": 5})))
            assert judge.of_event(operation, kind, json.dumps([event])) != ()
        assert judge.of_event(operation, "nodeDance", "{}") == (
            f"{operation}, event nodeDance: there are no events of this kind",
        )
        assert judge.of_event(operation, "taskEnd", "{") == (
            f"{operation}, event taskEnd: its data is not JSON",
        )


def example(kind: str) -> dict[str, Any]:
    """The least that an event of this kind has to say."""
    event: dict[str, Any] = {"timestamp": "2026-01-31T12:00:00Z", "updateId": "u"}
    if kind.startswith("node"):
        event["node"] = {"id": "n", "type": "service"}
    if kind == "taskStart":
        event["input"] = None
    if kind == "nodeError":
        event["error"] = "so"
    return event


def test_what_the_contract_says_is_what_counts() -> None:
    """A contract that wants more is broken by what was right before."""
    document = deepcopy(DOCUMENT)
    document["components"]["schemas"]["FinalizeRequest"]["required"].append("tenant")
    document["components"]["schemas"]["EventBase"]["required"].append("tenant")
    judge = Judge(document)
    assert "tenant" in str(judge.of_request(request(judge, "finalize_task", START)))
    assert "tenant" in str(judge.of_event("watch_task", "taskStart", json.dumps(example("taskStart"))))


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_events_are_read_from_the_bytes_of_a_stream(end: str) -> None:
    lines = [
        ": keep-alive",
        "",
        "id: 1",
        "event: taskStart",
        'data: {"a":',
        "data:1}",
        "",
        "event: taskEnd",
        "data: {\u2028}",
        "",
        "event: taskEnd",
        "data: {}",
    ]
    stream = end.join([*lines, ""]).encode()
    assert list(events_in(stream)) == [("taskStart", '{"a":\n1}'), ("taskEnd", "{\u2028}")]
