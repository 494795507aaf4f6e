"""Starting a task once more, from what the service tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from requence._client import Client, checked_client
from requence._transport.credentials import find_access_token
from requence.exceptions import TaskException
from requence.task import by_id
from requence.task.arguments import check_identifier, check_optional_text, check_priority
from requence.task.handle import Task

if TYPE_CHECKING:
    from requence._transport.io_loop import Work
    from requence.task.snapshot import TaskSnapshot

__all__ = ["Recreation"]

_DEFAULT_PRIORITY = 5


class Recreation:
    """One task to be started once more; checked at once.

    There is no request for that: the task is read, and one with the same template and input is started.
    """

    def __init__(
        self,
        task_id: str,
        name: str | None,
        priority: int | None,
        task_template: str | None,
        access_token: str | None,
        client: Client | None,
    ) -> None:
        """Checks the arguments; they are those of `recreate_task`."""
        self._task_id = check_identifier("task_id", task_id)
        self._name = check_optional_text("name", name)
        self._priority = check_priority(_DEFAULT_PRIORITY if priority is None else priority)
        if task_template is not None:
            task_template = check_identifier("task_template", task_template)
        self._task_template = task_template
        self._client = checked_client(client)
        self._access_token = access_token
        find_access_token(access_token, self._client)

    @property
    def original(self) -> Work[TaskSnapshot]:
        """What reads the task."""
        return by_id.get(self._task_id, self._access_token, self._client)

    def begin(self, original: TaskSnapshot) -> Task:
        """Starts it once more.

        Raises:
            TaskException: The service does not tell what is needed for that.
            ConfigurationError: Its input cannot be sent again: it has callbacks.
        """
        template = self._task_template or original.task_template
        if template is None:
            raise TaskException(
                f"The service does not tell the template of task {self._task_id}, so it cannot be started again",
                task_id=self._task_id,
                hint="give the template's name as task_template=",
            )
        if original.status == "idle":
            raise TaskException(
                f"Task {self._task_id} was never started, so it has no input to be started again with",
                task_id=self._task_id,
                task_template=template,
                hint=f"start one with Task({template!r}, input=…)",
            )
        if not original.tells_input:
            raise TaskException(
                f"The service does not tell the input of task {self._task_id}, so it cannot be started again",
                task_id=self._task_id,
                task_template=template,
                hint=f"start one with Task({template!r}, input=…)",
            )
        return Task(
            template,
            original.context.input,
            name=original.name if self._name is None else self._name,
            priority=self._priority,
            access_token=self._access_token,
            client=self._client,
        )
