"""`TaskRef`: what it takes to go on with a started task elsewhere, without any secret. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields

from requence._brief import brief, word
from requence._json import as_object
from requence.exceptions import ConfigurationError
from requence.task.arguments import check_identifier, check_optional_text

__all__ = ["TaskRef", "reference_at"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TaskRef:
    """A reference to a started task: plain data, to be kept or sent, for `Task.attach` in any process.

    It has no access token; whoever attaches needs one of the same service.

    ```python
    text = task.sync.ref().to_json()            # here
    task = Task.attach(TaskRef.from_json(text)) # there
    ```

    Attributes:
        task_id: The task's id.
        base_url: The base URL of the service that runs it.
        task_template: The name of its template, None if it is not known.
        task_url: The task's page, None if the service names none.
        watch_url: Where its updates can be followed, None if that is not known. It is used only where it is at the
            same host as `base_url` and is none of the service's other operations, so that no reference can direct
            the access token elsewhere.

    Raises:
        ConfigurationError: A value is not what it should be.
    """

    task_id: str
    base_url: str
    task_template: str | None = None
    task_url: str | None = None
    watch_url: str | None = None

    def __post_init__(self) -> None:
        check_identifier("task_id", self.task_id)
        if not check_optional_text("base_url", self.base_url):
            raise ConfigurationError("base_url must not be empty")
        for name in ("task_template", "task_url", "watch_url"):
            check_optional_text(name, getattr(self, name))

    def __repr__(self) -> str:
        # Without the URLs of the page and of the stream: some services let in whoever has them.
        of = f" ({brief(self.task_template, 40)})" if self.task_template else ""
        return f"<TaskRef to task {word(self.task_id)}{of} at {word(self.base_url, 60)}>"

    def to_json(self) -> str:
        """Returns it as JSON text, for `from_json`."""
        import json  # here, as below, since few programs need it

        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return json.dumps({name: value for name, value in known.items() if value is not None})

    @classmethod
    def from_json(cls, text: str | bytes) -> TaskRef:
        """Reads what `to_json` has returned. Fields that this version does not know are passed over.

        Raises:
            ConfigurationError: It is something else.
        """
        import json

        try:
            content = as_object(json.loads(text))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"This is no TaskRef: {error}") from None
        if content is None:
            raise ConfigurationError("This is no TaskRef: it is not a JSON object")
        missing = [name for name in ("task_id", "base_url") if name not in content]
        if missing:
            raise ConfigurationError(f"This is no TaskRef: {' and '.join(missing)} missing")
        return cls(**{field.name: content[field.name] for field in fields(cls) if field.name in content})


def reference_at(base_url: str, task: object) -> TaskRef:
    """Returns a reference to a task of the service at `base_url`, from one or from the task's id.

    Raises:
        ConfigurationError: The reference is of another service, or the id is none.
    """
    if not isinstance(task, TaskRef):
        return TaskRef(task_id=check_identifier("task", task), base_url=base_url)
    if task.base_url != base_url:
        raise ConfigurationError(
            f"The task is at {task.base_url}, but the access token is for {base_url}",
            hint="give a token of the service that runs the task",
        )
    return task
