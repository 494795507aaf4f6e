"""What all running tasks have in common, and what they ask of whoever runs them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from requence.local.clock import Clock
from requence.local.files import Files
from requence.local.handlers import Handlers
from requence.local.journal import Journal
from requence.local.slots import Slots
from requence.local.store import Store

if TYPE_CHECKING:
    from requence.local.events import Draft
    from requence.local.graph import NodePlan
    from requence.local.run import Run

__all__ = ["Owner", "Shared"]


@dataclass(frozen=True, slots=True)
class Shared:
    """The log, the files, the clock, the places, and the handlers that are being called on the event loop."""

    store: Store
    files: Files
    journal: Journal
    clock: Clock
    slots: Slots
    handlers: Handlers
    works: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])


class Owner(Protocol):
    """Whoever runs the tasks."""

    def start_subtask(self, parent: Run, node: NodePlan, input_value: Any) -> None:
        """Starts the sub task of a node.

        Raises:
            InvalidRequestError: The input does not fit its template.
            UnknownTemplateError: Its template is not served.
        """
        ...

    def ended(self, run: Run, by: Draft) -> None:
        """A task has ended; its last event is written."""
        ...

    def failed(self, run: Run, error: Exception) -> None:
        """A task cannot go on, because of a fault that is not its own."""
        ...
