"""Every Python block of the README and of docs/, in all its folders, runs as it is written."""

from __future__ import annotations

import ast
import dataclasses

import pytest
from tests.conftest import ROOT
from tests.docs.snippets import Snippet, project_files, python_snippets

from requence import Client
from requence._settings import SETTINGS
from requence.local import LocalServer

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPETS = [snippet for document in DOCUMENTS for snippet in python_snippets(document)]


@pytest.mark.usefixtures("as_at_the_beginning")
@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_a_block_runs(snippet: Snippet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    snippet.run()


def test_the_files_of_all_pages_are_run_by_a_test() -> None:
    """Those marked as `py` do not run by themselves; each of these pages has a test in this folder."""
    with_files = [document for document in DOCUMENTS if project_files(document)]
    assert [document.relative_to(ROOT / "docs").as_posix() for document in with_files] == [
        "quickstart.md",
        "recipes/batch.md",
        "recipes/browser.md",
        "recipes/cron.md",
        "testing.md",
        "typed-starts.md",
    ]


def test_the_readme_prints_what_it_promises(server: LocalServer) -> None:
    start, live, errors, own_server = python_snippets(ROOT / "README.md")
    assert start.run()[1] == "HELLO WORLD\n"
    lines = live.run()[1].splitlines()
    assert (lines[0], lines[-2:]) == ("taskStart", ["taskEnd", "HELLO WORLD"])
    assert errors.run()[1] == ""
    assert own_server.run()[1] == "Hello, World!\n"


def test_the_table_of_settings_has_each_with_its_variable_and_default() -> None:
    lines = (ROOT / "docs" / "configuration.md").read_text("utf-8").splitlines()
    rows = {
        cells[1]: cells for line in lines if len(cells := [cell.strip() for cell in line.split("|")]) == 7
    }
    for field in dataclasses.fields(Client):
        _, _, variable, default, *_ = rows.pop(f"`{field.name}`")
        if field.name in SETTINGS:
            assert variable == f"`{SETTINGS[field.name].variable}`"
            said = ast.literal_eval(default.partition(" ")[0].strip("`"))
            assert (said, type(said) is bool) == (SETTINGS[field.name].default, field.name == "shared_stream")
    assert set(rows) == {"argument", "---"}
