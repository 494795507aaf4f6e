"""What a start costs by the way it is sent: the two requests of a start, over four kinds of client.

All four run in turns in one run against one server, which is a process of its own on the loopback interface and
answers from memory. Read the ratios: the digits belong to the machine. To run it, from the root of the repository,
in an environment that has the package's dependencies:

    PYTHONPATH=src:generated .venv/bin/python -m benchmarks.transport_floor

The clients:

- generated, on httpx: `requence_api` as it is, with the connection pool that httpx opens by default;
- generated, on httpx, 100 kept alive: the same with a pool that keeps as many connections as are used;
- generated, on aiohttp: requests built and answers parsed by `requence_api`, sent on one aiohttp session;
- bare aiohttp: the same bytes on the same kind of session without any generated code, the floor.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any

import aiohttp
import httpx
import msgspec

from requence_api import AuthenticatedClient
from requence_api.api.task import finalize_task, prepare_task
from requence_api.models import FinalizeRequest, PreparedTask, StartedTask

TASK_ID = "7f0c2a54-3c2b-4e3e-9f52-6a1f0f5f6f10"
INPUT = {"name": "World", "numbers": list(range(10))}
AUTHORIZATION = {"Authorization": "Bearer not-a-secret"}
IN_FLIGHT = 100

Start = Callable[[], Awaitable[str]]
"""Makes the two requests of one start and returns the task's id."""


class Answering(asyncio.Protocol):
    """Answers requests with as little work as possible, so that the server is not what is measured."""

    def __init__(self, base_url: str) -> None:
        urls = {"watch": f"{base_url}/task/watch/{TASK_ID}", "show": f"{base_url}/tasks/{TASK_ID}"}
        prepared = {"taskId": TASK_ID, "finalizeUrl": f"{base_url}/task/finalize/{TASK_ID}", "branch": "live"}
        self._prepared = _answer(prepared)
        self._started = _answer({"taskId": TASK_ID, "urls": urls})
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: D102
        assert self._transport is not None
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, _, rest = head.partition(b"content-length:")
            size = int(rest.partition(b"\r\n")[0]) if rest else 0
            if len(self._received) < end + 4 + size:
                return
            self._received = self._received[end + 4 + size :]
            self._transport.write(self._prepared if b"/task/prepare/" in head[:60] else self._started)


def _answer(value: object) -> bytes:
    body = msgspec.json.encode(value)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve() -> None:
    base_url = ""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(base_url), "127.0.0.1", 0, backlog=1024)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(base_url, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until the one who started us is gone


@asynccontextmanager
async def generated_on_httpx(base_url: str, **options: Any) -> AsyncGenerator[Start]:
    body = FinalizeRequest(name=None, input_=INPUT, priority=5, require_ack=False)
    client = AuthenticatedClient(base_url=base_url, token="not-a-secret", httpx_args=options)

    async def start() -> str:
        prepared = await prepare_task.asyncio("my-template", client=client)
        assert isinstance(prepared, PreparedTask)
        started = await finalize_task.asyncio(prepared.task_id, client=client, body=body)
        assert isinstance(started, StartedTask)
        return started.task_id

    async with client:
        yield start


@asynccontextmanager
async def generated_on_httpx_kept_alive(base_url: str) -> AsyncGenerator[Start]:
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    async with generated_on_httpx(base_url, limits=limits) as start:
        yield start


@asynccontextmanager
async def generated_on_aiohttp(base_url: str) -> AsyncGenerator[Start]:
    body = FinalizeRequest(name=None, input_=INPUT, priority=5, require_ack=False)

    async with _aiohttp_session() as session:

        async def send(kwargs: dict[str, Any]) -> Any:
            headers = {**AUTHORIZATION, **kwargs.get("headers", {})}
            content = msgspec.json.encode(kwargs["json"]) if "json" in kwargs else None
            url = base_url + kwargs["url"]
            async with session.request(kwargs["method"], url, data=content, headers=headers) as response:
                return msgspec.json.decode(await response.read())

        async def start() -> str:
            prepared = PreparedTask.from_dict(await send(prepare_task._get_kwargs("my-template")))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            kwargs = finalize_task._get_kwargs(prepared.task_id, body=body)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            return StartedTask.from_dict(await send(kwargs)).task_id

        yield start


@asynccontextmanager
async def bare_aiohttp(base_url: str) -> AsyncGenerator[Start]:
    headers = {**AUTHORIZATION, "Content-Type": "application/json"}
    body = {"name": None, "input": INPUT, "priority": 5, "requireAck": False}

    async with _aiohttp_session() as session:

        async def start() -> str:
            async with session.post(
                f"{base_url}/task/prepare/my-template", headers=AUTHORIZATION
            ) as response:
                prepared = msgspec.json.decode(await response.read())
            url, content = f"{base_url}/task/finalize/{prepared['taskId']}", msgspec.json.encode(body)
            async with session.post(url, data=content, headers=headers) as response:
                task_id: str = msgspec.json.decode(await response.read())["taskId"]
            return task_id

        yield start


def _aiohttp_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())


