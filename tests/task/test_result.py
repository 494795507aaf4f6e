"""What a task's last update means: a result, or the error that says why there is none."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from requence.exceptions import TaskAbortedError, TaskException, TaskFailedError
from requence.task import Context
from requence.task.reading import read_update
from requence.task.result import TaskResult, outcome_of
from requence.task.updates import Update


@dataclasses.dataclass
class Pages:
    pages: int


URL = "http://127.0.0.1:8080/tasks/t1"
CONTEXT = Context(
    {
        "task_id": "t1",
        "input": {"path": "a.pdf"},
        "result": None,
        "node_data": {"ocr": {"text": "hi"}, "nothing": None},
        "node_error": {"links": "timeout"},
    }
)


def last(name: str, **payload: Any) -> Update:
    return read_update(name, payload, before=CONTEXT)


def outcome(update: Update) -> TaskResult | TaskException | None:
    return outcome_of(update, task_url=URL, task_template="my-template")


def result_of(value: Any) -> TaskResult:
    result = outcome(last("taskEnd", result=value, exit="done"))
    assert isinstance(result, TaskResult)
    return result


def test_a_result_by_key_and_by_attribute() -> None:
    result = result_of({"pages": 2})
    assert result["result"] == result.result == {"pages": 2}
    assert result["task_id"] == result["taskId"] == result.task_id == "t1"
    assert result["task_url"] == result["taskUrl"] == result.task_url == URL
    assert result["input"] == result.input == {"path": "a.pdf"}
    assert result["node_data"]["ocr"] == result.get_node_data("ocr") == {"text": "hi"}
    assert result["node_error"]["links"] == result.get_node_error("links") == "timeout"
    assert isinstance(result, Context)
    assert isinstance(result, Mapping)
    assert set(result) == {"task_id", "task_url", "input", "result", "node_data", "node_error"}


def test_nodes_that_said_nothing() -> None:
    result = result_of(1)
    assert result.get_node_data("nobody") is None
    assert result.get_node_data("nobody", 0) == 0
    assert result.get_node_data("nobody", default=0) == 0
    assert result.get_node_data("nothing", 0) is None
    assert result.get_node_error("nobody") is None
    assert result.get_node_error("nobody", "none") == "none"
    assert result.get_node_error("nobody", default="none") == "none"


def test_a_result_is_read_only_and_plain_when_asked() -> None:
    result: Any = result_of([1])
    with pytest.raises(AttributeError, match="read-only"):
        result.result = 2
    with pytest.raises(TypeError):
        result["node_data"]["ocr"] = 2
    plain = result.to_dict()
    assert json.loads(json.dumps(plain)) == plain == result


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_an_empty_result_is_a_result(value: object) -> None:
    result = result_of(value)
    assert result.result == value
    assert result


def decoded(value: Any, into: Any) -> TaskResult[Any]:
    return result_of(value).with_result(into)


def test_a_decoded_result_reads_the_same_by_key_and_by_attribute() -> None:
    result = decoded({"pages": 2}, Pages(2))
    assert result.result == result["result"] == dict(result.items())["result"] == Pages(2)
    assert list(result) == list(result_of(None))
    assert result.get_node_data("ocr") == {"text": "hi"}
    assert result == decoded({"pages": 2}, Pages(2))
    assert result != decoded({"pages": 2}, Pages(3))
    assert "Pages(pages=2)" in repr(result)


@pytest.mark.parametrize("into", [None, False, 0, ""])
def test_a_result_may_be_decoded_into_nothing(into: object) -> None:
    assert decoded({"pages": 2}, into).result == into


def test_a_decoded_result_keeps_the_plain_one() -> None:
    plain = decoded({"pages": 2}, Pages(2)).to_dict()
    assert plain == result_of({"pages": 2})
    assert json.loads(json.dumps(plain)) == plain
    assert list(plain) == list(result_of(None))


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


WAYS_TO_COPY: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, pickled]


@pytest.mark.parametrize("again", WAYS_TO_COPY)
def test_copies_of_a_decoded_result_are_decoded(again: Callable[[Any], Any]) -> None:
    result = decoded({"pages": 2}, Pages(2))
    assert again(result) == result
    assert again(result).result == Pages(2)
    assert again(result).to_dict() == result.to_dict()


def test_a_task_without_a_page() -> None:
    result = outcome_of(last("taskEnd", result=1), task_url=None, task_template="my-template")
    assert isinstance(result, TaskResult)
    assert result.task_url is None


@pytest.mark.parametrize(
    ("payload", "message", "reason"),
    [
        ({"reason": "no such page"}, "no such page", "no such page"),
        ({"reason": None}, "Task failed", None),
        ({"reason": ""}, "Task failed", ""),
        ({}, "Task failed", None),
        ({"reason": {"code": 5}}, "{'code': 5}", "{'code': 5}"),
    ],
)
def test_a_failed_task(payload: dict[str, Any], message: str, reason: str | None) -> None:
    error = outcome(last("taskError", **payload))
    assert isinstance(error, TaskFailedError)
    assert str(error) == error.message == message
    assert error.reason == reason


@pytest.mark.parametrize(
    ("payload", "message", "reason"),
    [
        ({"reason": "No longer needed"}, "Task aborted: No longer needed", "No longer needed"),
        ({"reason": None}, "Task aborted", None),
        ({"reason": ""}, "Task aborted", ""),
        ({}, "Task aborted", None),
    ],
)
def test_an_aborted_task(payload: dict[str, Any], message: str, reason: str | None) -> None:
    error = outcome(last("taskAborted", **payload))
    assert isinstance(error, TaskAbortedError)
    assert str(error) == error.message == message
    assert error.reason == reason


@pytest.mark.parametrize("type", ["taskError", "taskAborted"])
def test_the_errors_carry_the_evidence(type: str) -> None:
    error = outcome(last(type, reason="no"))
    assert isinstance(error, TaskFailedError | TaskAbortedError)
    assert (error.task_id, error.task_url, error.task_template) == ("t1", URL, "my-template")
    assert error.context is not None
    assert error.context == CONTEXT
    assert error.context.get_node_error("links") == "timeout"
    assert error.context["node_data"]["ocr"] == {"text": "hi"}


@pytest.mark.parametrize("type", ["taskStart", "nodeUpdate", "nodeError", "nodeEnd", "nodePaused"])
def test_other_updates_are_not_the_end(type: str) -> None:
    assert outcome(last(type, reason="no", result=1)) is None


@pytest.mark.parametrize(
    "value", ["x" * 10_000, list(range(10_000)), {str(key): [[[key] * 9] * 9] * 9 for key in range(99)}]
)
def test_the_repr_is_short(value: object) -> None:
    text = repr(result_of(value))
    assert text.startswith("<TaskResult of task t1: ")
    assert len(text) < 300
