"""Where the boxes of a plan stand: whatever the plan, nothing overlaps, and lines go to the right."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from requence.local.page.layout import Place, laid_out

BOX, LANE = 1.0, 0.35


@st.composite
def plans(draw: st.DrawFn) -> list[list[int]]:
    """Any plan: for each box some of those before it."""
    size = draw(st.integers(0, 40))
    return [
        sorted(draw(st.sets(st.integers(0, number - 1), max_size=4))) if number else []
        for number in range(size)
    ]


@given(plans())
def test_nothing_overlaps_and_every_line_goes_to_the_right(sources: list[list[int]]) -> None:
    layout = laid_out(sources)
    assert len(layout.places) == len(layout.ways) == len(sources)
    standing: dict[int, set[tuple[float, float]]] = {}
    for number, (place, into, ways) in enumerate(zip(layout.places, sources, layout.ways, strict=True)):
        standing.setdefault(place.column, set()).add((place.row, BOX))
        assert len(into) == len(ways), number
        for source, way in zip(into, ways, strict=True):
            stations = [layout.places[source], *way, place]
            assert [b.column - a.column for a, b in pairwise(stations)] == [1] * (len(way) + 1)
            for lane in way:
                standing.setdefault(lane.column, set()).add((lane.row, LANE))
    for column, places in standing.items():
        assert 0 <= column < layout.columns
        for (above, height), (below, other) in pairwise(sorted(places)):
            assert below - above >= (height + other) / 2 - 0.002, column
    rows = [(row - height / 2, row + height / 2) for places in standing.values() for row, height in places]
    if rows:
        assert abs(min(low for low, _ in rows)) < 0.002
        assert abs(max(high for _, high in rows) - layout.rows) < 0.002


def test_a_line_of_nodes_is_straight() -> None:
    layout = laid_out([[], [0], [1], [2]])
    assert layout.places == [Place(column, 0.5) for column in range(4)]
    assert (layout.columns, layout.rows) == (4, 1.0)


def test_a_fork_lies_around_where_it_comes_from() -> None:
    layout = laid_out([[], [0], [0], [0], [1, 2, 3]])
    assert [place.row for place in layout.places] == [1.5, 0.5, 1.5, 2.5, 1.5]


def test_a_wide_plan_goes_on_in_further_columns() -> None:
    layout = laid_out([[], *([0] for _ in range(198)), list(range(1, 199))])
    assert layout.columns == 19
    assert layout.rows < 20


def test_lines_of_a_plan_of_thousands_of_boxes_take_no_lanes() -> None:
    # A line of boxes, all of which lead into the last one: each of these lines would pass all columns up to it.
    layout = laid_out([[], *([number] for number in range(999)), list(range(1000))])
    assert (layout.columns, layout.rows) == (1001, 1.0)
    assert not any(way for into in layout.ways for way in into)


def test_there_may_be_nothing() -> None:
    layout = laid_out([])
    assert (layout.places, layout.ways, layout.columns, layout.rows) == ([], [], 0, 0.0)
