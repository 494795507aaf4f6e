"""Takes the pictures of the README and the documentation, from real runs: `make pictures`.

A local server runs the template below. The page is a screenshot in Chromium; the command line is what a terminal
shows after `requence run`.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright
from rich.console import Console
from rich.text import Text

from requence.local import LocalServer, NodeContext, TaskTemplate
from requence.task import Task

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
ORDER = {"order": 4711, "customer": "ACME", "lines": [{"sku": "A-1", "count": 2}, {"sku": "B-7", "count": 1}]}
COMMAND = ["requence", "run", "order-intake", "--input", '{"order": 4711}', "--name", "Order 4711"]
COLUMNS = 104

# What a program writes to draw over what it has drawn: up by some lines, and erase the line.
_CONTROL = re.compile(r"\x1b\[(\d*)A|\x1b\[2K|\x1b\[\?25[lh]|\r|(\n)")
# As Rich frames a terminal, without the font that it would load from elsewhere.
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def order_template(go: threading.Event) -> TaskTemplate:
    """A template with what can be shown: a retry, a way for failures, nodes side by side."""
    order = TaskTemplate("order-intake")
    tries: list[int] = []

    def takes(seconds: float, result: Any) -> Callable[[NodeContext], Any]:
        def handle(ctx: NodeContext) -> Any:
            ctx.terminated.wait(seconds)
            return result

        return handle

    receive = order.node("receive")(lambda ctx: takes(0.4, ctx.input)(ctx))
    stock = order.node("check-stock", after=receive)(takes(0.7, {"A-1": 12, "B-7": 3}))

    @order.node("price", after=receive)
    def price(ctx: NodeContext) -> dict[str, float]:
        tries.append(1)
        ctx.terminated.wait(0.25)
        if len(tries) == 1:
            ctx.retry(400)
        return {"net": 119.0, "gross": 141.61}

    order.node("ask-sales", after=price.on_fail)(takes(1, None))
    archive = order.node("archive", after=receive)(takes(0.9, "2026/4711.json"))

    @order.node("confirm", after=[stock, price])
    def confirm(ctx: NodeContext) -> dict[str, Any]:
        go.wait(30)
        return {"mail": "sent", "gross": ctx.input["price"]["gross"]}

    invoice = order.node("invoice", after=[confirm, archive])(takes(0.3, {"invoice": "R-2026-4711"}))
    order.exit("done", after=[confirm, invoice])
    return order


def take_page(browser: Browser) -> None:
    """The page of a task that runs, light and dark."""
    go = threading.Event()
    with LocalServer(order_template(go)) as server:
        # In a thread of its own, since Playwright runs an event loop in this one.
        with ThreadPoolExecutor(1) as aside:
            url = aside.submit(_started, server).result()
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1120, "height": 840}, color_scheme=scheme)
            page.goto(url)
            _wait_for(page, "running", "confirm")
            _wait_for(page, "done", "archive")
            page.locator("#graph .node", has=page.get_by_text("price", exact=True)).click()
            page.mouse.move(0, 0)
            page.screenshot(path=PICTURES / f"page-{scheme}.png")
            page.close()
        go.set()


def _started(server: LocalServer) -> str:
    return Task("order-intake", ORDER, name="Order 4711", client=server.client).sync.url or ""


def _wait_for(page: Page, state: str, alias: str) -> None:
    expect(page.locator(f"#graph .node.{state}", has=page.get_by_text(alias, exact=True))).to_be_visible()


def take_run() -> None:
    """What `requence run` has left on a terminal when the task has ended."""
    go = threading.Event()
    go.set()
    with LocalServer(order_template(go)) as server:
        screen = _on_terminal({"REQUENCE_ACCESS_TOKEN": server.access_token})
    console = Console(file=io.StringIO(), record=True, width=COLUMNS, color_system="truecolor")
    console.print(Text(f"$ {shlex.join(COMMAND)}", style="bold"))
    console.print(Text.from_ansi(screen))
    picture = _FONTS.sub("", console.export_svg(title="requence run", unique_id="run"))
    (PICTURES / "run.svg").write_text(picture, encoding="utf-8")


def _on_terminal(more: dict[str, str]) -> str:
    """Runs the command on a terminal, and returns what stands there at its end, with its colours."""
    ours, theirs = pty.openpty()
    program = Path(sys.executable).with_name(COMMAND[0])
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": "40", **more}
    child = subprocess.Popen(
        [program, *COMMAND[1:]], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True
    )
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65_536):
            written += piece
    except OSError:  # as Linux tells that the last program has left a terminal
        pass
    finally:
        os.close(ours)
    if child.wait() != 0:
        raise SystemExit(written.decode())
    return last_screen(written.decode())


def last_screen(written: str) -> str:
    """Returns what a terminal shows after a program that draws whole lines over each other has written this."""
    lines, at, done = [""], 0, 0
    for control in _CONTROL.finditer(written):
        lines[at] += written[done : control.start()]
        done = control.end()
        if control[2]:
            at += 1
            if at == len(lines):
                lines.append("")
        elif control[1] is not None:
            at -= int(control[1] or 1)
        elif control[0] == "\x1b[2K":
            lines[at] = ""
    lines[at] += written[done:]
    return "\n".join(lines)


def main() -> int:
    """Takes them all."""
    path = shutil.which("chromium")
    if path is None:
        print("The pictures need Chromium: install Debian's package chromium", file=sys.stderr)
        return 2
    PICTURES.mkdir(exist_ok=True)
    take_run()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        take_page(browser)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
