"""A server that is killed again and again while nodes run, wait, are tried again and have sub tasks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.local.api import Api

KILLS = 4
TASKS = 40

SERVER = """
import json, sys, time
from pathlib import Path
from requence.local import LocalServer, TaskTemplate, any_of

folder = Path(sys.argv[1])
inner, outer = TaskTemplate("inner"), TaskTemplate("outer")

@inner.node
def shaky(ctx):
    mark = folder / f"tried-{ctx.task_id}"
    if not mark.exists():
        mark.touch()
        ctx.retry(100)
    ctx.to_output("odd" if ctx.input % 2 else "even", ctx.input)

inner.exit("odd", after=shaky.output("odd"))
inner.exit("even", after=shaky.output("even"))

@outer.node
def count(ctx):
    for number in range(3):
        time.sleep(0.001)
        yield ctx.input + number

sub = outer.subtask("sub", inner, after=count)

@outer.node(after=any_of(sub.output("odd"), sub.output("even")))
def ask(ctx):
    key = ctx.defer("a person")
    new = folder / f"new-{ctx.task_id}"
    new.write_text(json.dumps([key, ctx.input]))
    new.rename(folder / f"key-{ctx.task_id}")

outer.node("last", after=ask)(lambda ctx: ctx.input)

with LocalServer(inner, outer, db=folder / "t.db", workers=4) as server:
    print(server.access_token, flush=True)
    time.sleep(120)
"""


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    children: list[subprocess.Popen[str]] = []
    script = tmp_path / "server.py"
    script.write_text(SERVER)

    def launched() -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, str(script), str(tmp_path)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield launched
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def answer_all(api: Api, folder: Path, answered: set[str]) -> None:
    """Answers whatever waits for a person: ten times what the node was given."""
    for place in folder.glob("key-*"):
        task_id = place.name.removeprefix("key-")
        if task_id not in answered:
            key, value = httpx.Response(200, content=place.read_bytes()).json()
            answer = api.http.post(f"/act/{key}", json={"result": value * 10}, headers={"Authorization": ""})
            # 404: it was answered before the kill, and only the news of that was lost.
            assert answer.status_code in (200, 404), answer.text
            answered.add(task_id)


def shown(api: Api, task_id: str) -> set[str]:
    """The aliases whose data the task shows."""
    return {entry["alias"] for entry in api.get(task_id)["nodesData"]}


@pytest.mark.timeout(120)
def test_nothing_that_was_acknowledged_is_lost(
    tmp_path: Path, launch: Callable[[], tuple[subprocess.Popen[str], str]]
) -> None:
    rolled = random.Random(5)
    accepted: dict[str, int] = {}
    answered: set[str] = set()
    seen: dict[str, set[str]] = {}
    for _ in range(KILLS):
        child, token = launch()
        killer = threading.Timer(rolled.uniform(0.05, 0.6), os.kill, (child.pid, signal.SIGKILL))
        with Api(token) as api, suppress(httpx.TransportError):  # the kill came between
            killer.start()
            for number in range(TASKS // KILLS):
                accepted[api.start("outer", number)] = number
            while True:
                answer_all(api, tmp_path, answered)
                for task_id in accepted:
                    seen[task_id] = shown(api, task_id)
        assert child.wait(10) == -signal.SIGKILL
    _, token = launch()
    deadline = time.monotonic() + 60
    with Api(token) as api:
        open_tasks = set(accepted)
        while open_tasks and time.monotonic() < deadline:
            answer_all(api, tmp_path, answered)
            open_tasks = {
                task_id for task_id in open_tasks if api.get(task_id)["status"] in ("pending", "running")
            }
        assert open_tasks == set()
        for task_id, number in accepted.items():
            events = list(api.watch(task_id))
            assert events[-1].name == "taskEnd", events[-1]
            assert events[-1].payload["result"] == (number + 2) * 10
            assert [event.position for event in events] == list(range(1, len(events) + 1))
            ends = [event.alias for event in events if event.name == "nodeEnd" and event.alias]
            assert ends == ["count", "sub", "ask", "last"]  # each node has ended once
            # What a client was told before a kill was still so afterwards.
            assert seen.get(task_id, set()) <= shown(api, task_id)
        positions: list[int] = []
        with api.watch_all() as everything:
            ended = 0
            for event in everything:
                positions.append(event.position)
                ended += event.name == "taskEnd" and event.payload["rootTaskId"] is None
                if ended == len(accepted):
                    break
        assert positions == sorted(set(positions))
