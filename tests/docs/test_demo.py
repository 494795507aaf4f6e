"""What a newcomer does first: `make demo`, then `make local` to open the page that it printed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.conftest import ROOT

PAGE_URL = re.compile(r"^http://127\.0\.0\.1:\d+/tasks/\S+$", re.MULTILINE)


def make(target: str, database: Path, *variables: str) -> list[str]:
    """Returns the command for a make target that uses this environment as it is, and a database of the test's."""
    environment = sys.prefix
    return [
        "make",
        "--silent",
        f"--old-file={environment}/.package",
        target,
        f"VENV={environment}",
        f"DEMO_DB={database}",
        *variables,
    ]


@pytest.fixture
def demo(tmp_path: Path) -> tuple[Path, str]:
    """Runs the demo on its default document; returns its database and what it printed."""
    database = tmp_path / "with a space" / "demo.db"
    done = subprocess.run(
        make("demo", database), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return database, done.stdout


def test_the_demo_shows_updates_a_result_and_how_to_keep_looking(demo: tuple[Path, str]) -> None:
    _, printed = demo
    kinds = re.findall(r"^ +\d+  (\w+)", printed, re.MULTILINE)
    assert kinds[0] == "taskStart"
    assert kinds[-1] == "taskEnd"
    assert kinds.count("nodeEnd") == 5
    words = int(re.findall(r"(\d+) words", printed)[0])
    assert words > 100  # of the real README
    assert PAGE_URL.search(printed)
    assert "make local" in printed.splitlines()[-1]


def test_the_printed_url_opens_after_make_local(demo: tuple[Path, str]) -> None:
    database, printed = demo
    url = PAGE_URL.findall(printed)[-1]
    server = subprocess.Popen(
        make("local", database),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        page = fetch(url, server)
        told = json.loads(fetch(url.replace("/tasks/", "/page/tasks/"), server))
        updates = fetch(url.replace("/tasks/", "/page/tasks/").replace("?", "/updates?"), server)
    finally:
        os.killpg(server.pid, signal.SIGINT)  # as Ctrl-C does: to make and what it runs
        server.wait(timeout=15)
    assert "<title>Task</title>" in page
    assert (told["template"], told["status"]) == ("document-digest", "successful")
    assert [node["key"] for node in told["graph"]["nodes"]] == [
        "read",
        "words",
        "links",
        "headings",
        "report",
    ]
    assert updates.count("event: nodeEnd") == 5


def test_another_document(tmp_path: Path) -> None:
    document = tmp_path / "it's some notes.md"
    document.write_text("# Only these\n\nfour words here\n", "utf-8")
    done = subprocess.run(
        make("demo", tmp_path / "demo.db", f"DOC={document}"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "\n  5 words" in done.stdout


def test_a_document_that_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        make("demo", tmp_path / "demo.db", f"DOC={tmp_path / 'missing.md'}"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "There is no file" in done.stderr
    assert "missing.md" in done.stderr


def fetch(url: str, server: subprocess.Popen[bytes]) -> str:
    """Fetches a page as soon as the server listens."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                text: str = answer.read().decode()
                return text
        except urllib.error.URLError:
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.05)
