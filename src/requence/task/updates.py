"""The updates of a task: one class for each kind of event on the wire. Pure.

```python
match update:
    case NodeUpdate():
        print(update.node.get("alias"), update.data)
    case TaskEnd():
        print(update.result)
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from requence._brief import brief, word
from requence._json import as_object
from requence.task.context import Context, Contexts
from requence.task.record import Record, plain

__all__ = [
    "BaseUpdate",
    "NodeDefer",
    "NodeEnd",
    "NodeError",
    "NodeStart",
    "NodeUpdate",
    "TaskAborted",
    "TaskEnd",
    "TaskError",
    "TaskStart",
    "UnknownUpdate",
    "Update",
]


Moment: TypeAlias = tuple[Contexts, int, int | None, bool, bool]
"""Where an update has its context, and after how many updates; its position; synthetic; incomplete."""


def __dir__() -> list[str]:
    # Completion then offers what is public, and not what is only imported here.
    return __all__


class BaseUpdate(Record):
    """What all updates have.

    Attributes:
        type: The kind of update as on the wire, for instance `"nodeUpdate"`; each class narrows it.
        timestamp: When it happened, as ISO 8601 text.
        task_id: The task it belongs to.
        update_id: Its own id.
        root_task_id: The top-level task, if this update comes from a sub-task.
        name: A name that the service gives, None if it gives none.
        context: The task as it was right after this update; it never changes.
        position: The update's number in the task's log (by attribute only), None if the service numbers nothing.
        synthetic: True for a last update that the service did not send, but that follows from the task's final
            status (by attribute only).
        incomplete: True for an update of a `TaskWatcher` that has not seen the beginning of the task, so that the
            context may lack what came before (by attribute only).
    """

    __slots__ = ("_moment",)

    timestamp: str | None
    task_id: str
    update_id: str | None
    root_task_id: str | None
    name: str | None

    _wire_spelling = True
    # One slot for all that is no field, since filling slots is a good part of what an update costs.
    _moment: Moment

    # Not fields: the wire's spelling of three fields.
    if TYPE_CHECKING:
        taskId: str  # noqa: N815
        updateId: str | None  # noqa: N815
        rootTaskId: str | None  # noqa: N815

    def __init__(
        self,
        values: Mapping[str, Any],
        context: Context,
        position: int | None = None,
        synthetic: bool = False,
        incomplete: bool = False,
    ) -> None:
        super().__init__(values)
        object.__setattr__(self, "_moment", (Contexts(context), 0, position, synthetic, incomplete))

    @property
    def context(self) -> Context:
        """The task as it was right after this update."""
        contexts, count, *_ = self._moment
        return contexts.after(count)

    @property
    def position(self) -> int | None:
        """The update's number in the task's log."""
        return self._moment[2]

    @property
    def synthetic(self) -> bool:
        """Whether the service did not send it."""
        return self._moment[3]

    @property
    def incomplete(self) -> bool:
        """Whether the beginning of the task was not seen."""
        return self._moment[4]

    def _find(self, name: str) -> Any:
        return self.context if name == "context" else super()._find(name)

    def __iter__(self) -> Iterator[str]:
        yield from ("context", "type")
        yield from (name for name in super().__iter__() if name not in ("context", "type"))

    def to_dict(self, *, context: bool = True) -> dict[str, Any]:
        """Returns the update as plain JSON data; `context=False` leaves the context out, for relaying."""
        return {name: plain(value) for name, value in self.items() if context or name != "context"}

    def _repr_html_(self) -> str:
        from requence.task.html import html_of_update  # here, since only notebooks need it

        return html_of_update(self)

    def __repr__(self) -> str:
        node = as_object(self._values.get("node"))
        which = f" {brief(node.get('alias') or node.get('id'), 50)}" if node else self._kind()
        at = f" at {self.position}" if self.position is not None else ""
        return f"<{type(self).__name__}{which} of task {word(self.task_id)}{at}>"

    def _kind(self) -> str:
        """Returns what a repr says beside the name of the class."""
        return ""

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self._values, self.context, *self._moment[2:]))

    def with_context(self, context: Context) -> Self:
        """Returns the same update with another context."""
        return type(self)(self._values, context, *self._moment[2:])


class TaskStart(BaseUpdate):
    """The task has begun. `input` is its input."""

    __slots__ = ()
    type: Literal["taskStart"]
    input: Any


class NodeStart(BaseUpdate):
    """A node has begun. `node` has `id`, `type` and, if the node has one, `alias`."""

    __slots__ = ()
    type: Literal["nodeStart"]
    node: dict[str, Any]


class NodeUpdate(BaseUpdate):
    """A node has an output: `data`. `output` is the name of the output, None for the only one."""

    __slots__ = ()
    type: Literal["nodeUpdate"]
    node: dict[str, Any]
    data: Any
    output: str | None


class NodeError(BaseUpdate):
    """A node has failed; the task may go on. `error` is the reason."""

    __slots__ = ()
    type: Literal["nodeError"]
    node: dict[str, Any]
    error: str


class NodeDefer(BaseUpdate):
    """A node will go on later. `reason` may say why."""

    __slots__ = ()
    type: Literal["nodeDefer"]
    node: dict[str, Any]
    reason: str | None


class NodeEnd(BaseUpdate):
    """A node has ended."""

    __slots__ = ()
    type: Literal["nodeEnd"]
    node: dict[str, Any]


class _Outcome(BaseUpdate):
    __slots__ = ()
    require_ack: bool | None

    if TYPE_CHECKING:
        requireAck: bool | None  # noqa: N815


class TaskEnd(_Outcome):
    """The task has succeeded: `result` is its output, `exit` the name of the exit it took, if it has a name."""

    __slots__ = ()
    type: Literal["taskEnd"]
    result: Any
    exit: str | None


class TaskError(_Outcome):
    """The task has failed; `reason` may say why."""

    __slots__ = ()
    type: Literal["taskError"]
    reason: str | None


class TaskAborted(_Outcome):
    """The task was aborted; `reason` is what was given to the abort."""

    __slots__ = ()
    type: Literal["taskAborted"]
    reason: str | None


class UnknownUpdate(BaseUpdate):
    """An update of a kind that this version does not know. Its fields can be read like all others."""

    __slots__ = ()
    type: str

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def _kind(self) -> str:
        return f" {brief(self._values.get('type'), 50)}"


Update: TypeAlias = (
    TaskStart
    | NodeStart
    | NodeUpdate
    | NodeError
    | NodeDefer
    | NodeEnd
    | TaskEnd
    | TaskError
    | TaskAborted
    | UnknownUpdate
)
