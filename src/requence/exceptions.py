"""Every error that this package raises on purpose.

```
RequenceError                            .message .hint
├ ConfigurationError (ValueError)        token, argument or input; raised before any I/O
├ UsageError (RuntimeError)              a call that cannot work where it was made
│ └ ForkedHandleError                    a handle of the parent process, used in a forked child
├ TaskWaitTimeout (TimeoutError)         the wait is over, the task still runs
├ RequenceUnreachableException           .status
│ └ StreamInterruptedError               .position
├ FileUnavailableError                   .status_code: the service does not give the content of a file
├ RequenceStreamTruncatedError           .reason: the sender of a stream broke off
└ TaskException                          .task_id .task_url .task_template .status_code .result
  ├ TaskRefusedError                     not accepted: input or template
  ├ UnauthorizedError                    the service does not take the token
  ├ TaskNotFoundError                    no such task
  ├ TaskFailedError, TaskAbortedError    .reason .context
  ├ StartUncertainError                  the start may or may not have happened
  ├ AckFailedError                       .failure: finished, but the delivery could not be confirmed
  ├ StreamEventTooLarge                  .position .size .limit
  └ TaskAbortException, TaskProtectException    the abort or protect request was refused
```

`str(error)` is always `error.message`: the service's own text where there is one. `error.hint`, if any, says
what to do about it; tracebacks show it below the message. No error carries the access token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from requence.task.context import Context
    from requence.task.result import TaskResult

__all__ = [
    "AckFailedError",
    "ConfigurationError",
    "FileUnavailableError",
    "ForkedHandleError",
    "RequenceError",
    "RequenceStreamTruncatedError",
    "RequenceUnreachableException",
    "StartUncertainError",
    "StreamEventTooLarge",
    "StreamInterruptedError",
    "TaskAbortException",
    "TaskAbortedError",
    "TaskException",
    "TaskFailedError",
    "TaskNotFoundError",
    "TaskProtectException",
    "TaskRefusedError",
    "TaskWaitTimeout",
    "UnauthorizedError",
    "UsageError",
]


def __dir__() -> list[str]:
    # Completion then offers what is public, and not what is only imported here.
    return __all__


_SHOWN = 100

E_co = TypeVar("E_co", bound="RequenceError")


class RequenceError(Exception):
    """The root of all errors of this package.

    Attributes:
        message: What happened, as one text; equal to `str(error)`.
        hint: What to do about it, or None.
    """

    message: str
    hint: str | None

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")

    def __repr__(self) -> str:
        # Short, as all reprs of this package are; `str` and the traceback have all of it.
        text = repr(self.message[:_SHOWN])[:_SHOWN]
        shown = text if text == repr(self.message) else f"{text}…"
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[Callable[..., RequenceError], tuple[Any, ...]]:
        # Subclasses take keyword-only arguments, which the default protocol cannot repeat.
        state = dict(self.__dict__)
        if "__notes__" in state:
            state["__notes__"] = list(state["__notes__"])  # notes on a copy are not notes on the original
        return _rebuild, (type(self), self.message, state)


def _rebuild(cls: type[E_co], message: str, state: dict[str, Any]) -> E_co:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class ConfigurationError(RequenceError, ValueError):
    """The access token, an argument or the input is not usable. Raised before any request is made."""


class UsageError(RequenceError, RuntimeError):
    """The call cannot work where or when it was made, for instance because it would wait for itself."""


class ForkedHandleError(UsageError):
    """A handle that was made before `os.fork()` was used in the child: its connection stayed in the parent."""


class TaskWaitTimeout(RequenceError, TimeoutError):  # noqa: N818 (documented name)
    """The time given to a wait is over. The task itself goes on: nothing was aborted.

    Attributes:
        task_id: The task's id, or None if it is not known yet.
        task_url: The page of the task, or None if it is not known.
    """

    task_id: str | None
    task_url: str | None

    def __init__(
        self,
        message: str,
        *,
        task_id: str | None = None,
        task_url: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.task_id = task_id
        self.task_url = task_url


class RequenceUnreachableException(RequenceError):  # noqa: N818 (documented name)
    """The service could not be reached, or a gateway before it answered in its place.

    Attributes:
        status: The HTTP status (502, 503 or 504), or None if there was no answer at all.
    """

    status: int | None

    def __init__(self, message: str, *, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class StreamInterruptedError(RequenceUnreachableException):
    """Following was given up after a long time without any contact. The task may still run.

    Attributes:
        position: The position of the last update that was received, or None.
    """

    position: int | None

    def __init__(
        self,
        message: str,
        *,
        position: int | None = None,
        status: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, status=status, hint=hint)
        self.position = position


class FileUnavailableError(RequenceError):
    """The service does not give the content that a task refers to.

    Attributes:
        status_code: The HTTP status of its answer, or None if there was none that counts.
    """

    status_code: int | None

    def __init__(self, message: str, *, status_code: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status_code = status_code


class RequenceStreamTruncatedError(RequenceError):
    """A stream ended before its end: who sent it broke off, or the connection did.

    Attributes:
        reason: What the sender said, or None.
    """

    reason: str | None

    def __init__(self, message: str, *, reason: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class TaskException(RequenceError):  # noqa: N818 (documented name)
    """Something is wrong with a task; the subclasses say what.

    Attributes:
        task_id: The task's id, if it is known.
        task_url: The page of the task, if it is known.
        task_template: The name of the task's template, if it is known.
        status_code: The HTTP status of the answer that caused the error, if there was one.
        result: The `TaskResult`, as the service sent it, if the task succeeded and only what came after that did
            not: a part of its result could not be fetched, it could not be decoded, or its delivery not be
            confirmed. Else None.
    """

    task_id: str | None
    task_url: str | None
    task_template: str | None
    status_code: int | None
    result: TaskResult | None

    def __init__(
        self,
        message: str,
        *,
        task_id: str | None = None,
        task_url: str | None = None,
        task_template: str | None = None,
        status_code: int | None = None,
        result: TaskResult | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.task_id = task_id
        self.task_url = task_url
        self.task_template = task_template
        self.status_code = status_code
        self.result = result


class TaskRefusedError(TaskException):
    """The service did not accept the task: the input does not fit, or there is no such template."""


class UnauthorizedError(TaskException):
    """The service does not accept the access token (401), or not for this request (403)."""


class TaskNotFoundError(TaskException):
    """The service knows no task of this id."""


class TaskFailedError(TaskException):
    """The task ran and failed.

    Attributes:
        reason: The reason that the task gave, or None.
        context: The task's context at its end (`requence.task.Context`): input, node data and node errors.
    """

    reason: str | None
    context: Context

    def __init__(self, message: str, *, context: Context, reason: str | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.reason = reason
        self.context = context


class TaskAbortedError(TaskException):
    """The task was aborted.

    Attributes:
        reason: The reason given to the abort, or None.
        context: The task's context at its end (`requence.task.Context`), or None if it never started.
    """

    reason: str | None
    context: Context | None

    def __init__(
        self, message: str, *, reason: str | None = None, context: Context | None = None, **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        self.reason = reason
        self.context = context


class StartUncertainError(TaskException):
    """The start was sent, its answer was lost, and the service could not tell whether the task runs.

    It is not sent again, since that could start the work twice. Look at the task by its `task_id`.
    """


class AckFailedError(TaskException):
    """The task finished, but its delivery could not be confirmed to the service.

    Attributes:
        result: The `TaskResult`, not decoded, or None if the task did not succeed.
        failure: The error that says how the task ended, or None if it succeeded.
    """

    failure: TaskException | None

    def __init__(
        self,
        message: str,
        *,
        failure: TaskException | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)
        self.failure = failure


class StreamEventTooLarge(TaskException):
    """One event of the stream is larger than the limit.

    Attributes:
        position: The position of the last event before it, or None.
        size: The bytes of the event that had been received when the limit was passed.
        limit: The limit in bytes.
    """

    position: int | None
    size: int
    limit: int

    def __init__(self, message: str, *, position: int | None, size: int, limit: int, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.position = position
        self.size = size
        self.limit = limit


class TaskAbortException(TaskException):
    """The service refused the request to abort a task."""


class TaskProtectException(TaskException):
    """The service refused the request to protect a task."""
