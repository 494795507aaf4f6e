"""The tree of errors: what catches what, what they say, and that copies lose nothing."""

from __future__ import annotations

import copy
import inspect
import pickle
import traceback
from typing import Any

import pytest

import requence.task
from requence import exceptions
from requence.exceptions import (
    AckFailedError,
    ConfigurationError,
    FileUnavailableError,
    ForkedHandleError,
    RequenceError,
    RequenceStreamTruncatedError,
    RequenceUnreachableException,
    StartUncertainError,
    StreamEventTooLarge,
    StreamInterruptedError,
    TaskAbortedError,
    TaskAbortException,
    TaskException,
    TaskFailedError,
    TaskNotFoundError,
    TaskProtectException,
    TaskRefusedError,
    TaskWaitTimeout,
    UnauthorizedError,
    UsageError,
)
from requence.task import Context
from requence.task.result import TaskResult

CONTEXT = Context({"task_id": "t1", "input": {}, "result": None, "node_data": {"ocr": 1}})
RESULT = TaskResult({"task_id": "t1", "input": {}, "result": 1, "node_error": {"ocr": "no"}, "task_url": "u"})
FACTS: Any = {
    "task_id": "t1",
    "task_url": "http://h/t1",
    "task_template": "my-template",
    "status_code": 400,
}

TREE: list[tuple[type[RequenceError], tuple[type[BaseException], ...]]] = [
    (RequenceError, (Exception,)),
    (ConfigurationError, (RequenceError, ValueError)),
    (UsageError, (RequenceError, RuntimeError)),
    (ForkedHandleError, (UsageError,)),
    (TaskWaitTimeout, (RequenceError, TimeoutError)),
    (RequenceUnreachableException, (RequenceError,)),
    (StreamInterruptedError, (RequenceUnreachableException,)),
    (FileUnavailableError, (RequenceError,)),
    (RequenceStreamTruncatedError, (RequenceError,)),
    (TaskException, (RequenceError,)),
    (TaskRefusedError, (TaskException,)),
    (UnauthorizedError, (TaskException,)),
    (TaskNotFoundError, (TaskException,)),
    (TaskFailedError, (TaskException,)),
    (TaskAbortedError, (TaskException,)),
    (StartUncertainError, (TaskException,)),
    (AckFailedError, (TaskException,)),
    (StreamEventTooLarge, (TaskException,)),
    (TaskAbortException, (TaskException,)),
    (TaskProtectException, (TaskException,)),
]

EXAMPLES: list[RequenceError] = [
    RequenceError("text", hint="do this"),
    ConfigurationError("text", hint="do this"),
    UsageError("text", hint="do this"),
    ForkedHandleError("text", hint="do this"),
    TaskWaitTimeout("text", task_id="t1", task_url="http://h/t1", hint="do this"),
    RequenceUnreachableException("text", status=503, hint="do this"),
    StreamInterruptedError("text", position=7, status=502, hint="do this"),
    FileUnavailableError("text", status_code=404, hint="do this"),
    RequenceStreamTruncatedError("text", reason="gone", hint="do this"),
    TaskException("text", result=RESULT, **FACTS, hint="do this"),
    TaskRefusedError("text", **FACTS, hint="do this"),
    UnauthorizedError("text", **FACTS, hint="do this"),
    TaskNotFoundError("text", **FACTS, hint="do this"),
    TaskFailedError("text", reason="why", context=CONTEXT, **FACTS, hint="do this"),
    TaskAbortedError("text", reason="why", context=CONTEXT, **FACTS, hint="do this"),
    StartUncertainError("text", **FACTS, hint="do this"),
    AckFailedError("text", result=RESULT, **FACTS, hint="do this"),
    StreamEventTooLarge("text", position=7, size=9, limit=8, **FACTS, hint="do this"),
    TaskAbortException("text", **FACTS, hint="do this"),
    TaskProtectException("text", **FACTS, hint="do this"),
]


def name_of(value: object) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__


def test_the_tree_is_complete() -> None:
    public = {name for name, _ in inspect.getmembers(exceptions, inspect.isclass) if not name.startswith("_")}
    ours = {name for name in public if getattr(exceptions, name).__module__ == exceptions.__name__}
    assert ours == set(exceptions.__all__) == {kind.__name__ for kind, _ in TREE}
    assert [type(error) for error in EXAMPLES] == [kind for kind, _ in TREE]


