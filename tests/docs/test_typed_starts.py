"""The page on typed starts tells the truth: its files, its commands, and what they print, from end to end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "typed-starts.md").read_text("utf-8")
FILES = dict(re.findall(r"^```py\n(?:# (\S+)\n)(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
SESSIONS = dict(re.findall(r"^```console\n\$ (.*?)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


GENERATE, CHECK = SESSIONS
PYTHON = ["requence", "local", "templates.py", "--memory", "--", "python", "-c"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the page, each with its name in the first line, and the generated ones."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        (folder / name).write_text(f"# {name}\n{text}", "utf-8")
    assert run(folder, GENERATE.split()) == SESSIONS[GENERATE]
    return folder


def run(folder: Path, command: list[str]) -> str:
    """Runs a command of this environment in a folder; returns what it prints."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, timeout=170
    ).stdout


def told() -> set[int]:
    """The lines of `shop.py` in which the page says that there are errors."""
    return {int(number) for number in re.findall(r"^shop\.py:(\d+): error", SESSIONS[CHECK], re.MULTILINE)}


def test_the_page_tells_of_the_wrong_lines_and_no_others() -> None:
    lines = f"# shop.py\n{FILES['shop.py']}".splitlines()
    assert told() == set(range(lines.index("def wrong() -> None:") + 2, len(lines) + 1))


@pytest.mark.timeout(180)
def test_mypy_prints_what_the_page_says(project: Path) -> None:
    assert run(project, CHECK.split()) == SESSIONS[CHECK]


@pytest.mark.timeout(180)
def test_pyright_finds_the_same_lines(project: Path) -> None:
    printed = run(project, ["pyright", "--outputjson", f"--pythonpath={sys.executable}", "shop.py"])
    found = {one["range"]["start"]["line"] + 1 for one in json.loads(printed)["generalDiagnostics"]}
    assert found == told()


def test_what_is_right_runs(project: Path) -> None:
    assert run(project, [*PYTHON, "import shop; print(shop.price(['paper', 'ink']))"]) == "9.0\n"
