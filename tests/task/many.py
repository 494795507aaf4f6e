"""Many tasks through `map_tasks` in a process that may open few files, with memory that does not grow.

python -m tests.task.many 10000 [--file-limit 1024] [--async]

The service is in a child process, so that files and memory are those of the client. One input among them fails.
The exit status is 1 if anything is missing, comes twice, or if memory grows. Part of `make soak`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection

from tests.scripted_server import Answer, Call, ScriptedServer, Stream, end, event, from_position, started

from requence import Client
from requence.task import TaskFailedError, TaskItem, aio, map_tasks

__all__ = ["main"]

_PARTS = 10
# Blocks of memory by which there may be more late than early: what is under way varies, and connections are kept,
# at most one for each task at once. An item alone has 80.
_VARIES = 10_000


class Service(ScriptedServer):
    """Its tasks end at once with their number, but for one, which fails. It remembers no calls."""

    def __init__(self, failing: int) -> None:
        super().__init__()
        self._failing = failing
        self._numbers: dict[str, int] = {}
        self.always("finalize", self._started)
        self.always("watch", self._watched)

    def _started(self, call: Call) -> Answer:
        self._calls.clear()
        task_id = self._task_id(call)
        self._numbers[task_id] = call.json["input"]["number"]
        return started(self, task_id)

    def _watched(self, call: Call) -> Stream:
        self._calls.clear()
        number = self._numbers.pop(self._task_id(call))
        last = event(2, "taskError", reason="as it should") if number == self._failing else end(2, number)
        return from_position(event(1, "taskStart", input=None), last)(call)

    @staticmethod
    def _task_id(call: Call) -> str:
        return call.path.rpartition("/")[2].partition("?")[0]


def serve(connection: Connection, failing: int) -> None:
    """Runs the service until the other end is closed."""
    with Service(failing) as server:
        connection.send(server.access_token)
        with suppress(EOFError):
            connection.recv()


class Tally:
    """What has come, and what memory was held then."""

    def __init__(self, count: int, failing: int) -> None:
        self._count = count
        self._failing = failing
        self._seen = bytearray(count)
        self.wrong = list[str]()
        self.held = list[int]()
        self._taken = 0

    def take(self, item: TaskItem) -> None:
        """Counts one."""
        self._taken += 1
        self._seen[item.index] += 1
        if item.input["number"] != item.index:
            self.wrong.append(f"{item!r} has the input {item.input}")
        elif item.index != self._failing:
            if item.error is not None or item.result.result != item.index:
                self.wrong.append(repr(item))
        elif not isinstance(item.error, TaskFailedError) or not any(
            f"input {self._failing}: {{'number': {self._failing}" in note for note in item.error.__notes__
        ):
            self.wrong.append(repr(item))
        if self._taken % (self._count // _PARTS) == 0:
            gc.collect()
            self.held.append(sys.getallocatedblocks())

    def is_good(self) -> bool:
        """Says whether all was as it should be, and prints what was not."""
        times = Counter(self._seen)
        for what in self.wrong[:20]:
            print(what)
        # Neither the first part, in which everything comes that is imported or pooled, nor the last, in which less
        # and less is under way; and of some the least, since how much is under way varies.
        growth = min(self.held[-4:-1]) - min(self.held[1:4])
        print(
            f"{times[1]} of {self._count} came once; blocks of memory that Python has held after each tenth:"
        )
        print(*self.held)
        return times == {1: self._count} and not self.wrong and growth < _VARIES + self._count


def inputs(count: int) -> Iterator[dict[str, object]]:
    """Inputs of a size that shows if they are kept."""
    for number in range(count):
        yield {"number": number, "text": "x" * 1000}


def main(arguments: list[str]) -> int:
    """Runs so many tasks; returns 0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.task.many")
    parser.add_argument("count", type=int)
    parser.add_argument("--file-limit", type=int, default=1024)
    parser.add_argument("--async", action="store_true", dest="asynchronous")
    told = parser.parse_args(arguments)
    failing = told.count * 7 // 10
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    service = context.Process(target=serve, args=(theirs, failing))
    service.start()
    theirs.close()
    client = Client(ours.recv())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (told.file_limit, most))
    tally = Tally(told.count, failing)

    async def awaiting() -> None:
        async with aio.map_tasks("t", inputs(told.count), client=client) as items:
            async for item in items:
                tally.take(item)

    if told.asynchronous:
        asyncio.run(awaiting())
    else:
        with map_tasks("t", inputs(told.count), client=client) as items:
            for item in items:
                tally.take(item)
    ours.close()
    service.join()
    good = tally.is_good() and service.exitcode == 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"at most {peak / (2**20 if sys.platform == 'darwin' else 2**10):.0f} MiB in memory")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
