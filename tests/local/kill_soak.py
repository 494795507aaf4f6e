"""Kills a local server under load, again and again, and counts clients that do not end with the right result.

    python -m tests.local.kill_soak --kills 50

The server is a process of its own, on a file; after each SIGKILL it is started again on that file and port.
Clients start tasks by the SDK all the while, and follow them in every way there is. Part of `make soak`; the exit
status is 1 if anything was lost, wrong or late.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from requence import Client
from requence.exceptions import RequenceUnreachableException, StartUncertainError
from requence.task import Task

SERVER = """
import sys, time
from pathlib import Path
from requence.local import LocalServer, TaskTemplate

chain = TaskTemplate("chain")

@chain.node
def double(ctx):
    time.sleep(ctx.input["pause"])
    return ctx.input["number"] * 2

@chain.node(after=double)
def count(ctx):
    for step in range(3):
        time.sleep(0.01)
        yield ctx.input + step

@chain.node(after=count)
async def last(ctx):
    return {"number": ctx.task_input["number"], "sum": ctx.input}

with LocalServer(chain, db=Path(sys.argv[1]), workers=16) as server:
    print(server.access_token, flush=True)
    sys.stdin.read()
"""
_CLIENTS = 24
_WITHIN = 120.0  # seconds for one task, kills included


class Server:
    """The server's process, whichever it is now."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self.access_token = ""
        self._launch()

    def _launch(self) -> None:
        command = [sys.executable, "-c", SERVER, str(self._db)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._child.stdout is not None
        self.access_token = self._child.stdout.readline().strip()

    def kill(self) -> None:
        """Ends the process where it is, and starts another one on the same file."""
        self._child.send_signal(signal.SIGKILL)
        self._end()
        self._launch()

    def stop(self) -> None:
        """Ends it."""
        self._child.kill()
        self._end()

    def _end(self) -> None:
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()


async def _result(task: Task) -> object:
    return (await task.result).result


async def _updates(task: Task) -> object:
    seen = [update async for update in task.updates]
    positions = [update.position for update in seen if not update.synthetic]
    if positions != list(range(1, len(positions) + 1)):
        raise AssertionError(f"positions {positions}")
    return seen[-1].context.result


async def _told(task: Task) -> object:
    reference = await task.ref()
    return (await Task.attach(reference, client=_client_of[task]).result).result


_client_of: dict[Task, Client] = {}
_WAYS: tuple[Callable[[Task], Awaitable[object]], ...] = (_result, _updates, _told)


async def _use(
    client: Client, numbers: itertools.count[int], over: asyncio.Event, tally: Counter[str]
) -> None:
    """Starts one task after the other and follows each."""
    while not over.is_set():
        number = next(numbers)
        task = Task("chain", {"number": number, "pause": random.random() / 10}, client=client)
        _client_of[task] = client
        try:
            async with asyncio.timeout(_WITHIN):
                result = await _WAYS[number % len(_WAYS)](task)
        except TimeoutError:
            tally["late"] += 1
        except (StartUncertainError, RequenceUnreachableException) as error:
            # Killed again while a start was being asked for: told so, and nothing was acknowledged.
            told = task.known_id is None
            tally[f"told of a {type(error).__name__}" if told else "wrong"] += 1
            if not told:
                print(f"task {number}: {error!r}")
        except Exception as error:
            tally["wrong"] += 1
            print(f"task {number}: {error!r}")
        else:
            right = result == {"number": number, "sum": number * 2 + 2}
            tally["right" if right else "wrong"] += 1
            if not right:
                print(f"task {number}: {result!r}")
        finally:
            del _client_of[task]


async def soak(kills: int, folder: Path) -> Counter[str]:
    """Kills so often; returns how the tasks of all clients have ended."""
    server = await asyncio.to_thread(Server, folder / "soak.db")
    tally = Counter[str]()
    try:
        client = Client(server.access_token, proxy="", retries=8)
        over = asyncio.Event()
        numbers = itertools.count()
        users = [asyncio.create_task(_use(client, numbers, over, tally)) for _ in range(_CLIENTS)]
        for _ in range(kills):
            await asyncio.sleep(random.uniform(0.2, 1.2))
            await asyncio.to_thread(server.kill)
        over.set()
        await asyncio.gather(*users)
    finally:
        await asyncio.to_thread(server.stop)
    return tally


def main() -> int:
    """Runs the soak, prints what it has counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    kills: int = parser.parse_args().kills
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(soak(kills, Path(folder)))
    told = ", ".join(f"{count} {what}" for what, count in sorted(tally.items()))
    print(f"{kills} kills in {time.monotonic() - began:.0f} s: {told}")
    return int(tally["wrong"] + tally["late"] > 0 or not tally["right"])


if __name__ == "__main__":
    sys.exit(main())
