"""The page on the command line tells the truth: its commands, options, statuses and lines of JSON."""

from __future__ import annotations

import re

import pytest
from tests.cli.command import lines_of, requence
from tests.conftest import ROOT

from requence.cli.status import STATUSES
from requence.local import LocalServer
from requence.task import Task

PAGE = (ROOT / "docs" / "command-line.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    below = PAGE.partition(f"## {heading}\n")[2]
    lines = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert lines is not None
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in lines[0].splitlines()[2:]]


def test_the_statuses() -> None:
    assert rows("Exit status") == [[str(int(status)), meaning] for status, meaning in STATUSES.items()]


def test_the_commands() -> None:
    listed = re.findall(r"^\| `requence (\w+)", PAGE, re.MULTILINE)
    shown = re.findall(r"^│ (\w+) ", requence("--help").stdout.partition("Commands")[2], re.MULTILINE)
    assert sorted(listed) == sorted(shown)


@pytest.mark.parametrize(
    ("heading", "command"),
    [("Starting a task", "run"), ("All tasks of the token", "watch")],
    ids=["run", "watch"],
)
def test_the_options(heading: str, command: str) -> None:
    listed = {name for row in rows(heading) for name in re.findall(r"`(--[\w-]+)", row[0])}
    shown = set(re.findall(r" (--[\w-]+)", requence(command, "--help").stdout.partition("Options")[2]))
    assert listed == shown - {"--help", "--watch"}


def test_the_lines_of_json(server: LocalServer) -> None:
    listed = {
        row[0].strip("`"): set(re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", row[2])))
        for row in rows("Lines of JSON")
    }
    task_id = Task("endless").sync.id
    commands = [
        *(["get", task_id], ["protect", task_id], ["abort", task_id], ["get", task_id, "--wait"]),
        *(["run", "my-template"], ["run", "no-such-template"], ["doctor"]),
    ]
    found = {
        line.pop("kind"): set(line) for command in commands for line in lines_of(requence(*command, "--json"))
    }
    found["interrupted"] = {"task_id", "task_url"}  # as tests/cli/test_terminal.py sees it
    assert found == listed
