"""Markdown that GitHub and MkDocs read in the same way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import unescape

__all__ = [
    "cell",
    "code",
    "deeper",
    "fence",
    "heading",
    "link",
    "linked",
    "outside_fences",
    "plain",
    "sections",
    "slug",
    "table",
]

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "~": "&#126;", "|": "&#124;"}
_FENCED = re.compile(r"^(```|~~~).*?^\1[ ]*$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) +(.*?)[ #]*$", re.MULTILINE)
_CODE_OR_EMPHASIS = re.compile(
    r"(?P<ticks>`+)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)|\[[^\]]*\]\([^)]*\)|\*\*.+?\*\*|\*(?P<emphasis>[^*]+)\*",
    re.DOTALL,
)


def plain(text: str) -> str:
    """Returns text so that it is shown as it stands, wherever Markdown is read."""
    # MkDocs knows no backslash before some of these: they are entities.
    return re.sub(
        r"[&<>~|\\`*_\[\]#]", lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), " ".join(text.split())
    )


def code(text: str) -> str:
    """Returns text as code in a line. A pipe or a backtick is written as HTML, which holds in tables, too."""
    if "|" in text or "`" in text:
        return f"<code>{plain(text)}</code>"
    return f"`{text}`"


def fence(language: str, text: str) -> str:
    """Returns a block of code."""
    longest = max((len(found) for found in re.findall(r"`{3,}", text)), default=2)
    ticks = "`" * (longest + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def heading(level: int, title: str) -> str:
    """Returns a heading of a title in Markdown."""
    return f"{'#' * level} {title}"


def link(title: str, anchor: str) -> str:
    """Returns a link within the page."""
    return f"[{title}](#{anchor})"


def cell(text: str) -> str:
    """Returns Markdown of one or more paragraphs as the content of one cell of a table.

    Raises:
        ValueError: It has what a cell cannot hold: a list, a table, a heading or a block of code.
    """
    if re.search(r"^[ \t]*([-*+] |\d+[.)] |\||#+ |```|~~~)", text, re.MULTILINE):
        raise ValueError(f"a table has no place for anything but paragraphs: {text.strip()!r}")
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n[ \t]*\n", text.strip())]
    return _outside_code("<br><br>".join(paragraphs), lambda part: re.sub(r"\\?\|", "&#124;", part))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table of cells in Markdown; a column that is empty in all rows is left out."""
    filled = list(rows)
    used = [index for index in range(len(head)) if any(row[index] for row in filled)]
    lines = [[head[index] for index in used], ["---"] * len(used)]
    lines += [[row[index] for index in used] for row in filled]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def slug(title: str) -> str:
    """Returns the anchor of a heading.

    Raises:
        ValueError: GitHub and MkDocs would not make the same of it.
    """
    text = unescape(re.sub(r"\\(.)|`", r"\1", title))
    github = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    mkdocs = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())
    if not github or github != mkdocs:
        raise ValueError(
            f"the heading {title!r} has no anchor that holds on GitHub and in MkDocs: call it otherwise"
        )
    return github


def deeper(text: str, levels: int) -> str:
    """Returns Markdown with its headings so many levels further down."""
    return outside_fences(text, lambda part: _HEADING.sub(lambda found: f"{'#' * levels}{found[0]}", part))


def sections(text: str) -> list[tuple[str, str]]:
    """Returns the headings in Markdown, each with the text up to the next one."""
    titles: list[tuple[str, str]] = []
    fenceless = outside_fences(text, lambda part: part, fenced="")
    found = list(_HEADING.finditer(fenceless))
    for index, match in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(fenceless)
        titles.append((match[2], fenceless[match.end() : end]))
    return titles


def linked(text: str, anchors: Mapping[str, str]) -> str:
    """Returns Markdown in which words that name a place of the page lead there.

    Args:
        text: The Markdown.
        anchors: The anchor for each name; those in backticks are for code, the others for emphasized words.
    """

    def replaced(found: re.Match[str]) -> str:
        name = f"`{found['code']}`" if found["code"] else " ".join((found["emphasis"] or "").split()).lower()
        return link(found[0], anchors[name]) if name in anchors else found[0]

    return outside_fences(text, lambda part: _CODE_OR_EMPHASIS.sub(replaced, part))


def outside_fences(text: str, change: Callable[[str], str], *, fenced: str | None = None) -> str:
    """Returns Markdown with its text changed, and its blocks of code as they are, or replaced by `fenced`."""
    parts: list[str] = []
    end = 0
    for found in _FENCED.finditer(text):
        parts += [change(text[end : found.start()]), found[0] if fenced is None else fenced]
        end = found.end()
    return "".join([*parts, change(text[end:])])


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts: list[str] = []
    end = 0
    for found in re.finditer(r"(`+)(.+?)(?<!`)\1(?!`)", text):
        parts += [change(text[end : found.start()]), code(found[2].strip()) if "|" in found[2] else found[0]]
        end = found.end()
    return "".join([*parts, change(text[end:])])
