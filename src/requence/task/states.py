"""What is known of many tasks whose events come in one stream. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from requence.task.context import Context
from requence.task.reading import TERMINAL_TYPES, read_update, task_id_of, type_of
from requence.task.updates import Update

__all__ = ["TaskStates"]

_AT_MOST = 10_000


@dataclass(slots=True)
class _State:
    context: Context
    incomplete: bool = True
    root_task_id: str | None = None


class TaskStates:
    """Reads the events of many tasks. A task is forgotten after its last event.

    At most 10,000 tasks are remembered; beyond that the one that was silent for longest is forgotten, and counts
    as never seen when its next event comes.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[str, _State] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def read(self, name: str, payload: dict[str, Any], *, position: int | None) -> Update | None:
        """Returns the update that an event carries, or None for an event that names no task.

        Args:
            name: The event's name.
            payload: Its JSON object.
            position: Its position in the stream of all tasks.
        """
        task_id = task_id_of(payload)
        if task_id is None:
            return None
        state = self._states.get(task_id) or _State(Context.at_start(task_id, None))
        kind = type_of(name, payload)
        if kind == "taskStart":
            state.incomplete = False
        root = payload.get("rootTaskId")
        if isinstance(root, str) and root:
            state.root_task_id = root
        update = read_update(
            name,
            {**payload, "rootTaskId": state.root_task_id},
            before=state.context,
            position=position,
            incomplete=state.incomplete,
        )
        state.context = update.context
        if kind in TERMINAL_TYPES:
            self._states.pop(task_id, None)
        else:
            self._states[task_id] = state
            self._states.move_to_end(task_id)
            if len(self._states) > _AT_MOST:
                self._states.popitem(last=False)
        return update
