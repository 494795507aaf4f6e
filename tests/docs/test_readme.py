"""Every Python block of the README and of docs/, in all its folders, runs as it is written."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.docs.snippets import Snippet, blocks, project_files, python_snippets

from requence import Client
from requence._settings import SETTINGS
from requence.local import LocalServer

DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
SNIPPETS = [snippet for document in DOCUMENTS for snippet in python_snippets(document)]

# What a page may quote of the notebook, which has a test of its own.
NOTEBOOK = json.loads((ROOT / "examples" / "notebook.ipynb").read_text("utf-8"))
CELLS = {"".join(cell["source"]).strip() for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"}

MARKS = {"python", "py", "html", "console", "http", "json", "yaml"}
LIKE_PYTHON = re.compile(
    r"^\s*(?:from|import|def|class|async|await|with|for) \w.*[\w:]$|\bTask\(", re.MULTILINE
)


def name(document: Path) -> str:
    """The path of a page in docs/; README.md has none."""
    return document.relative_to(DOCS).as_posix() if DOCS in document.parents else document.name


@pytest.mark.usefixtures("as_at_the_beginning")
@pytest.mark.parametrize("snippet", SNIPPETS, ids=str)
def test_a_block_runs(snippet: Snippet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    snippet.run()


def test_the_files_of_all_pages_are_run_by_a_test() -> None:
    """Those marked as `py` do not run by themselves; each of these files is in a test in this folder."""
    files = {name(page): list(project_files(page)) for page in DOCUMENTS}
    assert {page: names for page, names in files.items() if names} == {
        "quickstart.md": ["templates.py", "hello.py", "test_hello.py"],
        "recipes/batch.md": ["batch.py", "make_lines.py"],
        "recipes/browser.md": ["relay.py", "page.html"],
        "recipes/cron.md": ["nightly.py"],
        "testing.md": ["billing.py", "test_billing.py", "conftest.py", "templates.py", "test_templates.py"],
        "typed-starts.md": ["templates.py", "shop.py"],
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_no_block_hides_from_the_tests(document: Path) -> None:
    """By another mark for Python or by none, by being indented only, or as a file without a name."""
    for block in blocks(document.read_text("utf-8")):
        where = f"{name(document)}:{block.line}"
        assert block.language in {*MARKS, "", None}, where
        assert block.language or not LIKE_PYTHON.search(block.text), where
        if block.language in ("py", "html"):
            assert block.file_name or block.text.strip() in CELLS, where


def test_the_readme_prints_what_it_promises(server: LocalServer) -> None:
    start, live, own_server = python_snippets(ROOT / "README.md")
    assert start.run()[1] == "HELLO WORLD\n"
    lines = live.run()[1].splitlines()
    assert (lines[0], lines[-2:]) == ("taskStart", ["taskEnd", "HELLO WORLD"])
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
