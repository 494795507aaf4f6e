"""What only our SDK can do: many tasks in flight under asyncio, and thousands followed at once.

BENCH_URL=… REQUENCE_ACCESS_TOKEN=… .venv/bin/python -m benchmarks.side_by_side.ours PROGRAM SIZE
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable

from benchmarks.side_by_side.child import IN_FLIGHT, INPUT, Stopwatch, limit_open_files, main, memory
from benchmarks.side_by_side.holding import Holding

from requence import Client
from requence.task import Task


async def start() -> None:
    assert await Task("plain", INPUT).task_id == "plain"


async def run() -> None:
    assert (await Task("five", INPUT).result).result == {"text": "Hello World"}


async def in_flight(work: Callable[[], Awaitable[None]], tasks: int) -> dict[str, float]:
    async def worker() -> None:
        for _ in numbers:
            await work()

    numbers = iter(range(IN_FLIGHT))
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))  # warm
    numbers = iter(range(tasks))
    watch = Stopwatch()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return watch.stop()


async def follow(tasks: int, client: Client, streams: int) -> dict[str, float]:
    """Follows so many tasks at once, and measures from their common end to the last result."""
    limit_open_files()
    await run()  # warm: all modules are imported, the threads run
    async with Holding() as holding:
        before = memory("VmRSS")
        handles = [Task("held", INPUT, client=client) for _ in range(tasks)]
        for handle in handles:
            await handle.finalized()
        results = asyncio.gather(*(handle.result for handle in handles))
        await holding.until_open(streams)
        each = (memory("VmRSS") - before) / tasks
        names = [thread.name for thread in threading.enumerate()]
        watch = Stopwatch()
        await holding.release()
        ended = await results
        took = watch.stop()
    assert all(result.result == {"text": "Hello World"} for result in ended)
    threads = sum(name.startswith("requence") for name in names)
    return {**took, "each": each, "threads": threads}


PROGRAMS: dict[str, Callable[[int], dict[str, float]]] = {
    "start": lambda tasks: asyncio.run(in_flight(start, tasks)),
    "run": lambda tasks: asyncio.run(in_flight(run, tasks)),
    "follow": lambda tasks: asyncio.run(follow(tasks, Client(max_streams=tasks), tasks)),
    "follow-shared": lambda tasks: asyncio.run(follow(tasks, Client(shared_stream=True), 1)),
}

if __name__ == "__main__":
    main(PROGRAMS, *sys.argv[1:])
