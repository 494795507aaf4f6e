"""The whole page."""

from __future__ import annotations

import re
from collections.abc import Iterator

from protocol.document import OPERATIONS_OF, SCHEMAS, Contract, Part, checked
from protocol.markdown import code, deeper, heading, link, outside_fences, plain, sections, slug
from protocol.operations import operation_blocks, overview
from protocol.schemas import Shown

__all__ = ["page"]

_DOCUMENT = ("openapi", "info", "servers", "security", "tags", "paths", "components")
_SOURCE = "openapi/requence.yaml"


def page(document: Part) -> str:
    """Returns the page for an OpenAPI document.

    Raises:
        ValueError: The page would not show all of it, or two headings or a link of it would not hold.
    """
    contract = Contract(checked("the contract", document, _DOCUMENT))
    shown = Shown(contract, contract.anchors(), contract.schema_anchors())
    parts = [*_introduction(shown), *_operations(shown), *_schemas(shown)]
    text = "\n\n".join([*_top(contract, "\n\n".join(parts)), *parts]) + "\n"
    _check_anchors(text)
    return text


def _top(contract: Contract, rest: str) -> Iterator[str]:
    chapters = [
        found[1] for found in re.finditer(r"^## (.*)$", outside_fences(rest, str, fenced=""), re.MULTILINE)
    ]
    yield f"<!-- Made from {_SOURCE} by `make regen`: changes belong there. -->"
    yield heading(1, plain(contract.info["title"]))
    yield plain(contract.info.get("summary", ""))
    yield f"This page is the contract, `{_SOURCE}`, version {plain(contract.info['version'])}, for people to read."
    yield "\n".join(f"- {link(title, slug(title))}" for title in chapters)


def _introduction(shown: Shown) -> Iterator[str]:
    yield shown.text(shown.contract.info.get("description"))


def _operations(shown: Shown) -> Iterator[str]:
    contract = shown.contract
    yield heading(2, "Operations")
    yield from (f"The base URL, {code(url)}: {shown.text(text)}" for url, text in _servers(contract))
    yield overview(contract.operations())
    for tag in contract.tags():
        yield heading(2, plain(OPERATIONS_OF + tag["name"]))
        if "description" in tag:
            yield deeper(shown.text(tag["description"]), 2)
        for operation in contract.operations(tag["name"]):
            yield from operation_blocks(shown, operation)


def _servers(contract: Contract) -> Iterator[tuple[str, str]]:
    for server in contract.document.get("servers", []):
        yield server["url"], server.get("description", "")


def _schemas(shown: Shown) -> Iterator[str]:
    events = shown.contract.events()
    if events:
        yield heading(2, "Events")
    for kind, schema in events.items():
        yield heading(3, plain(kind))
        yield f"`{schema}`"
        yield from shown.blocks(schema)
    yield heading(2, SCHEMAS)
    for name in shown.contract.schemas:
        if name not in events.values():
            yield heading(3, plain(name))
            yield from shown.blocks(name)


def _check_anchors(text: str) -> None:
    anchors = [slug(title) for title, _ in sections(text)]
    twice = {anchor for anchor in anchors if anchors.count(anchor) > 1}
    if twice:
        raise ValueError(f"two headings have the same anchor, {', '.join(sorted(twice))}: call one otherwise")
    wanted = set(re.findall(r"\]\(#([^)]*)\)", outside_fences(text, str, fenced="")))
    if lost := wanted - set(anchors):
        raise ValueError(f"there is no heading for {', '.join(sorted(lost))}")
