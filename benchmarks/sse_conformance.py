"""Our reading of event streams next to that of the client library aiohttp-sse-client.

Both read the 34 framing cases from a real server on the loopback interface, which writes each case in its chunks,
and both have to go on after a connection that was dropped in mid-stream, by the position in the body of the next
request. To run it, from the root of the repository:

    python3 -m venv .bench-venv
    .bench-venv/bin/pip install -r benchmarks/requirements-sse.txt
    PYTHONPATH=src:generated .bench-venv/bin/python -m benchmarks.sse_conformance

Prints two tables. The exit status is 0 if our side passes everything, else 1.
"""

from __future__ import annotations

import asyncio
import json
import logging
import platform
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from importlib.metadata import version
from typing import Any

import aiohttp
from aiohttp import web
from tests.stream.framing_cases import CASES, Event, FramingCase

from requence import Client
from requence._token import AccessToken
from requence._transport.api import Api
from requence._transport.connection import Watched
from requence._transport.event_stream import EventStream
from requence._transport.io_thread import io_thread
from requence._transport.sse import SSEParser

LIBRARY = "aiohttp-sse-client"
SECONDS_PER_CASE = 20.0
BETWEEN_CHUNKS = 0.003  # so that they arrive as chunks of their own
LARGE_BUFFER = 8 * 2**20
STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}

TERMINAL = "taskEnd"
LOG = [(1, "nodeUpdate"), (2, "nodeUpdate"), (3, "nodeUpdate"), (4, TERMINAL)]
HALF_EVENT = b'id: 3\nevent: nodeUpdate\ndata: {"half'


@dataclass
class Server:
    """Plays streams, and remembers what it was asked.

    Attributes:
        base_url: Where it listens.
        bodies: The bodies of the requests, by stream.
    """

    base_url: str = ""
    bodies: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])

    async def case(self, request: web.Request) -> web.StreamResponse:
        """Plays one framing case to the first request, and has nothing for the next ones."""
        asked = self._remember(request, {})
        if len(asked) > 1:
            return web.Response(status=204)
        response = web.StreamResponse(headers=STREAM_HEADERS)
        await response.prepare(request)
        for chunk in CASES[int(request.match_info["number"]) - 1].chunks:
            await response.write(chunk)
            await asyncio.sleep(BETWEEN_CHUNKS)
        return response

    async def resume(self, request: web.Request) -> web.StreamResponse:
        """Drops the first connection within an event; later ones get what is after their position."""
        asked = self._remember(request, await request.json())
        response = web.StreamResponse(headers=STREAM_HEADERS)
        await response.prepare(request)
        first = len(asked) == 1
        after = asked[-1].get("lastPosition", 0)
        for position, name in LOG[:2] if first else LOG[after:]:
            data = json.dumps({"n": position})
            await response.write(f"id: {position}\nevent: {name}\ndata: {data}\n\n".encode())
        if first:
            await response.write(HALF_EVENT)
            await asyncio.sleep(0.05)
            if request.match_info["how"] == "cut" and request.transport is not None:
                request.transport.close()  # before the end of the chunked body was announced
        return response

    def _remember(self, request: web.Request, body: dict[str, Any]) -> list[dict[str, Any]]:
        asked = self.bodies.setdefault(request.path, [])
        asked.append(body)
        return asked


@asynccontextmanager
async def serving() -> AsyncGenerator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_post("/case/{reader}/{number}", server.case)
    app.router.add_post("/resume/{reader}/{how}", server.resume)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.base_url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


# Part 1: framing.

Reader = Callable[[str, list[Event]], Awaitable[None]]
"""Reads the stream at a URL to its end, and adds its events to the list."""


async def read_with_our_parser(url: str, events: list[Event]) -> None:
    parser = SSEParser(max_event_size=2**28)
    async with aiohttp.ClientSession() as session, session.post(url) as response:
        async for chunk in response.content.iter_any():
            events += [(name, data, event_id) for event_id, name, data in parser.feed(chunk)]


def library_reader(**session_options: Any) -> Reader:
    async def read(url: str, events: list[Event]) -> None:
        async with aiohttp.ClientSession(**session_options) as session, event_source(url, session) as source:
            async for event in source:
                # Without a name the library says None where the standard says "message": not held against it.
                # One by one, since its iteration ends by an error: what came before that counts.
                events.append((event.type or "message", event.data, event.last_event_id))  # noqa: PERF401

    return read


def event_source(url: str, session: aiohttp.ClientSession, **options: Any) -> Any:
    client: Any = import_module("aiohttp_sse_client.client")
    pause = timedelta(milliseconds=10)
    return client.EventSource(
        url, option={"method": "POST"}, session=session, reconnection_time=pause, **options
    )


async def verdict(read: Reader, url: str, case: FramingCase) -> str:
    """Returns `pass`, or how the reader failed."""
    events: list[Event] = []
    problem = ""
    try:
        async with asyncio.timeout(SECONDS_PER_CASE):
            await read(url, events)
    except ConnectionAbortedError:
        pass  # how the library takes the 204 that ends its reconnecting
    except Exception as error:  # whatever a reader raises is its failure
        problem = f"raises {type(error).__name__}"
    if problem:
        return problem
    return "pass" if events == list(case.events) else "other events"


