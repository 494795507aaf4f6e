"""Every Python block of the README and of docs/ runs as it is written."""

from __future__ import annotations

import pytest
from tests.conftest import ROOT
from tests.docs.snippets import Snippet, python_snippets

from requence.local import LocalServer

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = [snippet for document in DOCUMENTS for snippet in python_snippets(document)]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: f"{snippet.file.name}:{snippet.line}")
def test_a_block_runs(snippet: Snippet, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    snippet.run()


def test_the_readme_prints_what_it_promises(server: LocalServer) -> None:
    start, live, errors, own_server = python_snippets(ROOT / "README.md")
    assert start.run()[1] == "HELLO WORLD\n"
    lines = live.run()[1].splitlines()
    assert (lines[0], lines[-2:]) == ("taskStart", ["taskEnd", "HELLO WORLD"])
    assert errors.run()[1] == ""
    assert own_server.run()[1] == "Hello, World!\n"
