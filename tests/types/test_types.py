"""What type checkers of users find: no fault in what is right, and one in each line that is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

RIGHT, WRONG = "right_uses.py", "wrong_uses.py"
MARK = "  # wrong"

Found = Mapping[str, Mapping[int, str]]
"""What a checker says, by file and line."""


def mypy(folder: Path) -> Found:
    found: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for line in run(folder, "mypy", "--strict", RIGHT, WRONG).splitlines():
        place, error, what = line.partition(": error: ")
        if error:
            file, number = place.split(":")
            found[file][int(number)] = what
    return found


def pyright(folder: Path) -> Found:
    settings = {"include": [RIGHT, WRONG], "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    said = run(folder, "pyright", "--outputjson", f"--pythonpath={sys.executable}")
    report: dict[str, Any] = json.loads(said)
    assert report["summary"]["filesAnalyzed"] == 2, report
    found: defaultdict[str, dict[int, str]] = defaultdict(dict)
    for one in report["generalDiagnostics"]:
        found[Path(one["file"]).name][one["range"]["start"]["line"] + 1] = one["message"]
    return found


def run(folder: Path, module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr  # it worked, and has found something
    return done.stdout


@pytest.fixture(scope="module", params=[mypy, pyright], ids=["mypy", "pyright"])
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What a checker finds where users are: outside of this project, with its strictest settings."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for file in (RIGHT, WRONG):
        shutil.copy(Path(__file__).with_name(file), folder)
    said: Found = request.param(folder)
    return said


@pytest.mark.timeout(180)
def test_what_is_right_has_no_fault(found: Found) -> None:
    assert found.get(RIGHT, {}) == {}


@pytest.mark.timeout(180)
def test_each_wrong_line_is_a_fault_and_no_other(found: Found) -> None:
    lines = enumerate(Path(__file__).with_name(WRONG).read_text("utf-8").splitlines(), 1)
    wrong = {number for number, line in lines if MARK in line}
    faults = found.get(WRONG, {})
    assert wrong - faults.keys() == set(), "a checker has let these lines pass"
    assert {number: faults[number] for number in faults.keys() - wrong} == {}
