"""Measure 6: what it takes to begin, in fresh processes."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.side_by_side.contenders import FLOOR, OURS, PUBLISHED
from benchmarks.side_by_side.measuring import Entry, Figure, Measure, Round, of, ratio

__all__ = ["BEGINNINGS"]

_SAY = "import time; print('{\"at\": %r}' % time.monotonic())"
_IMPORT = f"import requence.task; {_SAY}"
_START = f"from requence.task import Task; Task('plain', {{'name': 'World'}}).sync.id; {_SAY}"
_SAME_REQUESTS = f"""
import asyncio, os
import aiohttp, httpx

async def main():
    authorization = {{"Authorization": "Bearer of-the-benchmark"}}
    async with aiohttp.ClientSession(headers=authorization) as session:
        async with session.post(os.environ["BENCH_URL"] + "/task/prepare/plain") as answer:
            prepared = await answer.json()
        body = {{"name": None, "input": {{"name": "World"}}, "priority": 5, "requireAck": False}}
        async with session.post(prepared["finalizeUrl"], json=body) as answer:
            await answer.json()
    {_SAY}

asyncio.run(main())
"""

_BARE = Entry("our Python", OURS, ("-c", _SAY))
_IMPORTED = Entry("import requence.task", OURS, ("-c", _IMPORT))
_THEIR_BARE = Entry("the published SDK's Python", PUBLISHED, ("-c", _SAY))
_THEIR_IMPORTED = Entry("the published SDK's import requence.task", PUBLISHED, ("-c", _IMPORT))
_STARTED = Entry("first Task", OURS, ("-c", _START))
_THEIR_STARTED = Entry("the published SDK's first Task", PUBLISHED, ("-c", _START))
_FLOOR_STARTED = Entry("the same requests", FLOOR, ("-c", _SAME_REQUESTS))


def _milliseconds(entry: Entry) -> Callable[[Round], float]:
    return of(entry.name, "seconds", 1000)


def _over(entry: Entry, bare: Entry) -> Callable[[Round], float]:
    return lambda found: _milliseconds(entry)(found) - _milliseconds(bare)(found)


_IMPORT_TAKES = _over(_IMPORTED, _BARE)
_THEIR_IMPORT_TAKES = _over(_THEIR_IMPORTED, _THEIR_BARE)

BEGINNINGS = Measure(
    "6. To begin, in a fresh process",
    (_BARE, _IMPORTED, _THEIR_BARE, _THEIR_IMPORTED, _STARTED, _THEIR_STARTED, _FLOOR_STARTED),
    (
        Figure("ours: import requence.task, ms over the bare interpreter", _IMPORT_TAKES),
        Figure("published SDK: the same, ms", _THEIR_IMPORT_TAKES),
        Figure("ours ÷ published SDK", ratio(_IMPORT_TAKES, _THEIR_IMPORT_TAKES), "{:.2f}", at_most=0.33),
        Figure("ours: first Task accepted, ms", _milliseconds(_STARTED)),
        Figure("published SDK: the same, ms", _milliseconds(_THEIR_STARTED)),
        Figure("import of aiohttp and httpx and the same two requests, ms", _milliseconds(_FLOOR_STARTED)),
        Figure(
            "ours ÷ the same two requests",
            ratio(_milliseconds(_STARTED), _milliseconds(_FLOOR_STARTED)),
            "{:.2f}",
            at_most=1.3,
        ),
    ),
)
