"""With what status a command ends. Scripts and CI depend on these numbers, so they do not change."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requence.exceptions import RequenceError

__all__ = ["STATUSES", "Status", "status_of"]


class Status(IntEnum):
    """The exit statuses of commands that talk to the service."""

    SUCCESS = 0
    REFUSED = 1  # by the service, or since the outcome is not as it should be
    USAGE = 2  # a wrong option, no usable access token, a wrong setting
    TASK_FAILED = 3
    TASK_ABORTED = 4
    NOT_KNOWN = 5  # so that no script takes it for one of those after which it may start the task again
    UNREACHABLE = 69  # as EX_UNAVAILABLE in sysexits.h: worth another try
    INTERRUPTED = 130  # as shells tell Ctrl-C
    CLOSED = 141  # as shells tell SIGPIPE


STATUSES: dict[Status, str] = {
    Status.SUCCESS: "all went well",
    Status.REFUSED: "the service or this command has refused, or the service does not accept the token",
    Status.USAGE: "a wrong option, input or setting, or no usable access token",
    Status.TASK_FAILED: "the task failed",
    Status.TASK_ABORTED: "the task was aborted",
    Status.NOT_KNOWN: "the task was started, or may have been, and what became of it is not known",
    Status.UNREACHABLE: "the service cannot be reached, and nothing was started",
    Status.INTERRUPTED: "Ctrl-C (a task that was started goes on)",
    Status.CLOSED: "whoever has read the output is gone",
}
"""What each of them means, for people."""


def status_of(error: RequenceError) -> Status:
    """Returns the status with which a command ends that has met this error."""
    # Here: the statuses are also for installations in which these are not what they should be.
    from requence.exceptions import (
        AckFailedError,
        ConfigurationError,
        RequenceError,
        RequenceUnreachableException,
        StartUncertainError,
        TaskAbortedError,
        TaskFailedError,
        TaskWaitTimeout,
        UsageError,
    )

    match error:
        case AckFailedError(failure=RequenceError() as failure):
            return status_of(failure)
        case TaskFailedError():
            return Status.TASK_FAILED
        case TaskAbortedError():
            return Status.TASK_ABORTED
        case StartUncertainError() | TaskWaitTimeout():
            return Status.NOT_KNOWN
        case ConfigurationError() | UsageError():
            return Status.USAGE
        case RequenceUnreachableException():
            return Status.UNREACHABLE
        case _:
            return Status.REFUSED
