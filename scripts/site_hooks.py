"""What `mkdocs.yml` cannot say: which files the site has from outside of `docs/`, and how links reach them.

Links are written as they work in the repository. Here those that lead out of `docs/`, or come from outside of it,
are turned into what works in the site; what leads nowhere is left as it is, for MkDocs to complain about.
"""

from __future__ import annotations

import posixpath
import re
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias

ROOT = Path(__file__).resolve().parents[1]

# Files outside of docs/, and where they are in the site.
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "LICENSE.txt",
    "examples/notebook.ipynb": "examples/notebook.ipynb",
    "openapi/requence.yaml": "openapi/requence.yaml",
}

Nav: TypeAlias = "list[str | dict[str, str | Nav]]"

_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
_LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*?\bsrc=[\"']?(?:https?:)?//[^\s\"'>]+"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|icon|modulepreload))[^>]*?\bhref=[\"']?(?:https?:)?//[^\s\"'>]+"
)


class _File(Protocol):
    src_uri: str


class _Page(Protocol):
    file: _File


class _Files(Protocol):
    def append(self, file: Any) -> None: ...


def on_config(config: dict[str, Any]) -> dict[str, Any]:
    """Replaces `folder/*.md` in the navigation with the pages of that folder."""
    config["nav"] = expanded(config["nav"], ROOT / "docs")
    return config


def on_files(files: _Files, config: object) -> _Files:
    """Adds the files outside of `docs/`."""
    # Only where the site is built: type checkers need not have MkDocs.
    make_file = import_module("mkdocs.structure.files").File.generated
    for source, place in OUTSIDE.items():
        files.append(make_file(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: _Page, **_others: object) -> str:
    """Turns links of the repository into links of the site."""
    return with_site_links(markdown, page.file.src_uri)


def on_post_page(output: str, page: _Page, **_others: object) -> str:
    """Refuses a page that would load something from elsewhere."""
    if loaded := loaded_from_elsewhere(output):
        error: Exception = import_module("mkdocs.exceptions").PluginError(
            f"{page.file.src_uri} loads from elsewhere: {', '.join(loaded)}"
        )
        raise error
    return output


def expanded(nav: Nav, folder: Path) -> Nav:
    """Returns a navigation with the pages that `…/*.md` stands for, the README of their folder first."""
    entries: Nav = []
    for entry in nav:
        if not isinstance(entry, str):
            [(title, below)] = entry.items()
            entries.append({title: below if isinstance(below, str) else expanded(below, folder)})
            continue
        found = [entry]
        if entry.endswith("/*.md"):
            found = [path.relative_to(folder).as_posix() for path in folder.glob(entry)]
            found.sort(key=lambda uri: (not uri.endswith("/README.md"), uri))
        entries += found
    return entries


def with_site_links(markdown: str, uri: str) -> str:
    """Returns a page whose links work in the site.

    Args:
        markdown: The page as it is in the repository.
        uri: Where it is in the site.
    """
    source = {place: source for source, place in OUTSIDE.items()}.get(uri, f"docs/{uri}")
    parts = _FENCED.split(markdown)  # text and code in turns
    parts[::2] = [_LINK.sub(lambda link: site_link(link[0], source, uri), text) for text in parts[::2]]
    return "".join(parts)


def site_link(target: str, source: str, uri: str) -> str:
    """Returns what a link's target is in the site.

    Args:
        target: The target as it is in the repository, relative to the page.
        source: The page's path in the repository.
        uri: Where the page is in the site.
    """
    path, mark, anchor = target.partition("#")
    if not path or re.match(r"[a-z]+:|/", path):
        return target
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if (ROOT / wanted / "README.md").is_file():
        wanted = f"{wanted}/README.md"
    if wanted not in OUTSIDE and not wanted.startswith("docs/"):
        return target
    place = OUTSIDE.get(wanted, wanted.removeprefix("docs/"))
    return posixpath.relpath(place, posixpath.dirname(uri) or ".") + mark + anchor


def loaded_from_elsewhere(html: str) -> list[str]:
    """Returns the tags of a page that make a browser load something from another server."""
    return _LOADED.findall(html)
