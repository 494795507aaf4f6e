"""Python blocks out of Markdown, and running them with names of the test's choice."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, cast

from tests.conftest import ROOT

__all__ = ["Snippet", "project_files", "python_snippets", "sessions"]

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^##+ (?P<title>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """One block of Python in a document."""

    file: Path
    line: int
    section: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT).as_posix()}:{self.line}"

    def run(self, **names: Any) -> tuple[dict[str, Any], str]:
        """Runs the text as it stands, at the top level of a module, where `await` is allowed.

        Returns:
            The names as the text left them, and what it printed.
        """
        namespace: dict[str, Any] = {"__name__": "__snippet__", **names}
        # Compiled at its own line of the document, so that a traceback points there.
        source = "\n" * (self.line - 1) + self.text
        code: CodeType = compile(
            source, str(self.file), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(cast("Coroutine[Any, Any, None]", FunctionType(code, namespace)()))
            else:
                exec(code, namespace)
        return namespace, printed.getvalue()


def python_snippets(file: Path) -> list[Snippet]:
    """Returns the Python blocks of a Markdown file, in order."""
    document = file.read_text("utf-8")
    snippets: list[Snippet] = []
    for block in _FENCE.finditer(document):
        if block["language"] != "python":
            continue
        headings = [found["title"] for found in _HEADING.finditer(document, 0, block.start())]
        line = document.count("\n", 0, block.start("text")) + 1
        snippets.append(Snippet(file, line, headings[-1] if headings else "", block["text"]))
    return snippets


def project_files(page: Path) -> dict[str, str]:
    """Returns the files that a page shows: each has its name in its first line.

    They are marked as `py` or `html`, since `python` marks what runs by itself.
    """
    fence = re.compile(r"^```(?:py|html)\n((?:# |<!-- )(\S+).*?\n.*?)^```$", re.MULTILINE | re.DOTALL)
    return {name: text for text, name in fence.findall(page.read_text("utf-8"))}


def sessions(page: Path) -> dict[str, str]:
    """Returns the commands that a page shows, each with what it prints."""
    fence = re.compile(r"^```console\n\$ (.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return dict(fence.findall(page.read_text("utf-8")))