@pytest.mark.parametrize(("kind", "parents"), TREE, ids=name_of)
def test_what_catches_what(kind: type[RequenceError], parents: tuple[type[BaseException], ...]) -> None:
    assert all(issubclass(kind, parent) for parent in parents)
    is_of_a_task = issubclass(kind, TaskException)
    assert is_of_a_task == (TaskException in parents or kind is TaskException)


def test_the_ends_of_a_wait_are_not_failures_of_the_task() -> None:
    for kind in (TaskWaitTimeout, RequenceUnreachableException, ConfigurationError, UsageError):
        assert not issubclass(kind, TaskException)


@pytest.mark.parametrize(("kind", "parents"), TREE, ids=name_of)
def test_task_errors_can_be_imported_where_tasks_are(
    kind: type[RequenceError], parents: tuple[type[BaseException], ...]
) -> None:
    if issubclass(kind, TaskException | RequenceUnreachableException | TaskWaitTimeout):
        assert getattr(requence.task, kind.__name__, None) is kind


@pytest.mark.parametrize("error", EXAMPLES, ids=name_of)
def test_the_message_is_the_text(error: RequenceError) -> None:
    assert str(error) == error.message == "text"
    assert error.args == ("text",)
    assert repr(error) == f"{type(error).__name__}('text')"


@pytest.mark.parametrize("error", EXAMPLES, ids=name_of)
def test_the_hint_is_shown_in_tracebacks_only(error: RequenceError) -> None:
    assert error.hint == "do this"
    shown = "".join(traceback.format_exception(error)).splitlines()
    assert shown[-2:] == [f"{type(error).__module__}.{type(error).__name__}: text", "hint: do this"]


@pytest.mark.parametrize("hint", [None, ""])
def test_without_a_hint_nothing_is_added(hint: str | None) -> None:
    error = RequenceError("text", hint=hint)
    assert error.hint == hint
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("error", EXAMPLES, ids=name_of)
def test_copies_keep_everything(error: RequenceError) -> None:
    copies = [copy.copy(error), copy.deepcopy(error)]
    copies += [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in copies:
        assert type(other) is type(error)
        assert other is not error
        assert vars(other) == vars(error)
        assert (str(other), other.args, other.message, other.hint) == ("text", ("text",), "text", "do this")
        assert traceback.format_exception(other) == traceback.format_exception(error)


def test_copies_keep_the_evidence() -> None:
    error = pickle.loads(pickle.dumps(TaskFailedError("text", reason="why", context=CONTEXT)))
    assert error.context.get_node_data("ocr") == 1
    assert error.context["node_data"] == {"ocr": 1}


def test_a_note_on_a_copy_is_no_note_on_the_original() -> None:
    """One failure is raised to many waiters, each of which may add its own notes."""
    error = RequenceError("text", hint="do this")
    one, other = copy.copy(error), copy.copy(error)
    one.add_note("while importing")
    assert one.__notes__ == ["hint: do this", "while importing"]
    assert other.__notes__ == error.__notes__ == ["hint: do this"]


def test_a_subclass_of_a_user_can_be_copied() -> None:
    class Mine(TaskException):
        def __init__(self, pages: int) -> None:
            super().__init__(f"{pages} pages are too many", task_id="t1")
            self.pages = pages

    other = copy.copy(Mine(5))
    assert (type(other), str(other), other.pages, other.task_id) == (Mine, "5 pages are too many", 5, "t1")


def test_what_is_not_known_is_none() -> None:
    error = TaskAbortedError("text")
    assert (error.task_id, error.task_url, error.task_template, error.status_code) == (None,) * 4
    assert (error.reason, error.context, error.hint) == (None,) * 3
    assert RequenceUnreachableException("text").status is None
    assert StreamInterruptedError("text").position is None
    assert (TaskWaitTimeout("text").task_id, TaskWaitTimeout("text").task_url) == (None, None)
    assert AckFailedError("text").result is None


def test_a_wait_timeout_is_no_error_of_the_operating_system_to_look_at() -> None:
    """`TimeoutError` is one, but its number and text would be made up."""
    error = TaskWaitTimeout("text", task_id="t1")
    assert (error.errno, error.strerror) == (None, None)
    assert str(error) == "text"


def test_nothing_of_another_library_is_inherited() -> None:
    for name in exceptions.__all__:
        homes = {parent.__module__ for parent in getattr(exceptions, name).__mro__}
        assert homes <= {"builtins", "requence.exceptions"}
