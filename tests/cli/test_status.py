"""With what status a command ends that has met an error, and what it says: for every error that there is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.command import lines_of, requence

from requence import exceptions
from requence.cli.status import STATUSES, Status
from requence.exceptions import AckFailedError, RequenceError, TaskAbortedError, TaskFailedError
from requence.task import Context

CONTEXT = Context.at_start("a-task", {})

EXPECTED: dict[str, Status] = {
    "AckFailedError": Status.REFUSED,
    "ConfigurationError": Status.USAGE,
    "FileUnavailableError": Status.REFUSED,
    "ForkedHandleError": Status.USAGE,
    "RequenceError": Status.REFUSED,
    "RequenceStreamTruncatedError": Status.REFUSED,
    "RequenceUnreachableException": Status.UNREACHABLE,
    "StartUncertainError": Status.NOT_KNOWN,
    "StreamEventTooLarge": Status.REFUSED,
    "StreamInterruptedError": Status.UNREACHABLE,
    "TaskAbortException": Status.REFUSED,
    "TaskAbortedError": Status.TASK_ABORTED,
    "TaskException": Status.REFUSED,
    "TaskFailedError": Status.TASK_FAILED,
    "TaskNotFoundError": Status.REFUSED,
    "TaskProtectException": Status.REFUSED,
    "TaskRefusedError": Status.REFUSED,
    "TaskWaitTimeout": Status.NOT_KNOWN,
    "UnauthorizedError": Status.REFUSED,
    "UsageError": Status.USAGE,
}
MORE: dict[str, dict[str, Any]] = {
    "TaskFailedError": {"context": CONTEXT},
    "StreamEventTooLarge": {"position": 1, "size": 2, "limit": 1},
}


def an_error(name: str) -> RequenceError:
    error: RequenceError = getattr(exceptions, name)(
        "It went\n\x1b[31mwrong", hint="do [red]this", **MORE.get(name, {})
    )
    return error


def test_every_error_has_a_status() -> None:
    assert set(EXPECTED) == set(exceptions.__all__)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_an_error_is_told_in_two_lines_or_in_json(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise an_error(name)

    monkeypatch.setattr("requence.task.get_task", fail)
    done = requence("get", "a-task")
    assert (done.exit_code, done.stdout) == (EXPECTED[name], "")
    assert done.stderr == "requence: It went \\x1b[31mwrong\nhint: do [red]this\n"

    done = requence("get", "a-task", "--json")
    assert done.exit_code == EXPECTED[name]
    assert lines_of(done) == [
        {
            "kind": "error",
            "error": name,
            "message": "It went\n\x1b[31mwrong",
            "hint": "do [red]this",
            "task_id": None,
            "task_url": None,
            "exit_status": EXPECTED[name],
        }
    ]


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (TaskFailedError("no", context=CONTEXT), Status.TASK_FAILED),
        (TaskAbortedError("no"), Status.TASK_ABORTED),
    ],
    ids=["failed", "aborted"],
)
def test_an_outcome_that_could_not_be_confirmed_is_an_outcome(
    failure: TaskFailedError | TaskAbortedError, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AckFailedError("not confirmed", failure=failure)

    monkeypatch.setattr("requence.task.get_task", fail)
    assert requence("get", "a-task").exit_code == status


def test_the_statuses_are_those_that_scripts_know() -> None:
    assert {status.name: int(status) for status in Status} == {
        "SUCCESS": 0,
        "REFUSED": 1,
        "USAGE": 2,
        "TASK_FAILED": 3,
        "TASK_ABORTED": 4,
        "NOT_KNOWN": 5,
        "UNREACHABLE": 69,
        "INTERRUPTED": 130,
        "CLOSED": 141,
    }
    assert set(STATUSES) == set(Status)
    for command in ([], ["run"], ["watch"], ["doctor"]):
        told = " ".join(requence(*command, "--help").stdout.split())
        assert all(f"{int(status)} {meaning}" in told for status, meaning in STATUSES.items())
