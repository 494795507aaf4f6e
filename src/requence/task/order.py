"""What the caller asked for when making a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from requence._references import Referring

if TYPE_CHECKING:
    from requence.files.pump import Pump

__all__ = ["NO_INPUT", "Order", "Outgoing"]

NO_INPUT: Mapping[str, Any] = MappingProxyType({})
"""The default input: an empty object."""


class Outgoing(NamedTuple):
    """A file or stream in the input.

    Attributes:
        where: Its place, such as `input.report`.
        content: The object, which stands at that place.
    """

    where: str
    content: Referring


@dataclass(frozen=True, slots=True)
class Order:
    """One task to be started: checked and encoded.

    Attributes:
        input: Plain JSON, with objects in the places of files and streams that are to be uploaded.
        outgoing: These.
        pumps: What reads the streams among them, by the identity of the stream.
        priority: On the public scale, where 10 is most urgent.
    """

    task_template: str
    input: Any
    name: str | None
    priority: int
    require_ack: bool
    suppress_branch_warning: bool
    outgoing: tuple[Outgoing, ...] = ()
    pumps: Mapping[int, Pump] | None = None

    @property
    def wire_priority(self) -> int:
        """The priority as it is sent: there 0 is most urgent."""
        return 10 - self.priority
