"""Where the boxes of a plan stand, and by which way lines lead from one to another. Pure.

Boxes stand in columns, each to the right of all that leads into it. A line that passes columns gets a lane in
each of them, so that it does not run across boxes. Within the columns the order is such that few lines cross, and
boxes stand as near to their neighbours as there is room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

__all__ = ["Layout", "Place", "laid_out"]

_MOST_IN_COLUMN = 12  # further boxes go into the next column, so that a wide plan fits a screen
_SWEEPS = 6
_BOX_HEIGHT = 1.0
_LANE_HEIGHT = 0.35
# That lines pass, all together. Where it would be more, as in plans of thousands of boxes, lines run straight, and
# across boxes: each place is told, and drawn.
_MOST_LANES = 100_000
_LANE_WEIGHT = 1000.0  # against 1 for a box: lines run straight, and boxes make room


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: the number of its column, and the middle of its height, in rows from the top."""

    column: int
    row: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A plan laid out.

    Attributes:
        places: Where each box stands.
        ways: For each box, and each line into it, the places that this passes in the columns between.
        columns: How many columns there are.
        rows: How high it is, in rows.
    """

    places: Sequence[Place]
    ways: Sequence[Sequence[Sequence[Place]]]
    columns: int
    rows: float


@dataclass(slots=True)
class _Slot:
    """Room in a column: of a box, or of a lane that lines with a common end share."""

    column: int
    height: float
    middle: float = 0.0
    before: list[_Slot] = field(default_factory=list["_Slot"], repr=False)
    after: list[_Slot] = field(default_factory=list["_Slot"], repr=False)


def laid_out(sources: Sequence[Sequence[int]]) -> Layout:
    """Lays out a plan.

    Args:
        sources: For each box the boxes that lead into it, which come before it.
    """
    boxes = [_Slot(column, _BOX_HEIGHT) for column in _columns(sources)]
    slots = list(boxes)
    ways = _lanes(boxes, sources, slots)
    columns: list[list[_Slot]] = [[] for _ in range(max((slot.column for slot in slots), default=-1) + 1)]
    for slot in slots:
        columns[slot.column].append(slot)
    for column in columns:
        _spread(column, [0.0] * len(column))
    for _ in range(_SWEEPS):
        _sweep(columns)
    top = min((slot.middle - slot.height / 2 for slot in slots), default=0.0)
    bottom = max((slot.middle + slot.height / 2 for slot in slots), default=0.0)

    def place(slot: _Slot) -> Place:
        return Place(slot.column, round(slot.middle - top, 3))

    return Layout(
        [place(box) for box in boxes],
        [[[place(lane) for lane in way] for way in into] for into in ways],
        len(columns),
        round(bottom - top, 3),
    )


def _columns(sources: Sequence[Sequence[int]]) -> list[int]:
    columns: list[int] = []
    taken: Counter[int] = Counter()
    for into in sources:
        column = max((columns[source] + 1 for source in into), default=0)
        while taken[column] >= _MOST_IN_COLUMN:
            column += 1
        taken[column] += 1
        columns.append(column)
    return columns


def _lanes(
    boxes: list[_Slot], sources: Sequence[Sequence[int]], slots: list[_Slot]
) -> list[list[list[_Slot]]]:
    """Connects the boxes, adding lanes to the slots; returns for each line into each box the lanes it passes."""
    ways_out = Counter(source for into in sources for source in into)
    passed = sum(
        boxes[target].column - boxes[source].column - 1
        for target, into in enumerate(sources)
        for source in into
    )
    lanes: dict[tuple[str, int, int], _Slot] = {}
    joined: set[tuple[int, int]] = set()
    ways: list[list[list[_Slot]]] = []
    for target, into in enumerate(sources):
        ways.append([])
        for source in into:
            # Lines share the lane with those that have the busier end in common.
            end, number = ("from", source) if ways_out[source] >= len(into) else ("into", target)
            way: list[_Slot] = []
            first = boxes[source].column + 1
            for column in range(first, boxes[target].column if passed <= _MOST_LANES else first):
                lane = lanes.get((end, number, column))
                if lane is None:
                    lane = lanes[end, number, column] = _Slot(column, _LANE_HEIGHT)
                    slots.append(lane)
                way.append(lane)
            for left, right in pairwise([boxes[source], *way, boxes[target]]):
                if (id(left), id(right)) not in joined:
                    joined.add((id(left), id(right)))
                    left.after.append(right)
                    right.before.append(left)
            ways[-1].append(way)
    return ways


def _sweep(columns: list[list[_Slot]]) -> None:
    """Moves slots towards their neighbours: first from left to right, then back."""
    for column in columns[1:]:
        column.sort(key=lambda slot: (_mean(slot.before, slot), slot.middle))
        _spread(column, [_mean(slot.before, slot) for slot in column])
    for column in reversed(columns[:-1]):
        column.sort(key=lambda slot: (_mean(slot.after, slot), slot.middle))
        _spread(column, [_mean([*slot.before, *slot.after], slot) for slot in column])


def _mean(neighbours: Sequence[_Slot], slot: _Slot) -> float:
    if slot.height < _BOX_HEIGHT:  # a lane goes on where it comes from, whatever else branches off
        neighbours = [neighbour for neighbour in neighbours if neighbour.height < _BOX_HEIGHT] or neighbours
    if not neighbours:
        return slot.middle
    return sum(neighbour.middle for neighbour in neighbours) / len(neighbours)


def _spread(column: Sequence[_Slot], wanted: Iterable[float]) -> None:
    """Puts the slots, in this order, as near to where they are wanted as they fit without overlapping.

    Nearest in the sense of least squares: without the room that each needs, the places must not fall, and where
    they would, neighbours meet at their mean (pool adjacent violators).
    """
    weights = [_LANE_WEIGHT if slot.height < _BOX_HEIGHT else 1.0 for slot in column]
    gaps = [(above.height + below.height) / 2 for above, below in pairwise(column)]
    offsets = list(accumulate(gaps, initial=0.0))
    pools: list[
        tuple[float, float, int]
    ] = []  # the weighted sum of what is wanted in it, the weight, how many
    for want, offset, weight in zip(wanted, offsets, weights, strict=False):
        total, count = (want - offset) * weight, 1
        while pools and pools[-1][0] / pools[-1][1] > total / weight:
            above, above_weight, number = pools.pop()
            total, weight, count = total + above, weight + above_weight, count + number
        pools.append((total, weight, count))
    places = [total / weight for total, weight, count in pools for _ in range(count)]
    for slot, place, offset in zip(column, places, offsets, strict=False):
        slot.middle = place + offset
