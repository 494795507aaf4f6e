"""Start tasks and follow them: `Task`, and functions for tasks of which only the id is known.

One rule for the mode: objects are async and their `.sync` blocks; functions block and their twins in
`requence.task.aio` are async.
"""

from requence.exceptions import (
    AckFailedError,
    RequenceError,
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
)
from requence.task import aio as aio
from requence.task import updates as updates
from requence.task.awaitables import Operation, Pending
from requence.task.batch import map_tasks
from requence.task.context import Context
from requence.task.flush import Unstarted
from requence.task.functions import abort_task, flush, get_task, protect_task, recreate_task
from requence.task.handle import Task
from requence.task.item import TaskItem
from requence.task.reference import TaskRef
from requence.task.result import TaskResult
from requence.task.snapshot import TaskSnapshot
from requence.task.updates import Update
from requence.task.watcher import TaskWatcher

__all__ = [
    "AckFailedError",
    "Context",
    "Operation",
    "Pending",
    "RequenceError",
    "RequenceUnreachableException",
    "StartUncertainError",
    "StreamEventTooLarge",
    "StreamInterruptedError",
    "Task",
    "TaskAbortException",
    "TaskAbortedError",
    "TaskException",
    "TaskFailedError",
    "TaskItem",
    "TaskNotFoundError",
    "TaskProtectException",
    "TaskRef",
    "TaskRefusedError",
    "TaskResult",
    "TaskSnapshot",
    "TaskWaitTimeout",
    "TaskWatcher",
    "UnauthorizedError",
    "Unstarted",
    "Update",
    "abort_task",
    "flush",
    "get_task",
    "map_tasks",
    "protect_task",
    "recreate_task",
]


def __dir__() -> list[str]:
    # Completion then offers what is public: these names and two modules, and not every file of this package.
    return [*__all__, "aio", "updates"]
