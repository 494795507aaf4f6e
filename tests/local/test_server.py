"""`LocalServer` as a guest in somebody's program: starting, stopping, and leaving nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.local.api import Api, Connect

import requence
from requence._client import default_client
from requence.exceptions import ConfigurationError, UsageError
from requence.local import LocalServer, NodeContext, TaskTemplate


def template(name: str = "t") -> TaskTemplate:
    made = TaskTemplate(name)
    made.node("n")(lambda ctx: ctx.input)
    return made


def own_threads() -> list[str]:
    """The threads of servers that the test itself has started."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("requence-local") and thread not in _before
    ]


_before: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _note_threads() -> None:
    """Other tests share a server that may run beside these."""
    _before.clear()
    _before.update(threading.enumerate())


def open_files() -> Counter[str]:
    """What this process has open, by its name in the system.

    A number would not do: an idle connection of other tests may close meanwhile and hide what was left open.
    """
    gc.collect()
    names: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing itself
            names[os.readlink(f"/proc/self/fd/{number}")] += 1
    return names


def test_the_token_is_nowhere_to_be_seen() -> None:
    with LocalServer(template()) as server:
        assert server.url in repr(server)
        assert server.access_token not in repr(server)
        assert server.access_token not in repr(server.client)
        assert isinstance(server.client, requence.Client)
        assert server.client.access_token == server.access_token


def test_use_makes_it_the_default_client_and_nothing_else() -> None:
    before, environment = default_client(), dict(os.environ)
    with LocalServer(template()) as server:
        with server.use():
            assert default_client().access_token == server.access_token
            assert dict(os.environ) == environment
        assert default_client() == before


@pytest.mark.parametrize("name", ["url", "access_token", "client", "page_url"])
def test_before_it_runs_there_is_nothing_to_ask(name: str) -> None:
    server = LocalServer(template())
    with pytest.raises(UsageError, match="with server"):
        getattr(server, name)
    with pytest.raises(UsageError):
        server.use()
    with server, pytest.raises(UsageError, match="already"):
        server.__enter__()
    with pytest.raises(UsageError):
        getattr(server, name)


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((template(), template()), {}, '"t"'),
        ((TaskTemplate("empty"),), {}, '"empty" has no nodes'),
        (("t",), {}, "str"),
        ((template(),), {"workers": 0}, "workers"),
        ((template(),), {"port": 70_000}, "port"),
        ((template(),), {"port": True}, "port"),
        ((template(),), {"max_payload_size": -1}, "max_payload_size"),
        ((template(),), {"retention": 7}, "retention"),
        ((template(),), {"retention": timedelta(seconds=-1)}, "retention"),
        ((template(),), {"retention": timedelta.max}, "retention"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments: Any, options: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        LocalServer(*arguments, **options)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_it_does_not_listen_for_the_network(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"host must be|this machine only"):
        LocalServer(template(), host=host).__enter__()
    assert own_threads() == []


def test_a_taken_port_is_told_to_the_caller() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=str(port)):
            LocalServer(template(), port=port).__enter__()
    assert own_threads() == []
    with LocalServer(template(), port=port, host="localhost") as server:
        assert server.url == f"http://localhost:{port}"


async def test_it_works_inside_asyncio() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with LocalServer(template()) as server:
        with Api(server.access_token) as api:
            events = await asyncio.to_thread(api.run, "t", 7)
        assert events[-1].payload["result"] == 7
    assert ticks > 0
    ticking.cancel()
    assert own_threads() == []


