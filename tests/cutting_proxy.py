"""A TCP proxy that cuts connections: after so many bytes of the answer, wherever in the answer that is.

```python
with ScriptedServer() as server, CuttingProxy(server.url) as proxy:
    route = proxy.route(Plan(cut_after=17), None, Plan(cut_after=200, by="reset"))
    server.script("finalize", started(server, "task-1", urls={"watch": f"{route.url}/follow-here/task-1"}))
```

It knows nothing of HTTP, so a cut can be inside a status line, a header, the size of a chunk or a character: where
a scripted server cannot end its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypeAlias, cast
from urllib.parse import urlsplit

from tests.scripted_server import PATIENCE, reset

__all__ = ["CuttingProxy", "Ending", "Plan", "Route"]

_AT_ONCE = 65536  # bytes; what a plan has no piece for is passed on as it comes, up to so much

Ending: TypeAlias = Literal["fin", "reset"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the bytes that the server sends on one connection.

    They are counted over all answers of the connection. Each piece is given to the network on its own, but nothing
    can make the client take it from there before the next one has come.

    Attributes:
        cut_after: How many are passed on before the cut: 0 cuts when the first one arrives, so that the server has
            acted on the request; None never cuts.
        by: How the connection is cut: properly, or by a reset. A reset drops what has not found room in the
            client's window yet, so for more bytes than that it comes earlier than the plan says.
        pieces: The largest sizes of the first pieces in which they are passed on; the rest goes on as it comes.
    """

    cut_after: int | None = None
    by: Ending = "fin"
    pieces: tuple[int, ...] = ()


class Route:
    """A port of the proxy, with plans of its own. Made by `CuttingProxy.route`.

    Attributes:
        url: Its root URL, to be used in the place of the server's.
        connections: How many connections it has accepted.
        cuts: How many of them it has cut.
    """

    def __init__(self, listener: asyncio.Server, plans: tuple[Plan | None, ...]) -> None:
        self.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        self.connections = 0
        self.cuts = 0
        self._listener = listener
        self._plans = deque(plans)

    def plan(self, *plans: Plan | None) -> None:
        """Says what becomes of the next connections, one plan for each; replaces the plans that are left."""
        self._plans = deque(plans)

    def next_plan(self) -> Plan:
        """Counts a connection and returns its plan. Where none is left, everything is passed on."""
        self.connections += 1
        plans = self._plans
        return (plans.popleft() if plans else None) or Plan()

    def stop_listening(self) -> None:
        """Accepts no more connections; those there are go on. To be called in the proxy's thread."""
        self._listener.close()


class CuttingProxy:
    """The proxy, on loopback, in a thread of its own. A context manager that leaves nothing open."""

    def __init__(self, server_url: str) -> None:
        """Prepares to stand in front of a server.

        Args:
            server_url: Any URL of the server; only its host and port count.
        """
        target = urlsplit(server_url)
        self._server = (target.hostname, target.port)
        self._routes: set[Route] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._faults: list[BaseException] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="cutting-proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        if self._faults and error is None:
            raise self._faults[0]

    def route(self, *plans: Plan | None) -> Route:
        """Opens a port whose connections follow these plans, in the order in which they are accepted.

        A plan of None passes everything on, as is done when none is left. May be called in any thread.
        """
        return asyncio.run_coroutine_threadsafe(self._listen(plans), self._loop).result(PATIENCE)

    def close(self, route: Route) -> None:
        """Closes a route's port, to have no more of them open than are in use. May be called in any thread."""
        self._loop.call_soon_threadsafe(self._forget, route)

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_forever()

    async def _listen(self, plans: tuple[Plan | None, ...]) -> Route:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._accept(route, reader, writer)

        listener = await asyncio.start_server(accept, "127.0.0.1", 0, start_serving=False)
        route = Route(listener, plans)
        self._routes.add(route)
        await listener.start_serving()
        return route

    def _forget(self, route: Route) -> None:
        self._routes.discard(route)
        route.stop_listening()

    async def _stop(self) -> None:
        for route in list(self._routes):
            self._forget(route)
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the loop's next round

    async def _accept(
        self, route: Route, client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._serving.add(task)
        plan = route.next_plan()
        try:
            server, to_server = await asyncio.open_connection(*self._server)
            try:
                cut = await _serve(plan, client, to_client, server, to_server)
            finally:
                to_server.transport.abort()  # nothing that is still to be sent there matters to anybody
            if cut:
                route.cuts += 1
                if plan.by == "reset":
                    reset(to_client)
        except ConnectionError:  # the server has reset the connection, or is gone
            reset(to_client)
        except asyncio.CancelledError:
            pass  # the proxy stops; asyncio would report a cancelled connection as an error
        except BaseException as error:
            self._faults.append(error)
        finally:
            to_client.transport.abort()  # a proper end, unless it was a reset: nothing waits to be sent any more
            self._serving.discard(task)


async def _serve(
    plan: Plan,
    client: asyncio.StreamReader,
    to_client: asyncio.StreamWriter,
    server: asyncio.StreamReader,
    to_server: asyncio.StreamWriter,
) -> bool:
    """Passes on both directions until one of them ends, or until the cut is due; returns whether it is."""
    to_client.transport.set_write_buffer_limits(0)  # `drain` returns when everything is with the network
    asking = asyncio.ensure_future(_pass_on(client, to_server, Plan()))
    answering = asyncio.ensure_future(_pass_on(server, to_client, plan))
    try:
        await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
        return answering.done() and answering.result()
    finally:
        for task in (asking, answering):
            task.cancel()
        await asyncio.gather(asking, answering, return_exceptions=True)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, plan: Plan) -> bool:
    """Passes on bytes until they end (returns False) or the plan's cut is due (returns True)."""
    left = sys.maxsize if plan.cut_after is None else plan.cut_after
    if left == 0:
        return await source.read(1) != b""
    pieces = iter(plan.pieces)
    while left:
        piece = await source.read(min(next(pieces, _AT_ONCE), left))
        if not piece:
            return False
        target.write(piece)
        await target.drain()
        left -= len(piece)
    return True
