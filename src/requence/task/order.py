"""What the caller asked for when making a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["NO_INPUT", "Order"]

NO_INPUT: Mapping[str, Any] = MappingProxyType({})
"""The default input: an empty object."""


@dataclass(frozen=True, slots=True)
class Order:
    """One task to be started: checked and encoded. `priority` is on the public scale, where 10 is most urgent."""

    task_template: str
    input: Any
    name: str | None
    priority: int
    require_ack: bool
    suppress_branch_warning: bool

    @property
    def wire_priority(self) -> int:
        """The priority as it is sent: there 0 is most urgent."""
        return 10 - self.priority
