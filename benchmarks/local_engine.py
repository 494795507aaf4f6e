"""How many events a second the local server's engine writes down: tasks of three nodes in a row, on a file.

    .venv/bin/python benchmarks/local_engine.py [TASKS]

No HTTP and no threads: coroutine handlers that do nothing, so what is measured is the engine and its store.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from requence.local import NodeContext, TaskTemplate
from requence.local.engine import Engine
from requence.local.requests import Finalize
from requence.local.store import Store

WAVE = 200  # started at once, as many clients do
EVENTS = 11  # of one task: its start and end, and three for each node
ROUNDS = 5


def chain() -> TaskTemplate:
    template = TaskTemplate("chain")

    @template.node
    async def first(ctx: NodeContext) -> dict[str, object]:
        return {"text": "x" * 200, "of": ctx.input}

    @template.node(after=first)
    async def second(ctx: NodeContext) -> object:
        return ctx.input

    @template.node(after=second)
    async def third(ctx: NodeContext) -> object:
        return ctx.input

    return template


async def run(path: Path, tasks: int) -> float:
    """Returns the seconds that it took until all tasks had ended."""
    store = Store(path)
    template = chain()
    files = store.files(None, 2**20)
    engine = Engine({template.name: template.graph()}, store, files, 8)
    request = Finalize(name=None, input_text='{"number":1}', priority=5, require_ack=False)
    begun = time.perf_counter()
    for first in range(0, tasks, WAVE):
        ids = [engine.prepare(template.name) for _ in range(min(WAVE, tasks - first))]
        for task_id in ids:
            await engine.finalize(task_id, request)
        for task_id in ids:
            async for _batch in engine.journal.follow(task_id, after=0, since="", pause=60):
                pass
    took = time.perf_counter() - begun
    await engine.stop()
    files.close()
    store.close()
    return took


def main() -> None:
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rates: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            took = asyncio.run(run(Path(folder) / f"{number}.db", tasks))
            rates.append(tasks * EVENTS / took)
    rate = statistics.median(rates)
    print(f"{rate:,.0f} events/s ({rate / EVENTS:,.0f} tasks/s)")


if __name__ == "__main__":
    main()
