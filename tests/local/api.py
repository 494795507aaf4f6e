"""A plain HTTP client for the local server: what the tests send is what they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from requence._token import decode_access_token
from requence.local import LocalServer

Connect = Callable[[LocalServer], "Api"]


@dataclass(frozen=True)
class Received:
    """One event of a stream."""

    position: int
    name: str
    payload: dict[str, Any]

    @property
    def alias(self) -> str | None:
        alias: str | None = self.payload.get("node", {}).get("alias")
        return alias


class Api:
    """The operations of one server, with its token."""

    def __init__(self, token: str) -> None:
        parts = decode_access_token(token, source="the test")
        self.url = parts.base_url
        self.bearer = parts.bearer
        self.http = httpx.Client(
            base_url=parts.base_url,
            headers={"Authorization": f"Bearer {parts.bearer}"},
            timeout=20,
            verify=False,  # plain http; reading certificates would take most of a short test's time
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def prepare(self, template: str) -> str:
        answer = self.http.post(f"/task/prepare/{template}")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["taskId"])

    def finalize(
        self,
        task_id: str,
        input_value: object = None,
        *,
        priority: int = 5,
        ack: bool = False,
        **more: object,
    ) -> httpx.Response:
        body = {"name": None, "input": input_value, "priority": priority, "requireAck": ack, **more}
        return self.http.post(f"/task/finalize/{task_id}", content=json.dumps(body))

    def start(
        self, template: str, input_value: object = None, *, priority: int = 5, ack: bool = False
    ) -> str:
        task_id = self.prepare(template)
        answer = self.finalize(task_id, input_value, priority=priority, ack=ack)
        assert answer.status_code == 200, answer.text
        return task_id

    def run(self, template: str, input_value: object = None, *, ack: bool = False) -> list[Received]:
        """Starts a task and returns all its events."""
        return list(self.watch(self.start(template, input_value, ack=ack)))

    def watch(self, task_id: str, **body: object) -> Iterator[Received]:
        """Yields events until the server ends the stream."""
        with self.http.stream("POST", f"/task/watch/{task_id}", json={"since": None, **body}) as answer:
            assert answer.status_code == 200, answer.read()
            yield from events_of(answer.iter_lines())

    @contextmanager
    def watch_all(self, **body: object) -> Generator[Iterator[Received]]:
        """Opens the stream of all tasks, which goes on until it is left or the server stops."""
        wanted = {"since": "2000-01-01", **body}
        with self.http.stream("POST", "/task/watch-all", json=wanted) as answer:
            assert answer.status_code == 200, answer.read()
            yield events_of(answer.iter_lines())

    def get(self, task_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/task/{task_id}")
        assert answer.status_code == 200, answer.text
        state: dict[str, Any] = answer.json()
        return state

    def post(self, operation: str, task_id: str, body: bytes = b"") -> httpx.Response:
        return self.http.post(f"/task/{operation}/{task_id}", content=body)


def outline(events: list[Received]) -> list[str]:
    """The events as "name alias"."""
    return [f"{event.name} {event.alias}" if event.alias else event.name for event in events]


def data_of(events: list[Received], alias: str) -> Any:
    """The data of the only update of a node."""
    [data] = [e.payload["data"] for e in events if e.name == "nodeUpdate" and e.alias == alias]
    return data


def events_of(lines: Iterator[str]) -> Iterator[Received]:
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Received(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}
