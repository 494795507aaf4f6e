"""What one local server holds: tasks of three nodes at a steady rate, each followed by an open stream of its own.

    .venv/bin/python benchmarks/local_load.py [--rate 200] [--streams 500] [--seconds 10] [--json]

The server is a process of its own, on a file. Each task lasts as long as it takes for so many streams to be open
at once. Tasks are started at the rate whatever comes back, so a server that cannot keep up falls behind. Measured
is from when the first tasks end to when the last ones are started: how many tasks ended a second, how many streams
were open, the time from an update's timestamp to its arrival, and what the server took of the processor.
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
from dataclasses import dataclass, field
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


@dataclass
class Seen:
    """What happened so far, as the client saw it."""

    open: int = 0
    ended: int = 0
    late: list[float] = field(default_factory=list[float])


async def one(session: aiohttp.ClientSession, base: str, seen: Seen) -> None:
    """Starts a task and follows it to its end."""
    async with session.post(f"{base}/task/prepare/chain") as answer:
        prepared = await answer.json()
    body = {"name": None, "input": {"a": 1}, "priority": 5, "requireAck": False}
    async with session.post(prepared["finalizeUrl"], json=body) as answer:
        watch = (await answer.json())["urls"]["watch"]
    last = ""
    async with session.post(watch, json={"since": None}) as answer:
        seen.open += 1
        async for line in answer.content:
            if line.startswith(b"event: "):
                last = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                told = datetime.fromisoformat(json.loads(line[6:])["timestamp"])
                seen.late.append((datetime.now(UTC) - told).total_seconds())
    seen.open -= 1
    seen.ended += 1
    if last != "taskEnd":
        raise RuntimeError(f"a task has ended with {last}")


@dataclass(frozen=True)
class Load:
    """What was measured.

    Attributes:
        rate: Tasks that ended a second.
        streams: How many streams were open at once: the least, and the median.
        late: How late each update came, in seconds.
        spent: Seconds of a processor that the server took for each task.
    """

    rate: float
    streams: tuple[int, float]
    late: list[float]
    spent: float


async def load(token: str, rate: int, seconds: float, lasts: float, server: int) -> Load:
    """Starts tasks that last `lasts` seconds at a rate, for `lasts` and then `seconds` that count."""
    parts = decode_access_token(token, source="the benchmark")
    seen = Seen()
    open_streams: list[int] = []
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {parts.bearer}"}
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as session,
        asyncio.TaskGroup() as group,
    ):
        begun = time.perf_counter()

        async def start(number: int) -> None:
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            group.create_task(one(session, parts.base_url, seen))

        warm = int(rate * (lasts + 1))
        for number in range(warm):
            await start(number)
        first, ended, told, spent = time.perf_counter(), seen.ended, len(seen.late), processor_seconds(server)
        for number in range(warm, warm + int(rate * seconds)):
            await start(number)
            open_streams.append(seen.open)
        ended, took = seen.ended - ended, time.perf_counter() - first
        spent = processor_seconds(server) - spent
    streams = min(open_streams), statistics.median(open_streams)
    return Load(ended / took, streams, seen.late[told:], spent / max(ended, 1))


def processor_seconds(pid: int) -> float:
    """Returns how long a process has used a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def most_memory(pid: int) -> float:
    """Returns the most memory that a process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rate", type=int, default=200)
    arguments.add_argument("--streams", type=int, default=500)
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--json", action="store_true", help="say it in one line of JSON")
    wanted = arguments.parse_args()
    lasts = wanted.streams / wanted.rate
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", SERVER, str(Path(folder, "t.db")), str(lasts / 3)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            if server.stdout is None or server.stdin is None:
                raise RuntimeError("the server has no pipes")
            token = server.stdout.readline().strip()
            held = asyncio.run(load(token, wanted.rate, wanted.seconds, lasts, server.pid))
            memory = most_memory(server.pid)
            server.stdin.close()
    least, median = held.streams
    p50, p99 = statistics.median(held.late), statistics.quantiles(held.late, n=100)[98]
    if wanted.json:
        said = {"rate": held.rate, "streams": median, "p50": p50, "p99": p99, "memory": memory}
        print(json.dumps({**said, "spent": held.spent}))
        return
    print(
        f"{wanted.rate} tasks/s begun, {held.rate:.0f} tasks/s ended; {median:.0f} streams open (at least {least})"
    )
    print(f"updates came after {p50 * 1000:.1f} ms (median), {p99 * 1000:.1f} ms (p99)")
    print(f"the server took {memory:.0f} MiB, and {held.spent * 1000:.1f} ms of a processor for each task")


if __name__ == "__main__":
    main()
