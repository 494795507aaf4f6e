"""What tests use of a server beside its API: stubs, what was started, and its clock."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from requence._brief import brief, word
from requence.exceptions import ConfigurationError
from requence.local.context import NodeContext
from requence.local.graph import Graph
from requence.local.json_values import NotJsonError, encode
from requence.local.state import LoggedTask
from requence.local.template import TaskTemplate

if TYPE_CHECKING:
    from requence.local.runtime import Runtime

__all__ = ["NOT_GIVEN", "ServerClock", "StartedTask", "started_task", "stub_graph"]

NOT_GIVEN: Final = object()


_LONGEST_DELAY = 366 * 86_400.0


@dataclass(frozen=True, slots=True, repr=False)
class StartedTask:
    """A task that was started on a local server, as `server.started` tells it.

    Attributes:
        task_id: Its id.
        template: The name of its template.
        input: Its input.
        name: Its name, or None.
        priority: 0 (low) to 10 (high), as `Task` takes it.
        status: What it is doing now, as `get_task` tells it.
        aborted: Whether it was aborted.
        protected: Whether it is protected.
    """

    task_id: str
    template: str
    input: Any
    name: str | None
    priority: int
    status: str
    aborted: bool
    protected: bool

    def __repr__(self) -> str:
        of = f"{word(self.task_id)} ({brief(self.template, 30)})"
        return f"<StartedTask {of}: {word(self.status, 20)}, input {brief(self.input, 60)}>"


class ServerClock:
    """The clock that a local server goes by: retries, deferrals with a timeout, delays of stubs, cleaning up."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __repr__(self) -> str:
        return f"<ServerClock of {word(self._runtime.address.url, 60)}>"

    def now(self) -> datetime:
        """What time it is for the server, in UTC. Before the first `advance` that is the time of the machine."""
        return self._runtime.call(lambda engine: engine.clock.now())

    def advance(self, seconds: float) -> None:
        """Makes it later for the server, at once. What was to happen meanwhile is begun when this returns.

        Whatever begins to wait afterwards counts from the new time, so let a test see that a node waits (by its
        update `nodeDefer`, for instance) before it moves the clock. The clock of the tasks' followers, which sends
        a sign of life every 15 seconds, is not moved.

        Args:
            seconds: How much; not below 0.

        Raises:
            ConfigurationError: The number is negative, or leads to years that no calendar has.
        """
        if not 0 <= seconds < math.inf:
            raise ConfigurationError(f"The clock can only be moved on, not by {seconds} seconds")
        try:
            self._runtime.call(lambda engine: engine.clock.advance(seconds))
        except OverflowError:
            raise ConfigurationError(f"The clock cannot be moved on by {seconds:g} seconds") from None


def started_task(state: LoggedTask) -> StartedTask:
    """Returns what a test wants to know of a task that was started."""
    record, request = state.record, state.record.request
    if request is None:
        raise ValueError("the task was not started")
    return StartedTask(
        task_id=record.id,
        template=record.template,
        input=request.input,
        name=request.name,
        priority=10 - request.priority,
        status=state.status,
        aborted=state.ended_by == "taskAborted",
        protected=record.protected,
    )


def stub_graph(
    name: str,
    fn: Callable[[NodeContext], Any] | None,
    *,
    result: object,
    error: str | None,
    updates: Sequence[object],
    exit_name: str | None,
    delay: float,
) -> Graph:
    """Returns a plan of one node that does what the test says.

    Raises:
        ConfigurationError: The arguments contradict each other, or a value is not JSON.
    """
    if not 0 <= delay <= _LONGEST_DELAY:
        raise ConfigurationError(f"The delay of a stub is from 0 seconds to a year, not {delay} seconds")
    if fn is not None and (result is not NOT_GIVEN or error is not None or updates):
        raise ConfigurationError(f'The stub "{name}" takes either a function or result, error and updates')
    if error is not None and result is not NOT_GIVEN:
        raise ConfigurationError(f'The stub "{name}" takes a result or an error, not both')
    template = TaskTemplate(name)
    node = template.node("stub")(fn or _told(name, result, error, updates))
    if exit_name is not None:
        template.exit(exit_name, after=node)
    graph = template.graph()
    nodes = {key: dataclasses.replace(node, delay=delay) for key, node in graph.nodes.items()}
    return dataclasses.replace(graph, nodes=nodes)


def _told(
    name: str, result: object, error: str | None, updates: Sequence[object]
) -> Callable[[NodeContext], AsyncIterator[Any]]:
    try:
        values = [encode(value, f"updates[{index}]") for index, value in enumerate(updates)]
        if result is not NOT_GIVEN or (error is None and not values):
            values.append(encode(None if result is NOT_GIVEN else result, "result"))
    except NotJsonError as problem:
        raise ConfigurationError(f'The stub "{name}": {problem}') from None

    async def stub(ctx: NodeContext) -> AsyncIterator[Any]:
        for value in values:
            yield json.loads(value)
        if error is not None:
            ctx.abort(error)

    return stub
