"""One program for both SDKs: ours and the published one, each in its environment.

    BENCH_URL=… REQUENCE_ACCESS_TOKEN=… python -m benchmarks.side_by_side.sdk PROGRAM SIZE

It uses what both have: blocking calls, in threads where several tasks are in flight, and `async for`, which in the
published SDK has to be left at the last update.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.side_by_side.child import IN_FLIGHT, INPUT, Stopwatch, main

from requence.task import Task


def start(_: int = 0) -> None:
    assert Task("plain", INPUT).sync.id == "plain"


def run(_: int = 0) -> None:
    assert Task("five", INPUT).sync.result["result"] == {"text": "Hello World"}


def in_flight(work: Callable[[int], None], tasks: int) -> dict[str, float]:
    """Does something so many times, in as many threads as shall be in flight."""
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(work, range(IN_FLIGHT)))  # warm
        watch = Stopwatch()
        list(pool.map(work, range(tasks)))
        return watch.stop()


def start_in_sequence(tasks: int) -> dict[str, float]:
    for _ in range(10):
        start()
    watch = Stopwatch()
    for _ in range(tasks):
        start()
    return watch.stop()


def updates(count: int) -> dict[str, float]:
    task = Task(f"many-{count}", INPUT)
    assert task.sync.id
    watch = Stopwatch()
    seen = 0
    for update in task.sync.updates:
        seen += update["type"] != ""
    assert seen == count
    return watch.stop()


def updates_async(count: int) -> dict[str, float]:
    async def work() -> dict[str, float]:
        task = Task(f"many-{count}", INPUT)
        assert await task.task_id
        watch = Stopwatch()
        seen = 0
        async for update in task.updates:
            seen += 1
            if update["type"] == "taskEnd":
                break
        assert seen == count
        return watch.stop()

    return asyncio.run(work())


def result(count: int) -> dict[str, float]:
    return only_the_result(f"many-{count}")


def text(size: int) -> dict[str, float]:
    return only_the_result(f"text-{size}", data=size)


def only_the_result(template: str, data: int | None = None) -> dict[str, float]:
    task = Task(template, INPUT)
    assert task.sync.id
    watch = Stopwatch()
    ended = task.sync.result
    took = watch.stop()
    assert ended["result"] == {"text": "Hello World"}
    assert data is None or len(ended["node_data"]["node1"]) == data
    return took


PROGRAMS: dict[str, Callable[[int], dict[str, float]]] = {
    "start": lambda tasks: in_flight(start, tasks),
    "start-in-sequence": start_in_sequence,
    "run": lambda tasks: in_flight(run, tasks),
    "updates": updates,
    "updates-async": updates_async,
    "result": result,
    "text": text,
}

if __name__ == "__main__":
    main(PROGRAMS, *sys.argv[1:])