CLIENTS = {
    "generated, on httpx": generated_on_httpx,
    f"generated, on httpx, {IN_FLIGHT} kept alive": generated_on_httpx_kept_alive,
    "generated, on aiohttp": generated_on_aiohttp,
    "bare aiohttp": bare_aiohttp,
}
FLOOR = "bare aiohttp"


async def measure(start: Start, *, tasks: int, at_once: int) -> tuple[float, float]:
    """Returns the starts per second and the client's CPU microseconds per start."""
    numbers = iter(range(tasks))

    async def work() -> None:
        for _ in numbers:
            assert await start() == TASK_ID

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(at_once)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return tasks / wall, cpu / tasks * 1e6


async def compare(base_url: str, *, tasks: int, rounds: int) -> None:
    modes = {"one after the other": 1, f"{IN_FLIGHT} in flight": IN_FLIGHT}
    got: dict[tuple[str, str], list[tuple[float, float]]] = {}
    async with AsyncExitStack() as stack:
        # A client of its own for each mode: an idle connection in a pool can cost as much as a used one.
        starts = {
            (name, mode): await stack.enter_async_context(client(base_url))
            for name, client in CLIENTS.items()
            for mode in modes
        }
        for (_, mode), start in starts.items():  # warm: every connection that will be used is open
            await measure(start, tasks=2 * modes[mode], at_once=modes[mode])
        for turn in range(rounds):
            names = list(CLIENTS)
            names = names[turn % len(names) :] + names[: turn % len(names)]
            for mode, at_once in modes.items():
                for name in names:
                    figures = await measure(starts[name, mode], tasks=tasks, at_once=at_once)
                    got.setdefault((name, mode), []).append(figures)
    versions = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "httpx", "msgspec"))
    print(
        f"Python {platform.python_version()}, {versions}, {os.cpu_count()} CPUs, {rounds} rounds of {tasks}\n"
    )
    for mode in modes:
        print(f"| {mode} | starts per s: median (least..most) | CPU µs per start | of bare aiohttp |")
        print("|---|---|---|---|")
        floor = statistics.median(rate for rate, _ in got[FLOOR, mode])
        for name in CLIENTS:
            rates, costs = zip(*got[name, mode], strict=True)
            median = statistics.median(rates)
            print(
                f"| {name} | {median:,.0f} ({min(rates):,.0f}..{max(rates):,.0f}) "
                f"| {statistics.median(costs):,.0f} | {median / floor:.2f} |"
            )
        print()


def main() -> None:
    parser = argparse.ArgumentParser(description="What a start costs by the way it is sent.")
    parser.add_argument("--tasks", type=int, default=400, help="starts per client and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve())
        return
    command = [sys.executable, "-m", "benchmarks.transport_floor", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            base_url = server.stdout.readline().strip()
            asyncio.run(compare(base_url, tasks=arguments.tasks, rounds=arguments.rounds))
        finally:
            server.stdin.close()


if __name__ == "__main__":
    main()
