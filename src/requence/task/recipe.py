"""How each task of a batch is made: what is the same for all of them is checked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from requence._client import Client, checked_client
from requence._transport.credentials import find_access_token
from requence.exceptions import ConfigurationError, UsageError
from requence.task.arguments import check_function, check_identifier, check_optional_text, check_priority
from requence.task.beginning import begun
from requence.task.decode import Decoding
from requence.task.encode import encode_input
from requence.task.handle import Task
from requence.task.item import TaskItem, about_input
from requence.task.order import Order, Outgoing
from requence.task.result import T_co, TaskResult

if TYPE_CHECKING:
    from requence.task.run import Run

__all__ = ["Begun", "Name", "Recipe"]

Name: TypeAlias = str | Callable[[int, Any], str | None] | None
"""A name for all tasks, or what makes the name of one out of its index and its input."""


@dataclass(slots=True, eq=False)
class Begun(Generic[T_co]):
    """One input on its way, from its start until it is taken.

    Attributes:
        index: Which of the inputs it is.
        input: That input.
        decoding: What decodes its result.
        task: The handle; None if the input could not be sent.
        run: What the handle stands for.
        error: Why there will be no result, once that is known.
        plain: The result as it was sent, once it is known.
    """

    index: int
    input: Any
    decoding: Decoding[T_co]
    task: Task[T_co] | None = None
    run: Run | None = None
    error: Exception | None = None
    plain: TaskResult | None = None

    def item(self, result: TaskResult[T_co] | None) -> TaskItem[T_co]:
        """Returns what the consumer is given: with a result, or with the error."""
        if self.error is not None:
            # Without its traceback, which would keep the frames of the iteration, and so all that it holds.
            self.error.with_traceback(None).add_note(about_input(self.index, self.input))
        return TaskItem(self.index, self.input, self.task, self.error, result)


class Recipe(Generic[T_co]):
    """Begins the tasks of one batch.

    Attributes:
        task_template: Their template.
    """

    def __init__(
        self,
        task_template: str,
        *,
        name: Name,
        priority: int,
        access_token: str | None,
        suppress_branch_warning: bool,
        require_ack: bool,
        client: Client | None,
        decode: Callable[[Any], T_co] | None,
        result_type: type[T_co] | None,
        default: Callable[[Any], object] | None,
    ) -> None:
        """Checks what is the same for all; the arguments are those of `map_tasks`.

        Raises:
            ConfigurationError: The token or an argument is not usable.
        """
        self._client = checked_client(client)
        self.task_template = check_identifier("task_template", task_template)
        self._name = check_function("name", name) if callable(name) else check_optional_text("name", name)
        self._priority = check_priority(priority)
        self._require_ack = bool(require_ack)
        self._suppress_branch_warning = bool(suppress_branch_warning)
        self._default = check_function("default", default)
        self._decoding = Decoding[T_co](self.task_template, decode, result_type)
        self._token = find_access_token(access_token, self._client)

    def begin(self, index: int, input: Any) -> Begun[T_co]:
        """Starts the task of one input, if that can be sent; else returns what says why not."""
        one = Begun[T_co](index, input, self._decoding.for_another())
        outgoing = list[Outgoing]()
        try:
            order = self._order(index, input, outgoing)
            one.run = begun(order, self._token, self._client)
        except ConfigurationError as error:
            one.error = error
            return one
        except UsageError as error:
            if not outgoing:
                raise
            one.error = error  # a stream that was used already, say: that is this input's own fault
            return one
        one.run.quiet = True
        one.task = Task._with(one.run, one.decoding)  # noqa: SLF001 (no part of the public face)
        return one

    def _order(self, index: int, input: Any, outgoing: list[Outgoing]) -> Order:
        return Order(
            task_template=self.task_template,
            input=encode_input(input, default=self._default, outgoing=outgoing),
            name=self._name_of(index, input),
            priority=self._priority,
            require_ack=self._require_ack,
            suppress_branch_warning=self._suppress_branch_warning,
            outgoing=tuple(outgoing),
        )

    def _name_of(self, index: int, input: Any) -> str | None:
        if not callable(self._name):
            return self._name
        try:
            name = self._name(index, input)
        except Exception as error:
            raise ConfigurationError(f"name failed on this input: {error!r}") from error
        return check_optional_text("what name returns", name)
