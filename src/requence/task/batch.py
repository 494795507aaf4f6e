"""`map_tasks`: many tasks of one template, some of them at once, and what comes of them as they end."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from requence._client import Client
from requence.exceptions import ConfigurationError
from requence.task.items import OnExit, TaskItems
from requence.task.recipe import Name, Recipe

__all__ = ["checked_inputs", "map_tasks"]

T = TypeVar("T")


@overload
def map_tasks(
    task_template: str,
    inputs: Iterable[Any],
    *,
    max_in_flight: int = ...,
    on_exit: OnExit = ...,
    name: Name = ...,
    priority: int = ...,
    access_token: str | None = ...,
    suppress_branch_warning: bool = ...,
    require_ack: bool = ...,
    client: Client | None = ...,
    decode: None = ...,
    result_type: None = ...,
    default: Callable[[Any], object] | None = ...,
) -> TaskItems[Any]: ...


@overload
def map_tasks(
    task_template: str,
    inputs: Iterable[Any],
    *,
    max_in_flight: int = ...,
    on_exit: OnExit = ...,
    name: Name = ...,
    priority: int = ...,
    access_token: str | None = ...,
    suppress_branch_warning: bool = ...,
    require_ack: bool = ...,
    client: Client | None = ...,
    decode: Callable[[Any], T],
    result_type: None = ...,
    default: Callable[[Any], object] | None = ...,
) -> TaskItems[T]: ...


@overload
def map_tasks(
    task_template: str,
    inputs: Iterable[Any],
    *,
    max_in_flight: int = ...,
    on_exit: OnExit = ...,
    name: Name = ...,
    priority: int = ...,
    access_token: str | None = ...,
    suppress_branch_warning: bool = ...,
    require_ack: bool = ...,
    client: Client | None = ...,
    decode: None = ...,
    result_type: type[T],
    default: Callable[[Any], object] | None = ...,
) -> TaskItems[T]: ...


def map_tasks(
    task_template: str,
    inputs: Iterable[Any],
    *,
    max_in_flight: int = 100,
    on_exit: OnExit = "leave",
    name: Name = None,
    priority: int = 5,
    access_token: str | None = None,
    suppress_branch_warning: bool = False,
    require_ack: bool = False,
    client: Client | None = None,
    decode: Callable[[Any], Any] | None = None,
    result_type: type[Any] | None = None,
    default: Callable[[Any], object] | None = None,
) -> TaskItems[Any]:
    """Starts a task of one template for each input, and gives what comes of them as they end.

    ```python
    with map_tasks("my-template", inputs, on_exit="abort") as items:
        for item in items:
            if item.error is not None:
                print(item.index, item.input, item.error)
            else:
                print(item.result.result)
    ```

    Nothing begins before the first step of the loop. From then on there are never more than `max_in_flight` tasks
    that were begun and not taken yet, so whoever is slow to take items slows the starts down. The items come in
    the order in which the tasks end; `index` tells their place. An input that cannot be sent, and a task that was
    refused, has failed, was aborted, or cannot be followed, is an item with an `error`; the others go on.

    The iteration is left early by the end of the `with`, by `close()`, by an exception in the loop, by Ctrl-C in a
    wait, and in CPython also when a plain `for` is left by `break`. What is under way then, and was not taken, is
    left running or is aborted, as `on_exit` says. An error of `inputs` itself ends the iteration in the same way,
    and is raised. Like a generator it can be iterated once, and by one thread at a time.

    Args:
        task_template: The name of the task template.
        inputs: The inputs, as for `Task`, one for each task: a list, a generator, any iterable. It is read in the
            thread of the loop, as far as there is room; one that blocks holds up the loop.
        max_in_flight: How many tasks there may be at once that were begun and not taken. Default 100.
        on_exit: What becomes of tasks under way when the iteration is left early. "leave", the default: they go
            on, and their starts are completed. "abort": they are aborted, and `with`, `close()` and errors wait
            until that is confirmed, for 10 seconds at most.
        name: A name for people, for all tasks; or a function that makes it of the index and the input.
        priority: As for `Task`, and so are the following.
        access_token: The token.
        suppress_branch_warning: Whether to be silent if the token starts tasks on another branch than `live`.
        require_ack: Whether the service keeps each outcome until it was confirmed.
        client: How to reach the service.
        decode: Makes each result's value out of plain JSON. If it fails, that is the `error` of the item.
        result_type: The type of each result's value.
        default: Converts what JSON cannot express in the inputs.

    Returns:
        An iterator of `TaskItem`, which is a context manager as well.

    Raises:
        ConfigurationError: The token or an argument is not usable. It is raised here, not in the loop.
        UsageError: The interpreter is shutting down.
    """
    recipe = Recipe[Any](
        task_template,
        name=name,
        priority=priority,
        access_token=access_token,
        suppress_branch_warning=suppress_branch_warning,
        require_ack=require_ack,
        client=client,
        decode=decode,
        result_type=result_type,
        default=default,
    )
    return TaskItems(recipe, checked_inputs(inputs), max_in_flight=max_in_flight, on_exit=on_exit)


def checked_inputs(inputs: object, *, asynchronous: bool = False) -> Any:
    """Returns what has the inputs.

    Args:
        inputs: What the caller has given.
        asynchronous: Whether it may be an asynchronous iterable.

    Raises:
        ConfigurationError: It has none, or is one input itself.
    """
    kind: type = type(inputs)
    if issubclass(kind, str | bytes | bytearray | Mapping):
        raise ConfigurationError(
            f"inputs must have one input for each task, and not be a {kind.__name__}",
            hint="for a single input give a list of it: [input]",
        )
    if issubclass(kind, Iterable) or (asynchronous and issubclass(kind, AsyncIterable)):
        return inputs
    hint = "requence.task.aio.map_tasks takes it" if issubclass(kind, AsyncIterable) else None
    raise ConfigurationError(f"inputs must be an iterable of inputs, not {kind.__name__}", hint=hint)
