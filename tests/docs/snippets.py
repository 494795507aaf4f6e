"""Blocks of code out of Markdown, and running those in Python with names of the test's choice."""

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
from typing import Any, NamedTuple, cast

from markdown_it import MarkdownIt
from tests.conftest import ROOT

__all__ = ["Block", "Snippet", "blocks", "project_files", "python_snippets", "sessions"]

_HEADING = re.compile(r"^##+ (?P<title>.*)$", re.MULTILINE)
_FILE_NAME = re.compile(r"(?:# |<!-- )([\w./-]+\.\w+)(?: -->)?\n")


class Block(NamedTuple):
    """One block of code, wherever it stands: in a list, or in a quotation, too.

    Attributes:
        language: What it is marked with, all of it; None if it is not fenced, but indented only.
        line: Where its text begins, counted from 1.
        text: The text, without the indentation that it has by its place.
    """

    language: str | None
    line: int
    text: str

    @property
    def file_name(self) -> str | None:
        """The name in its first line, if it is a file."""
        found = _FILE_NAME.match(self.text)
        return found[1] if found else None


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


def blocks(markdown: str) -> list[Block]:
    """Returns the blocks of code, in order."""
    found = list[Block]()
    for token in MarkdownIt("commonmark").parse(markdown):
        if token.type in ("fence", "code_block") and token.map is not None:
            fenced = token.type == "fence"
            line = token.map[0] + (2 if fenced else 1)
            found.append(Block(token.info.strip() if fenced else None, line, token.content))
    return found


def python_snippets(file: Path) -> list[Snippet]:
    """Returns the Python blocks of a Markdown file, in order."""
    document = file.read_text("utf-8")
    lines = document.splitlines(keepends=True)
    snippets: list[Snippet] = []
    for block in blocks(document):
        if block.language != "python":
            continue
        headings = [found["title"] for found in _HEADING.finditer("".join(lines[: block.line]))]
        snippets.append(Snippet(file, block.line, headings[-1] if headings else "", block.text))
    return snippets


def project_files(page: Path) -> dict[str, str]:
    """Returns the files that a page shows: each has its name in its first line.

    They are marked as `py` or `html`, since `python` marks what runs by itself.
    """
    found = [block for block in blocks(page.read_text("utf-8")) if block.language in ("py", "html")]
    return {block.file_name: block.text for block in found if block.file_name is not None}


def sessions(page: Path) -> dict[str, str]:
    """Returns the commands that a page shows, each with what it prints."""
    found = [block.text for block in blocks(page.read_text("utf-8")) if block.language == "console"]
    return {text[2:].partition("\n")[0]: text.partition("\n")[2] for text in found if text.startswith("$ ")}
