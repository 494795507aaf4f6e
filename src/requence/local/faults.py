"""Breaks things on purpose: what networks, proxies and busy servers do to clients, when a test asks for it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from requence._brief import brief, listed
from requence.exceptions import ConfigurationError

__all__ = ["Fault", "Faults", "StreamOperation", "broken"]

StreamOperation: TypeAlias = Literal["watch", "watch_all"]
Operation: TypeAlias = Literal[
    "prepare",
    "finalize",
    "watch",
    "watch_all",
    "ack",
    "abort",
    "protect",
    "get",
    "types",
    "upload",
    "download",
    "register_stream",
    "send_stream",
    "download_stream",
]
_OF_A_TEMPLATE = ("prepare", "finalize", "watch", "ack", "abort", "protect", "get")
_Kind: TypeAlias = Literal["drop", "half_event", "end", "duplicate", "silence", "status", "slow_start"]


@dataclass(eq=False, repr=False)
class Fault:
    """One thing that goes wrong, made by a method of `server.faults`.

    Attributes:
        kind: What goes wrong: the name of the method.
        operation: Where.
        template: Only with tasks of this template; None for all.
        left: With how many more requests; None for all until `clear`.
        struck: How often it has gone wrong so far.
    """

    kind: _Kind
    operation: Operation
    template: str | None
    left: int | None
    after: int = 0
    status: int = 0
    seconds: float = 0.0
    struck: int = 0

    def __repr__(self) -> str:
        of = "" if self.template is None else f" of {brief(self.template, 60)}"
        left = "no limit" if self.left is None else f"{self.left} left"
        return f"<Fault {self.kind} in {self.operation}{of}: struck {self.struck}, {left}>"


class Faults:
    """What goes wrong at a server. Each request meets one fault at the most: the one that was asked for first.

    All methods may be called from any thread, before and while the server runs. `operation` is "prepare",
    "finalize", "watch", "watch_all", "ack", "abort", "protect", "get", "types", "upload", "download",
    "register_stream", "send_stream" or "download_stream"; `template` confines a fault to tasks of one template;
    `times` says how many requests meet it, None for all until `clear`.

    Raises:
        ConfigurationError: From every method: an argument makes no sense.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def drop(
        self,
        after: int = 0,
        *,
        operation: Operation = "watch",
        template: str | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Cuts the connection: of a stream after so many events, of other operations instead of the answer.

        Everything but a stream is carried out first: the client cannot know whether it was.
        """
        return self._add("drop", operation, template, times, after=after)

    def half_event(
        self,
        after: int = 0,
        *,
        operation: StreamOperation = "watch",
        template: str | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Cuts the connection in the middle of the event that comes after so many."""
        return self._add("half_event", operation, template, times, after=after)

    def end(
        self,
        after: int = 0,
        *,
        operation: StreamOperation = "watch",
        template: str | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Ends a stream in due form after so many events, as some proxies do."""
        return self._add("end", operation, template, times, after=after)

    def duplicate(
        self,
        after: int = 0,
        *,
        operation: StreamOperation = "watch",
        template: str | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Sends every event twice that comes after so many."""
        return self._add("duplicate", operation, template, times, after=after)

    def silence(
        self,
        after: int = 0,
        *,
        operation: StreamOperation = "watch",
        template: str | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Sends nothing more after so many events, not even signs of life, and keeps the connection open."""
        return self._add("silence", operation, template, times, after=after)

    def status(
        self,
        status: int,
        *,
        operation: Operation = "watch",
        retry_after: float | None = None,
        template: str | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Answers with this status instead of carrying the operation out.

        Args:
            status: 400 to 599.
            operation: Where.
            retry_after: Seconds for a `Retry-After` header, rounded up to whole ones; None for no such header.
            template: Only with tasks of this template.
            times: How many requests meet it.
        """
        if isinstance(status, bool) or status not in range(400, 600):
            raise ConfigurationError(f"status must be from 400 to 599, not {status!r}")
        seconds = -1.0 if retry_after is None else _checked_seconds("retry_after", retry_after)
        return self._add("status", operation, template, times, status=status, seconds=seconds)

    def slow_start(
        self,
        seconds: float,
        *,
        operation: Operation = "watch",
        template: str | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Waits so long before it does anything for a request."""
        checked = _checked_seconds("seconds", seconds)
        return self._add("slow_start", operation, template, times, seconds=checked)

    def __repr__(self) -> str:
        with self._lock:
            return f"<Faults: {listed(f'{fault.kind} in {fault.operation}' for fault in self._faults)}>"

    def clear(self) -> None:
        """Nothing goes wrong any more. A stream that has met a fault already keeps it."""
        with self._lock:
            self._faults.clear()

    def met_by(self, operation: str, template: Callable[[], str | None]) -> Fault | None:
        """Returns the fault that a request meets, which counts as met then.

        Args:
            operation: What the request is for.
            template: Says which template it is about, if that is known.
        """
        with self._lock:
            for fault in self._faults:
                if fault.operation == operation and fault.template in (None, template()):
                    if fault.left is not None:
                        fault.left -= 1
                        if not fault.left:
                            self._faults.remove(fault)
                    return fault
        return None

    def _add(
        self,
        kind: _Kind,
        operation: Operation,
        template: str | None,
        times: int | None,
        *,
        after: int = 0,
        status: int = 0,
        seconds: float = 0.0,
    ) -> Fault:
        known = get_args(Operation if kind in ("drop", "status", "slow_start") else StreamOperation)
        if operation not in known:
            raise ConfigurationError(
                f"operation of {kind} must be one of {', '.join(known)}, not {operation!r}"
            )
        if template is not None and operation not in _OF_A_TEMPLATE:
            raise ConfigurationError(
                f'template= makes no sense for "{operation}", which is not about one task'
            )
        _check_count("after", after, 0)
        if after and operation not in get_args(StreamOperation):
            raise ConfigurationError(f'after= makes no sense for "{operation}", which streams no events')
        if times is not None:
            _check_count("times", times, 1)
        fault = Fault(kind, operation, template, times, after=after, status=status, seconds=seconds)
        with self._lock:
            self._faults.append(fault)
        return fault


async def broken(
    fault: Fault,
    chunks: AsyncIterator[bytes],
    *,
    cut: Callable[[], Awaitable[None]],
    stand: Callable[[], Awaitable[object]],
) -> AsyncIterator[bytes]:
    """Yields what is sent of a stream that meets a fault.

    Args:
        fault: The fault.
        chunks: Events, each as a whole, and comments between them.
        cut: Closes the connection.
        stand: Waits until the server stops.
    """
    sent = 0
    between_events = fault.kind not in ("half_event", "duplicate")
    while not (between_events and sent >= fault.after):
        chunk = await anext(chunks, None)
        if chunk is None:
            return
        is_event = not chunk.startswith(b":")
        if is_event and sent >= fault.after:
            fault.struck += 1
            if fault.kind == "half_event":
                yield chunk[: len(chunk) // 2]
                await cut()
                return
            yield chunk
        yield chunk
        sent += is_event
    fault.struck += 1
    if fault.kind == "drop":
        await cut()
    elif fault.kind == "silence":
        await stand()


def _check_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number from {least} on, not {value!r}")


def _checked_seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10**9:
        raise ConfigurationError(f"{name} must be a number of seconds from 0 on, not {value!r}")
    return float(value)
