"""An HTTP proxy that records what it is asked: it passes requests on, and opens tunnels by CONNECT.

```python
with ScriptedServer(host="service.test") as server, HTTPProxy() as proxy:
    Task("my-template", client=server.client_with(proxy=proxy.url))
    proxy.asked[0].target                     # "http://service.test:…/api/task/prepare/my-template"
```

Whatever host it is asked for, it connects to the same port of this machine: no test needs a name to be resolved.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

from tests.scripted_server import PATIENCE

__all__ = ["Asked", "HTTPProxy"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the proxy saw it.

    Attributes:
        method: Its method, CONNECT for a tunnel.
        target: Its target, byte for byte.
        headers: Its headers, names in lower case.
        raw: The whole head, as it came.
    """

    method: str
    target: str
    headers: dict[str, str]
    raw: str


class HTTPProxy:
    """The proxy, on loopback, in a thread of its own. A context manager.

    Attributes:
        url: Its URL, without user and password.
        asked: What it was asked so far.
        refuse: A status to answer everything with; None to do what is asked.
        tunnelled: The first bytes that went through each tunnel.
    """

    def __init__(
        self,
        *,
        user: str | None = None,
        password: str = "",
        refuse: int | None = None,
        echo: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepares a proxy.

        Args:
            user: Who may use it; None for everybody.
            password: The user's password.
            refuse: A status to answer everything with.
            echo: Whether refusals repeat the head of the request.
            tls: Its side of the encryption, if connections to itself are encrypted.
        """
        self.url = ""
        self.asked: list[Asked] = []
        self.tunnelled: list[bytes] = []
        self._expected = None if user is None else _basic(user, password)
        self.refuse = refuse
        self._changed = threading.Condition()
        self._echo = echo
        self._tls = tls
        self._faults: list[BaseException] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="http-proxy")
        self._listener: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(PATIENCE)
        self.url = f"{'https' if self._tls else 'http'}://localhost:{port}"
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

    def url_for(self, user_and_password: str) -> str:
        """Returns its URL with a user and a password in it, to be given percent-encoded."""
        return self.url.replace("://", f"://{user_and_password}@")

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Blocks until a condition on what it was asked holds.

        Raises:
            AssertionError: It did not come to that.
        """
        with self._changed:
            if not self._changed.wait_for(condition, timeout=PATIENCE):
                raise AssertionError(f"it did not come to that; the proxy was asked: {self.asked}")

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_forever()

    async def _listen(self) -> int:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        return cast("int", self._listener.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the loop's next round

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._serving.add(task)
        try:
            await self._serve(client, to_client)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # one of the two left
        except asyncio.CancelledError:
            pass  # the proxy stops; asyncio would report a cancelled connection as an error
        except BaseException as error:
            self._faults.append(error)
        finally:
            to_client.transport.abort()
            self._serving.discard(task)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Serves one connection: a tunnel, or a single request."""
        head = (await client.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        with self._changed:
            self.asked.append(Asked(method, target, headers, head))
            self._changed.notify_all()
        status = self.refuse
        if status is None and self._expected not in (None, headers.get("proxy-authorization")):
            status = 407
        if status is not None:
            body = f"refused: {head}".encode() if self._echo else b"refused"
            fields = f"HTTP/1.1 {status} Refused\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            to_client.write(fields.encode() + body)
            await to_client.drain()
            await client.read()  # until the client has had everything, and leaves
            return
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        server, to_server = await asyncio.open_connection("127.0.0.1", parts.port)
        try:
            if method == "CONNECT":
                to_client.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await to_client.drain()
                await self._tunnel(client, to_client, server, to_server)
            else:
                kept = [line for line in lines if not line.lower().startswith("proxy-")]
                origin = f"{parts.path}?{parts.query}" if parts.query else parts.path
                to_server.write("\r\n".join([f"{method} {origin} HTTP/1.1", *kept, "", ""]).encode("latin-1"))
                to_server.write(await client.readexactly(int(headers.get("content-length", "0"))))
                await _relay_answer(client, to_client, server)
        finally:
            to_server.transport.abort()

    async def _tunnel(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        begin = await client.read(65536)
        self.tunnelled.append(begin)
        to_server.write(begin)
        await _first_done(_pump(client, to_server), _pump(server, to_client))


async def _relay_answer(
    client: asyncio.StreamReader, to_client: asyncio.StreamWriter, server: asyncio.StreamReader
) -> None:
    """Passes one answer on as it comes, and says that the connection ends with it."""
    head = await server.readuntil(b"\r\n\r\n")
    to_client.write(head.removesuffix(b"\r\n") + b"Connection: close\r\n\r\n")
    await _first_done(_body(head.lower(), server, to_client), client.read(1))


async def _body(head: bytes, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
    if b"transfer-encoding: chunked" in head:
        while True:
            size = await server.readline()
            to_client.write(size + await server.readexactly(int(size, 16) + 2))
            await to_client.drain()
            if int(size, 16) == 0:
                return
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    to_client.write(await server.readexactly(length))
    await to_client.drain()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while piece := await source.read(65536):
        target.write(piece)
        await target.drain()


async def _first_done(*work: Coroutine[Any, Any, object]) -> None:
    """Runs coroutines until one has ended; the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
