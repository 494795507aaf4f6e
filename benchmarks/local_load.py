"""What one local server holds: tasks of three nodes at a steady rate, each followed by an open stream of its own.

    .venv/bin/python benchmarks/local_load.py [--rate 200] [--streams 500] [--seconds 10]

The server is a process of its own, on a file. Each task lasts as long as it takes for so many streams to be open
at once. Said are the rate that was held, the time from an update's timestamp to its arrival, and what the server
took.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from requence._token import decode_access_token

SERVER = """
import asyncio, sys
from pathlib import Path
from requence.local import LocalServer, TaskTemplate

pause = float(sys.argv[2])
chain = TaskTemplate("chain")

async def work(ctx):
    await asyncio.sleep(pause)
    return {"text": "x" * 200}

node = None
for alias in ("first", "second", "third"):
    node = chain.node(alias, after=node)(work)

with LocalServer(chain, db=Path(sys.argv[1]), workers=10_000) as server:
    print(server.access_token, flush=True)
    sys.stdin.read()
"""


async def one(session: aiohttp.ClientSession, base: str, late: list[float]) -> None:
    """Starts a task and follows it to its end."""
    async with session.post(f"{base}/task/prepare/chain") as answer:
        prepared = await answer.json()
    body = {"name": None, "input": {"a": 1}, "priority": 5, "requireAck": False}
    async with session.post(prepared["finalizeUrl"], json=body) as answer:
        watch = (await answer.json())["urls"]["watch"]
    last = ""
    async with session.post(watch, json={"since": None}) as answer:
        async for line in answer.content:
            if line.startswith(b"event: "):
                last = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                told = datetime.fromisoformat(json.loads(line[6:])["timestamp"])
                late.append((datetime.now(UTC) - told).total_seconds())
    if last != "taskEnd":
        raise RuntimeError(f"a task has ended with {last}")


async def load(token: str, rate: int, seconds: float) -> tuple[float, list[float]]:
    """Returns the tasks that ended a second, and how late each update came."""
    parts = decode_access_token(token, source="the benchmark")
    late: list[float] = []
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {parts.bearer}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
                group.create_task(one(session, parts.base_url, late))
        took = time.perf_counter() - begun
    return rate * seconds / took, late


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rate", type=int, default=200)
    arguments.add_argument("--streams", type=int, default=500)
    arguments.add_argument("--seconds", type=float, default=10)
    wanted = arguments.parse_args()
    lasts = wanted.streams / wanted.rate
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SERVER, str(Path(folder, "t.db")), str(lasts / 3)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            if server.stdout is None or server.stdin is None:
                raise RuntimeError("the server has no pipes")
            token = server.stdout.readline().strip()
            held, late = asyncio.run(load(token, wanted.rate, wanted.seconds))
            status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
            memory = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
            ticks = (
                Path(f"/proc/{server.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
            )
            spent = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") / (wanted.rate * wanted.seconds)
            server.stdin.close()
    p99 = statistics.quantiles(late, n=100)[98]
    most = wanted.rate * wanted.seconds / (wanted.seconds + lasts)
    print(f"{held:.0f} of at most {most:.0f} tasks/s, about {wanted.streams} open streams")
    print(f"updates came after {statistics.median(late) * 1000:.1f} ms (median), {p99 * 1000:.1f} ms (p99)")
    print(
        f"the server took {int(memory) / 1024:.0f} MiB, and {spent * 1000:.1f} ms of a processor for each task"
    )


if __name__ == "__main__":
    main()
