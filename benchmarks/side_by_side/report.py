"""Writes what was measured: a table, with the machine, the versions and the date."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.side_by_side.contenders import PUBLISHED, ROOT
from benchmarks.side_by_side.measuring import Row

__all__ = ["PAGE", "about", "table", "write_into"]

PAGE = ROOT / "docs" / "performance.md"
_BEGIN = "<!-- what is between this line and the next of its kind was written by `make bench` -->"
_END = "<!-- up to here -->"


def about(rounds: int, *, published: bool) -> str:
    """Returns what has to be known of a run to compare it with another."""
    ours = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "httpx", "msgspec"))
    theirs = f"; the published SDK, requence 0.8.2, on Python {_python_of_published()}" if published else ""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {_commit()}: {_processor()}, {os.cpu_count()} processors, "
        f"{platform.system()} {platform.release()}. Ours and the floor on Python {platform.python_version()} with "
        f"{ours}{theirs}. {rounds} rounds, {3 * rounds} for measure 6."
    )


def table(groups: Iterable[tuple[str, Iterable[Row]]]) -> str:
    """Returns the rows of all measures as one table."""
    lines = ["| | median | least to most | to reach | reached |", "|---|--:|--:|--:|---|"]
    for title, rows in groups:
        lines.append(f"| **{title}** | | | | |")
        lines += [
            f"| {row.name} | {row.median} | {row.spread} | {row.goal} | {row.reached} |" for row in rows
        ]
    return "\n".join(lines)


def write_into(page: Path, text: str) -> None:
    """Puts the text between the page's two marks.

    Raises:
        ValueError: The page has no such marks.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the table")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _python_of_published() -> str:
    code = "import platform; print(platform.python_version())"
    done = subprocess.run([PUBLISHED.python, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
