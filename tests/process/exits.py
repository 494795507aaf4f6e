"""Counts how many scripts that end right after `Task(...)` have started their task. Part of `make soak`.

python -m tests.process.exits 100
"""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

from tests.process.children import run

from requence._token import decode_access_token, encode_access_token
from requence.local import LocalServer, NodeContext, TaskTemplate

WAYS = {
    "plain": """
        from requence.task import Task
        Task("note", "{number}")
        """,
    "in asyncio.run": """
        import asyncio
        from requence.task import Task

        async def main():
            Task("note", "{number}")

        asyncio.run(main())
        """,
}
_AT_ONCE = 4


def main(count: int) -> int:
    """Runs so many scripts of each kind; returns how many tasks are missing, or there twice, or made noise."""
    seen = Counter[str]()
    template = TaskTemplate("note")

    @template.node
    def note(ctx: NodeContext) -> None:
        seen[ctx.input] += 1

    wrong = 0
    with LocalServer(template) as server:
        bearer = decode_access_token(server.access_token, source="the server").bearer
        for host in ("127.0.0.1", "localhost"):
            token = encode_access_token(bearer, server.url.replace("127.0.0.1", host))
            for way, script in WAYS.items():
                names = [f"{host}, {way}, {number}" for number in range(count)]
                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    scripts = [textwrap.dedent(script).format(number=name) for name in names]
                    done = list(pool.map(run, scripts, repeat(token)))
                noisy = sum(bool(child.returncode or child.stderr) for child in done)
                server_done(server)
                once = sum(seen[name] == 1 for name in names)
                wrong += count - once + noisy
                print(f"{host}, {way}: {once} of {count} started once, {noisy} with an error or a message")
    return wrong


def server_done(server: LocalServer) -> None:
    """Lets the server finish what it has accepted."""
    from requence.task import Task

    Task("note", "the last one", priority=0, client=server.client).sync.wait(60)


if __name__ == "__main__":
    sys.exit(min(main(int(sys.argv[1])), 1))
