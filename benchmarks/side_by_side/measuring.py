"""What a measurement is: programs that run in turns, and figures that are taken of each round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.side_by_side.contenders import Contender, Service

__all__ = ["Entry", "Figure", "Measure", "Round", "Row", "of", "rate", "ratio", "rows"]

Round = Mapping[str, Mapping[str, float]]
"""What each program has said in one round, by the name of its entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A program that takes part.

    Attributes:
        name: In the figures of its measure.
        contender: Whose environment it runs in.
        program: Module and arguments.
        amount: How much is done in one run: tasks, updates.
    """

    name: str
    contender: Contender
    program: tuple[str, ...]
    amount: int = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """What is told of a measurement.

    Attributes:
        name: What it is.
        of: Takes it from one round.
        text: How it is written.
        at_least: What it is to reach; None if more is not better.
        at_most: What it is to stay under; None if less is not better.
    """

    name: str
    of: Callable[[Round], float]
    text: str = "{:,.0f}"
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """Programs that are compared with each other, and what is told of that."""

    title: str
    entries: tuple[Entry, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; what is said in words is empty where there is nothing to say."""

    name: str
    median: str
    spread: str = ""
    goal: str = ""
    reached: str = ""


def of(entry: str, what: str, scale: float = 1.0) -> Callable[[Round], float]:
    """Returns what takes a figure that a program has said."""
    return lambda found: found[entry][what] * scale


def rate(entry: Entry) -> Callable[[Round], float]:
    """Returns what takes how much a program has done each second."""
    return lambda found: entry.amount / found[entry.name]["seconds"]


def ratio(one: Callable[[Round], float], other: Callable[[Round], float]) -> Callable[[Round], float]:
    """Returns what divides two figures of the same round."""
    return lambda found: one(found) / other(found)


def take(measure: Measure, service: Service, rounds: int, *, published: bool) -> Iterator[Round]:
    """Runs the programs of a measure in turns, each round beginning with another one."""
    entries = [entry for entry in measure.entries if published or not entry.contender.is_published]
    for turn in range(rounds):
        at = turn % len(entries)
        yield {
            entry.name: service.run(entry.contender, *entry.program)
            for entry in (*entries[at:], *entries[:at])
        }


def rows(measure: Measure, service: Service, rounds: int, *, published: bool) -> Iterator[Row]:
    """Takes a measurement and yields a row for each of its figures, but for those of what was left out."""
    found = list(take(measure, service, rounds, published=published))
    for figure in measure.figures:
        try:
            values = [figure.of(one) for one in found]
        except KeyError:
            if published:
                raise
            continue
        yield _row(figure, values)


def _row(figure: Figure, values: list[float]) -> Row:
    median = statistics.median(values)
    goal = reached = ""
    if figure.at_least is not None:
        goal, reached = f"≥ {figure.at_least:g}", _yes(median >= figure.at_least)
    if figure.at_most is not None:
        goal, reached = f"≤ {figure.at_most:g}", _yes(median <= figure.at_most)
    least, most = figure.text.format(min(values)), figure.text.format(max(values))
    return Row(figure.name, figure.text.format(median), f"{least} to {most}", goal, reached)


def _yes(value: bool) -> str:
    return "yes" if value else "**no**"
