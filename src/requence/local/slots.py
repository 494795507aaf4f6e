"""Who runs when: places for running handlers, given to the most urgent task first, then to the oldest."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Place", "Slots", "Urgency"]


@dataclass(frozen=True, order=True, slots=True)
class Urgency:
    """What decides between those that wait: the wire's priority (0 is the most urgent), then the age."""

    priority: int
    age: int


@dataclass(order=True, slots=True)
class Place:
    """A place that somebody waits for, or has. `begin` is called when it is there."""

    urgency: Urgency
    number: int
    begin: Callable[[], object] | None = field(compare=False)
    taken: bool = field(default=False, compare=False)


class Slots:
    """Gives places to at most `count` at once."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._free = count
        self._waiting: list[Place] = []
        self._number = 0
        self._looking = False

    def ask(self, urgency: Urgency, begin: Callable[[], object]) -> Place:
        """Waits for a place, and calls `begin` when there is one: soon, not at once, so that all can compete."""
        self._number += 1
        place = Place(urgency, self._number, begin)
        heapq.heappush(self._waiting, place)
        self._look_soon()
        return place

    def leave(self, place: Place) -> None:
        """Gives a place back, or waits for it no more. May be called again."""
        place.begin = None
        if place.taken:
            place.taken = False
            self._free += 1
            self._look_soon()

    def _look_soon(self) -> None:
        if not self._looking and self._waiting and self._free:
            self._looking = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        while self._waiting and self._free:
            place = heapq.heappop(self._waiting)
            if place.begin is not None:
                place.taken = True
                self._free -= 1
                place.begin()
