"""What the tests of the pages read from a page."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from playwright.sync_api import Locator, Page, expect
from tests.local.api import Api

__all__ = ["be_seen", "begin", "box", "expect_state", "states", "update_list"]


def begin(api: Api, template: str, input_value: object = None, **more: Any) -> tuple[str, str]:
    """Starts a task; returns its id and the URL of its page."""
    task_id = api.prepare(quote(template, safe=""))
    return task_id, api.finalize(task_id, input_value, **more).json()["urls"]["show"]


def box(page: Page, alias: str) -> Locator:
    """The box of a node in the graph."""
    return page.locator("#graph .node", has=page.locator(".node-name").get_by_text(alias, exact=True))


def states(page: Page) -> dict[str, str]:
    """The state of each node, as its colour tells it, by the name that is written on it."""
    found: dict[str, str] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("#graph .node")].map(
            (node) => [node.querySelector(".node-name").textContent, node.getAttribute("class").split(" ")[2]]
        ))"""
    )
    return found


def expect_state(page: Page, alias: str, state: str) -> None:
    """Waits until a node is in this state."""
    expect(page.locator(f"#graph .node.{state} .node-name").get_by_text(alias, exact=True)).to_be_visible()


def be_seen(page: Page, seen: bool) -> None:
    """Tells a page that it is seen, or that its tab is not the one that is; here every page has a window."""
    page.evaluate(
        """(seen) => {
            Object.defineProperty(document, "hidden", {get: () => !seen, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        seen,
    )


def update_list(page: Page) -> list[str]:
    """The updates that are shown, as "position type alias"."""
    rows: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("#updates li:not([hidden])")].map((row) =>
            [".position", ".type", ".alias"].map((part) => row.querySelector(part).textContent)
                .join(" ").trim())"""
    )
    return rows
