"""Markdown as its readers see it: on GitHub, and in a site that MkDocs builds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import markdown
from markdown_it import MarkdownIt

__all__ = ["Rendering", "github", "mkdocs"]

_SILENT = ("p", "li", "td", "th", "br", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "tr", "div")


@dataclass
class Rendering:
    """What a reader gets.

    Attributes:
        text: The words, with one blank between them.
        anchors: What a link within the page can lead to, in order.
        links: What links of the page lead to.
        cells: The text of each cell of a table.
        tags: The kinds of elements.
    """

    text: str = ""
    anchors: list[str] = field(default_factory=list[str])
    links: list[str] = field(default_factory=list[str])
    cells: list[str] = field(default_factory=list[str])
    tags: set[str] = field(default_factory=set[str])


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.read = Rendering()
        self.headings: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.read.tags.add(tag)
        self.read.anchors += [name for name in [values.get("id")] if name]
        self.read.links += [target for target in [values.get("href")] if target]
        self._open.append(tag)
        if tag in ("td", "th"):
            self.read.cells.append("")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append("")
        self.read.text += " " if tag in _SILENT else ""

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        self.read.text += " " if tag in _SILENT else ""

    def handle_data(self, data: str) -> None:
        self.read.text += data
        if {"td", "th"} & set(self._open):
            self.read.cells[-1] += data
        if any(re.fullmatch("h[1-6]", tag) for tag in self._open):
            self.headings[-1] += data


def github(text: str) -> Rendering:
    """Renders as GitHub does, which gives headings their anchors afterwards."""
    reader = _read(MarkdownIt("commonmark").enable("table").render(text))
    seen: dict[str, int] = {}
    for title in reader.headings:
        anchor = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        seen[anchor] = seen.get(anchor, -1) + 1
        reader.read.anchors.append(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
    return reader.read


def mkdocs(text: str) -> Rendering:
    """Renders with the extensions that MkDocs always uses."""
    return _read(markdown.markdown(text, extensions=["toc", "tables", "fenced_code"])).read


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.read.text = " ".join(reader.read.text.split())
    return reader
