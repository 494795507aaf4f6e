"""A real browser that opens the pages of a real server."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.local.api import Api

from requence.local import LocalServer, NodeContext

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = [
    "--no-sandbox",  # root has none, as in most containers; only our own pages are opened
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

Open = Callable[..., Page]
Served = Callable[..., tuple[LocalServer, Api]]

expect.set_options(timeout=20_000)  # the machine may be busy


# Not for the whole session: while it is there, an event loop runs in this thread, and later tests have theirs.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        text = "the pages need Chromium: install Debian's package chromium"
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(text)
        pytest.skip(text)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Opens pages, each as a new visitor; fails if one of them reports an error or asks anybody else."""
    problems: list[str] = []
    with ExitStack() as stack:

        def opened(url: str, **options: Any) -> Page:
            context = chromium.new_context(locale="en-GB", **options)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(20_000)
            host = urlsplit(url).netloc
            page.on("pageerror", lambda error: problems.append(f"error: {error}"))
            page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
            page.on("console", lambda message: _note(problems, message.type, message.text))
            page.on("request", lambda request: _note_request(problems, host, request.url))
            page.goto(url)
            return page

        yield opened
    assert problems == []


def _note(problems: list[str], kind: str, text: str) -> None:
    # A server that is away is told by the browser itself; the page copes with it, which its own tests show.
    if kind in ("error", "warning") and "net::ERR_" not in text and "Failed to load resource" not in text:
        problems.append(f"{kind}: {text}")


def _note_request(problems: list[str], host: str, url: str) -> None:
    if urlsplit(url).netloc != host:
        problems.append(f"request to {url}")


@pytest.fixture
def served() -> Iterator[Served]:
    """Starts servers with these templates, and stops them after the test; gives a client for each, too."""
    with ExitStack() as stack:

        def serve(*templates: Any, **options: Any) -> tuple[LocalServer, Api]:
            server = stack.enter_context(LocalServer(*templates, **options))
            return server, stack.enter_context(Api(server.access_token))

        yield serve


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


class Gates:
    """Handlers that end when the test says so."""

    def __init__(self) -> None:
        self._gates: dict[str, threading.Event] = {}

    def handler(self, name: str, result: Any = None) -> Callable[[NodeContext], Any]:
        gate = self._gates[name] = threading.Event()

        def handle(ctx: NodeContext) -> Any:
            while not (gate.wait(0.05) or ctx.terminated.is_set()):
                pass
            return result

        return handle

    def open(self, name: str) -> None:
        self._gates[name].set()


@pytest.fixture
def gates() -> Gates:
    return Gates()
