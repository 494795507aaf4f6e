"""The floor: the same requests on bare aiohttp, with msgspec for JSON and no state beside what is asserted.

BENCH_URL=… .venv/bin/python -m benchmarks.side_by_side.floor PROGRAM SIZE
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import aiohttp
import msgspec
from benchmarks.side_by_side.child import (
    IN_FLIGHT,
    INPUT,
    Stopwatch,
    base_url,
    limit_open_files,
    main,
    memory,
)
from benchmarks.side_by_side.holding import Holding

AUTHORIZATION = {"Authorization": "Bearer of-the-benchmark"}
JSON = {**AUTHORIZATION, "Content-Type": "application/json"}
BODY = {"name": None, "input": INPUT, "priority": 5, "requireAck": False}
SINCE = b'{"since": null}'
RESULT = {"text": "Hello World"}


def new_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )


async def start(session: aiohttp.ClientSession, template: str = "plain") -> dict[str, Any]:
    url = f"{base_url()}/task/prepare/{template}"
    async with session.post(url, headers=AUTHORIZATION) as answer:
        prepared = msgspec.json.decode(await answer.read())
    async with session.post(prepared["finalizeUrl"], data=msgspec.json.encode(BODY), headers=JSON) as answer:
        started: dict[str, Any] = msgspec.json.decode(await answer.read())
    return started


async def events(session: aiohttp.ClientSession, url: str) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
    """Yields the name and the payload of each event of a stream of this form, which is no parser of the format."""
    rest: list[bytes] = []  # of an event whose end has not arrived; joined once, when it has
    async with session.post(url, data=SINCE, headers=JSON) as answer:
        async for chunk in answer.content.iter_any():
            rest.append(chunk)
            if b"\n\n" not in chunk and not (chunk.startswith(b"\n") and rest[-2:-1]):
                continue
            *pieces, tail = b"".join(rest).split(b"\n\n")
            rest = [tail]
            for piece in pieces:
                _, name, data = piece.split(b"\n", 2)
                yield name[7:].decode(), msgspec.json.decode(data[6:])


async def follow_one(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """Reads a stream to its last event, and to its end, so that the connection can be used again."""
    last = "", dict[str, Any]()
    async with aclosing(events(session, url)) as stream:
        async for event in stream:
            last = event
    name, payload = last
    assert name == "taskEnd"
    return payload


async def run(session: aiohttp.ClientSession) -> None:
    started = await start(session, "five")
    assert (await follow_one(session, started["urls"]["watch"]))["result"] == RESULT


async def in_flight(
    work: Callable[[aiohttp.ClientSession], Awaitable[object]], tasks: int, at_once: int = IN_FLIGHT
) -> dict[str, float]:
    async with new_session() as session:

        async def worker() -> None:
            for _ in numbers:
                await work(session)

        numbers = iter(range(at_once))
        await asyncio.gather(*(worker() for _ in range(at_once)))  # warm
        numbers = iter(range(tasks))
        watch = Stopwatch()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return watch.stop()


async def result(template: str) -> dict[str, float]:
    async with new_session() as session:
        started = await start(session, template)
        watch = Stopwatch()
        last = await follow_one(session, started["urls"]["watch"])
        took = watch.stop()
    assert last["result"] == RESULT
    return took


async def follow(tasks: int) -> dict[str, float]:
    """Follows so many tasks at once, each on a stream of its own."""
    limit_open_files()
    async with new_session() as session, Holding() as holding:
        await run(session)
        before = memory("VmRSS")
        started = [await start(session, "held") for _ in range(tasks)]
        results = asyncio.gather(*(follow_one(session, one["urls"]["watch"]) for one in started))
        await holding.until_open(tasks)
        each = (memory("VmRSS") - before) / tasks
        watch = Stopwatch()
        await holding.release()
        ended = await results
        took = watch.stop()
    assert all(last["result"] == RESULT for last in ended)
    return {**took, "each": each}


async def follow_shared(tasks: int) -> dict[str, float]:
    """Follows so many tasks at once, all on one stream."""
    limit_open_files()
    async with new_session() as session, Holding() as holding:
        await run(session)
        before = memory("VmRSS")
        loop = asyncio.get_running_loop()
        waiting: dict[str, asyncio.Future[Any]] = {}
        for _ in range(tasks):
            waiting[(await start(session, "held"))["taskId"]] = loop.create_future()

        async def dispatch() -> None:
            async for name, payload in events(session, f"{base_url()}/task/watch-all"):
                if name == "taskEnd":
                    waiting[payload["taskId"]].set_result(payload["result"])

        dispatching = asyncio.create_task(dispatch())
        results = asyncio.gather(*waiting.values())
        await holding.until_open(1)
        each = (memory("VmRSS") - before) / tasks
        watch = Stopwatch()
        await holding.release()
        ended = await results
        took = watch.stop()
        dispatching.cancel()
    assert all(one == RESULT for one in ended)
    return {**took, "each": each}


PROGRAMS: dict[str, Callable[[int], dict[str, float]]] = {
    "start": lambda tasks: asyncio.run(in_flight(start, tasks)),
    "start-in-sequence": lambda tasks: asyncio.run(in_flight(start, tasks, at_once=1)),
    "run": lambda tasks: asyncio.run(in_flight(run, tasks)),
    "result": lambda count: asyncio.run(result(f"many-{count}")),
    "text": lambda size: asyncio.run(result(f"text-{size}")),
    "follow": lambda tasks: asyncio.run(follow(tasks)),
    "follow-shared": lambda tasks: asyncio.run(follow_shared(tasks)),
}

if __name__ == "__main__":
    main(PROGRAMS, *sys.argv[1:])
