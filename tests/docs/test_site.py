"""The site that `make docs` makes has every page and every public name, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from tests.conftest import ROOT
from tests.contract.renderings import github, mkdocs

Nav: TypeAlias = "str | list[Nav] | dict[str, Nav]"

DOCS = ROOT / "docs"
HOOKS: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "site_hooks.py"))
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *(ROOT / name for name in ["README.md", *HOOKS["OUTSIDE"]] if name.endswith(".md")),
]
NAMES = re.split(r"^## `(.*)`$", (DOCS / "names.md").read_text("utf-8"), flags=re.MULTILINE)[1:]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def named(nav: Nav) -> Iterator[str]:
    """The pages in a navigation: a page, a list, or what stands below a title."""
    if isinstance(nav, str):
        yield nav
        return
    for below in nav.values() if isinstance(nav, dict) else nav:
        yield from named(below)


def test_the_navigation_names_every_page_once() -> None:
    pages = list(named(HOOKS["expanded"](CONFIG["nav"], DOCS)))
    made = [place for place in HOOKS["OUTSIDE"].values() if place.endswith(".md")]
    assert sorted(pages) == sorted(
        [*(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")), *made]
    )
    assert pages[0] == "index.md"
    decisions = [page for page in pages if page.startswith("decisions/")]
    assert decisions == sorted(decisions, key=lambda page: (page != "decisions/README.md", page))


@pytest.mark.parametrize(("module", "rows"), list(zip(NAMES[::2], NAMES[1::2], strict=True)), ids=NAMES[::2])
def test_the_reference_has_each_public_name(module: str, rows: str) -> None:
    """In a directive of its own, as a link to where it is documented, or by its full name in the text."""
    reference = "\n".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    for public in re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE):
        full, there = re.escape(f"{module}.{public}"), re.escape(f"requence.exceptions.{public}")
        known = rf"^::: {full}$|`{full}`|\[`{public}`\]\[{there}\]"
        assert re.search(known, reference, re.MULTILINE), f"{module}.{public}"


def test_the_reference_has_what_pytest_is_given() -> None:
    page = (DOCS / "reference" / "testing.md").read_text("utf-8")
    for kind, public in re.findall(r"^\| (fixture|marker) `(\w+)` \|", NAMES[-1], re.MULTILINE):
        wanted = f"::: requence.testing.plugin.{public}\n" if kind == "fixture" else f"`{public}`"
        assert wanted in page


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_is_the_same_on_github_and_in_the_site(page: Path) -> None:
    text = page.read_text("utf-8")
    one, other = github(text), mkdocs(text)
    assert (one.text, one.cells, one.tags) == (other.text, other.cells, other.tags)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_links_of_a_page_lead_to_files_of_the_repository(page: Path) -> None:
    """And where they are in the site is what `make docs` checks, with their anchors."""
    for link in github(page.read_text("utf-8")).links:
        target = link.partition("#")[0]
        if target and not link.startswith(("http:", "https:")):
            assert (page.parent / target).exists(), link


@pytest.mark.parametrize(
    ("target", "source", "uri", "becomes"),
    [
        ("files.md#sending", "docs/starting.md", "starting.md", "files.md#sending"),
        ("../testing.md", "docs/recipes/cron.md", "recipes/cron.md", "../testing.md"),
        ("../CHANGELOG.md", "docs/index.md", "index.md", "changelog.md"),
        (
            "../../CONTRIBUTING.md#set-up",
            "docs/recipes/cron.md",
            "recipes/cron.md",
            "../contributing.md#set-up",
        ),
        ("docs/files.md", "CHANGELOG.md", "changelog.md", "files.md"),
        ("docs/decisions", "CONTRIBUTING.md", "contributing.md", "decisions/README.md"),
        ("openapi/requence.yaml", "CONTRIBUTING.md", "contributing.md", "openapi/requence.yaml"),
        ("#here", "CHANGELOG.md", "changelog.md", "#here"),
        (
            "https://a.example/docs/files.md",
            "CHANGELOG.md",
            "changelog.md",
            "https://a.example/docs/files.md",
        ),
        ("src/requence/_client.py", "CHANGELOG.md", "changelog.md", "src/requence/_client.py"),
    ],
)
def test_a_link_of_the_repository_becomes_one_of_the_site(
    target: str, source: str, uri: str, becomes: str
) -> None:
    assert HOOKS["site_link"](target, source, uri) == becomes
    text = f"See [it]({target}).\n\n```md\n[it](docs/files.md)\n```\n"
    assert HOOKS["with_site_links"](text, uri) == text.replace(f"({target})", f"({becomes})", 1)


def test_a_page_that_loads_something_from_elsewhere_is_found() -> None:
    kept = '<a href="https://a.example"><img src="x.png"><link rel="canonical" href="https://a.example">'
    loaded = [
        '<script src="https://a.example/x.js"></script>',
        "<img alt=x src=//a.example/x.png>",
        '<link href="https://fonts.example/x" rel="stylesheet">',
        '<link rel="preconnect" href="https://fonts.example">',
    ]
    assert HOOKS["loaded_from_elsewhere"](kept) == []
    assert len(HOOKS["loaded_from_elsewhere"](kept + "".join(loaded))) == len(loaded)


def test_the_style_of_the_site_loads_nothing() -> None:
    for style in CONFIG["extra_css"]:
        assert not re.search(r"@import|url\(", (DOCS / style).read_text("utf-8"))