# Part 2: going on after a drop.


@dataclass
class Resumed:
    """What a reader made of a dropped connection."""

    events: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    error: str = ""


Resumer = Callable[[str], Awaitable[Resumed]]


def connected_again(_: Resumed, asked: list[dict[str, Any]]) -> bool:
    return len(asked) > 1


def renewed_the_body(_: Resumed, asked: list[dict[str, Any]]) -> bool:
    return len(asked) > 1 and asked[1].get("lastPosition") == 2


def dropped_the_half(got: Resumed, asked: list[dict[str, Any]]) -> bool:
    return len(asked) > 1 and not any("half" in data for _, data in got.events)


def lost_nothing(got: Resumed, _: list[dict[str, Any]]) -> bool:
    return got.events == [(name, json.dumps({"n": position})) for position, name in LOG]


CHECKS: dict[str, Callable[[Resumed, list[dict[str, Any]]], bool]] = {
    "connects again": connected_again,
    "the new body has the last position": renewed_the_body,
    "half an event is dropped": dropped_the_half,
    "every event once, in order": lost_nothing,
}


async def resume_ours(url: str) -> Resumed:
    got = Resumed()

    async def not_over() -> None:
        return None

    async def follow() -> None:
        api = Api(AccessToken("bearer", url), Client())
        watched = Watched(
            "task",
            "watching the task",
            lambda position: api.watch_request(url, since=None, last_position=position),
            terminal=frozenset({TERMINAL}),
        )
        stream: EventStream[None] = EventStream(api, watched, ask=not_over)
        async for batch in stream.batches():
            for _, name, payload in batch:
                got.events.append((name, json.dumps(payload)))
                if name == TERMINAL:
                    return

    await io_thread().run_async(follow)
    return got


def resume_library(*, change_body: bool) -> Resumer:
    async def resume(url: str) -> Resumed:
        got = Resumed()
        body: dict[str, Any] = {"since": None}
        async with aiohttp.ClientSession() as session, event_source(url, session, json=body) as source:
            try:
                async for event in source:
                    got.events.append((event.type, event.data))
                    if event.type == TERMINAL:
                        break
                    if change_body:
                        body["lastPosition"] = int(event.last_event_id)
            except (aiohttp.ClientError, ConnectionError) as error:
                got.error = type(error).__name__
        return got

    return resume


async def main() -> int:
    # Both sides of a dropped connection complain in the log; the tables say it shorter.
    logging.disable(logging.CRITICAL)
    ours_failed = False
    print(
        f"Python {platform.python_version()}, aiohttp {version('aiohttp')}, {LIBRARY} {version(LIBRARY)}, "
        f"{platform.system()}\n"
    )
    async with serving() as server:
        readers: dict[str, Reader] = {
            "requence": read_with_our_parser,
            LIBRARY: library_reader(),
            f"{LIBRARY}, read_bufsize 8 MiB": library_reader(read_bufsize=LARGE_BUFFER),
        }
        passed = dict.fromkeys(readers, 0)
        print("| framing case | " + " | ".join(readers) + " |")
        print("|---|" + "---|" * len(readers))
        for case in CASES:
            row: list[str] = []
            for index, (name, read) in enumerate(readers.items()):
                row.append(await verdict(read, f"{server.base_url}/case/{index}/{case.number}", case))
                passed[name] += row[-1] == "pass"
            ours_failed |= row[0] != "pass"
            print(f"| {case} | " + " | ".join(row) + " |")
        print(
            "| **passed** | " + " | ".join(f"**{count} of {len(CASES)}**" for count in passed.values()) + " |"
        )

        resumers: dict[str, Resumer] = {
            "requence": resume_ours,
            LIBRARY: resume_library(change_body=False),
            f"{LIBRARY}, body changed in place": resume_library(change_body=True),
        }
        passed = dict.fromkeys(resumers, 0)
        print("\n| going on by the position in the body | " + " | ".join(resumers) + " |")
        print("|---|" + "---|" * len(resumers))
        for how, title in (("clean", "clean close"), ("cut", "cut within a chunk")):
            results: list[tuple[Resumed, list[dict[str, Any]]]] = []
            for index, resume in enumerate(resumers.values()):
                path = f"/resume/{index}/{how}"
                try:
                    async with asyncio.timeout(SECONDS_PER_CASE):
                        got = await resume(server.base_url + path)
                except TimeoutError:
                    got = Resumed(error="does not end")
                results.append((got, server.bodies.get(path, [])))
            for what, holds in CHECKS.items():
                row = []
                for name, (got, asked) in zip(resumers, results, strict=True):
                    good = holds(got, asked)
                    passed[name] += good
                    row.append("pass" if good else f"no ({got.error})" if got.error else "no")
                ours_failed |= row[0] != "pass"
                print(f"| {title}: {what} | " + " | ".join(row) + " |")
        total = 2 * len(CHECKS)
        print("| **passed** | " + " | ".join(f"**{count} of {total}**" for count in passed.values()) + " |")
    return int(ours_failed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
