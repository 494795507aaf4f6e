"""The benchmarks run from end to end, at sizes of which the figures say nothing: none is held against a goal."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.side_by_side.__main__ import compare
from benchmarks.side_by_side.measures import Sizes
from benchmarks.side_by_side.report import PAGE, about, table, write_into

TINY = Sizes(rounds=1, starts=20, updates=100, text=2**16, streams=5, shared=20, seconds=2)


@pytest.mark.timeout(180)
def test_all_measures_run_without_the_published_sdk(tmp_path: Path) -> None:
    groups = compare(TINY, published=False)
    assert [title[0] for title, _ in groups] == ["1", "1", "2", "3", "4", "5", "5", "6", "7"]
    assert all(rows for _, rows in groups)
    written = table(groups)
    assert "| ours ÷ bare aiohttp, both in asyncio |" in written
    assert "published" not in written
    page = tmp_path / "performance.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    for _ in range(2):  # what is there already is replaced
        write_into(page, f"{about(1, published=False)}\n\n{written}")
    assert page.read_text(encoding="utf-8").count("| **2. ") == 1


def test_a_page_without_a_place_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        write_into(page, "a table")
