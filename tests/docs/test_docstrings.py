"""Every Python block in the docstrings, which the reference shows, runs as it is written."""

from __future__ import annotations

import ast
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import certifi
import pytest
from tests.conftest import ROOT
from tests.docs.snippets import Snippet, blocks

import requence
import requence.files
import requence.local
import requence.task
from requence.local import LocalServer, NodeContext, TaskTemplate
from requence.task import Task
from requence.task.updates import NodeUpdate, TaskEnd

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def snippets(module: Path) -> list[Snippet]:
    """The blocks of a module, each with the name of what it explains."""
    found = list[Snippet]()
    for it in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(it, DOCUMENTED) and (text := ast.get_docstring(it)):
            name = module.stem if isinstance(it, ast.Module) else it.name
            begin = it.body[0].lineno - 1
            found += [Snippet(module, begin + b.line, name, b.text) for b in blocks(text) if b.language]
    return found


# What the command line is made of is no part of the reference.
MODULES = [path for path in (ROOT / "src" / "requence").rglob("*.py") if "cli" not in path.parts]
SNIPPETS = [snippet for module in sorted(MODULES) for snippet in snippets(module)]


def services() -> list[TaskTemplate]:
    """The templates that the examples name."""
    archive, digest = TaskTemplate("archive"), TaskTemplate("digest")

    @archive.node
    def keep(ctx: NodeContext) -> str:
        with ctx.file(ctx.input["table"]) as content:
            return content.read().decode()

    @digest.node
    def cover(ctx: NodeContext) -> Any:
        return ctx.input["report"]

    return [archive, digest]


@pytest.fixture
def names(server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the examples find: what can be imported, and the values that they speak of."""
    monkeypatch.chdir(tmp_path)
    Path("company-ca.pem").write_text(Path(certifi.where()).read_text("utf-8"), "utf-8")
    Path("report.pdf").write_bytes(b"%PDF")
    Path("README.md").write_text("a few words", "utf-8")
    server.serve(*services())
    task = Task("my-template", {"name": "World"})
    words = TaskTemplate("document-digest")
    words.node("words")(lambda ctx: ctx.input)
    *_, update = task.sync.updates
    content = {"invoice": "the reference of a file"}
    public = {**vars(requence.task), **vars(requence.files), **vars(requence.local)}
    return public | {
        "requence": requence,
        "datetime": AMinuteAgo,
        "Path": Path,
        "NodeUpdate": NodeUpdate,
        "TaskEnd": TaskEnd,
        "task": task,
        "task_id": task.sync.id,
        "update": update,
        "inputs": [{"name": "World"}, {"name": "Moon"}],
        "table": ["a,b\n", "1,2\n"],
        "digest": words,
        "ctx": NodeContext(content, open_file=lambda _: Path("report.pdf").open("rb")),
    }


def test_the_examples_are_found() -> None:
    explained = {snippet.section for snippet in SNIPPETS}
    assert {"Client", "Task", "TaskRef", "TaskWatcher", "RequenceFile", "LocalServer"} <= explained


@pytest.mark.filterwarnings(
    "ignore:This blocks the running event loop:RuntimeWarning"
)  # one shows both faces
@pytest.mark.usefixtures("as_at_the_beginning")
@pytest.mark.parametrize(
    "snippet", SNIPPETS, ids=lambda it: f"{it.file.parent.name}/{it.file.stem}-{it.section}"
)
def test_an_example_runs(snippet: Snippet, names: dict[str, Any]) -> None:
    if snippet.section == "TaskWatcher":  # it watches until it is stopped
        names["print"] = stop
        with pytest.raises(StopWatchingError):
            snippet.run(**names)
        return
    snippet.run(**names)
    if snippet.section == "RequenceFile":
        assert Path("cover.png").read_bytes() == b"%PDF"


class StopWatchingError(Exception): ...


def stop(*_: object) -> None:
    raise StopWatchingError


class AMinuteAgo(datetime):
    """A time at which the task of the examples was not started yet."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) - timedelta(minutes=1)