async def test_a_cancelled_start_leaves_nothing() -> None:
    async def start() -> None:
        async with LocalServer(template()):
            raise AssertionError("must not get here")

    starting = asyncio.create_task(start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert own_threads() == []


def test_it_stops_at_once_with_open_streams_and_running_handlers(connect: Connect) -> None:
    busy = TaskTemplate("busy")
    running = threading.Semaphore(0)
    told: list[str] = []

    @busy.node
    def thread(ctx: NodeContext) -> None:
        running.release()
        ctx.terminated.wait(30)
        told.append("thread")

    @busy.node
    async def coroutine(ctx: NodeContext) -> None:
        running.release()
        try:
            await asyncio.sleep(30)
        finally:
            told.append("coroutine")

    with LocalServer(busy) as warm_up, Api(warm_up.access_token) as api:
        api.prepare("busy")
    files = open_files()
    server = LocalServer(busy)
    with server, Api(server.access_token) as api:
        streams = [api.watch(api.start("busy")) for _ in range(2)]
        for stream in streams:
            assert next(stream).name == "taskStart"
        for _ in range(4):
            assert running.acquire(timeout=10)
        begun = time.monotonic()
        server.__exit__(None, None, None)
        assert time.monotonic() - begun < 1
        assert sorted(told) == ["coroutine", "coroutine", "thread", "thread"]
        for stream in streams:  # cut, without a terminal event
            assert [event.name for event in stream] == ["nodeStart", "nodeStart"]
    assert own_threads() == []
    assert open_files() - files == Counter()


def test_a_reader_that_does_not_read_cannot_keep_it_from_stopping() -> None:
    large = TaskTemplate("large")
    large.node("n")(lambda ctx: "x" * 2**26)
    server = LocalServer(large)
    with server, Api(server.access_token) as api:
        task_id = api.start("large")
        with api.http.stream("POST", f"/task/watch/{task_id}", json={"since": None}) as answer:
            next(answer.iter_raw(100))
            begun = time.monotonic()
            server.__exit__(None, None, None)
            assert time.monotonic() - begun < 4
    for thread in threading.enumerate():
        if thread.name == "requence-local-node-n":
            thread.join(10)  # on a busy machine it still writes 64 MiB as JSON
    assert own_threads() == []


def test_a_handler_that_does_not_listen_is_named_and_left(caplog: pytest.LogCaptureFixture) -> None:
    deaf = TaskTemplate("deaf")
    started, go = threading.Event(), threading.Event()

    @deaf.node("stubborn")
    def wait(ctx: NodeContext) -> None:
        started.set()
        go.wait(30)

    with LocalServer(deaf) as server, Api(server.access_token) as api:
        api.start("deaf")
        assert started.wait(10)
        begun = time.monotonic()
    assert time.monotonic() - begun < 4
    assert any("stubborn" in record.message for record in caplog.records)
    go.set()
    [left] = [thread for thread in threading.enumerate() if "stubborn" in thread.name]
    left.join(10)
    assert own_threads() == []


def test_many_servers_one_after_the_other_leave_nothing() -> None:
    with LocalServer(template()):
        pass
    files = open_files()
    for _ in range(20):
        with LocalServer(template()) as server, Api(server.access_token) as api:
            assert api.run("t", 1)[-1].payload["result"] == 1
    assert own_threads() == []
    assert open_files() - files == Counter()


def test_the_program_s_logging_stays_as_it_is() -> None:
    before = {name: logging.getLogger(name).level for name in ("uvicorn", "uvicorn.error", "uvicorn.access")}
    with LocalServer(template()):
        for name, level in before.items():
            assert logging.getLogger(name).level == level
            assert logging.getLogger(name).handlers == []


def test_a_script_with_a_deaf_handler_can_still_end(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import threading, time\n"
        "from requence.local import LocalServer, TaskTemplate\n"
        "t = TaskTemplate('t')\n"
        "t.node('n')(lambda ctx: time.sleep(60))\n"
        "server = LocalServer(t)\n"
        "server.__enter__()\n"  # and never stopped
        "print(server.url, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("http://127.0.0.1:")


def test_declaring_templates_needs_no_web_server() -> None:
    code = (
        "import sys\n"
        "from requence.local import LocalServer, TaskTemplate\n"
        "t = TaskTemplate('t'); t.node('n')(print); LocalServer(t)\n"
        "print([m for m in ('uvicorn', 'starlette', 'jsonschema', 'aiohttp', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_handler_cannot_stop_its_server(connect: Connect, kind: str) -> None:
    template = TaskTemplate("t")

    def stop(ctx: NodeContext) -> None:
        server.__exit__(None, None, None)

    async def stop_async(ctx: NodeContext) -> None:
        stop(ctx)

    template.node("n")(stop if kind == "plain" else stop_async)
    with LocalServer(template) as server:
        last = connect(server).run("t")[-1]
        assert "A handler cannot stop the server" in last.payload["reason"]
        assert connect(server).run("t")[-1].name == "taskError"
