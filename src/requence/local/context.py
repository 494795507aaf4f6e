"""What a handler is given: `NodeContext`."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, NoReturn, Protocol

from requence._brief import brief, word
from requence.exceptions import UsageError
from requence.local.json_values import encode

__all__ = ["DataByAlias", "DebugLog", "Desk", "NodeAborted", "NodeContext", "NodeRetried", "NodeSkipped"]

_LEAST_DELAY_MS = 100
_LONGEST_TIMEOUT = 36_525 * 86_400.0  # seconds
_DEFAULT_DELAY_MS = 1000
_MOST_DELAY_MS = 366 * 86_400_000


class NodeAborted(Exception):  # noqa: N818 (a way out of the handler, not a fault)
    """Raised by `NodeContext.abort`: the handler is left, and its node fails with the reason."""


class NodeSkipped(Exception):  # noqa: N818 (as above)
    """Raised by `NodeContext.skip`: the handler is left, and its node ends without data."""


class NodeRetried(Exception):  # noqa: N818 (as above)
    """Raised by `NodeContext.retry`: the handler is left, and its node runs again after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"runs again in {seconds:g} s")
        self.seconds = seconds


class Desk(Protocol):
    """Takes what a handler hands in while it runs, from whatever thread."""

    def deliver(self, output: str | None, text: str) -> None:
        """Takes the JSON text of a value for an output."""
        ...

    def defer(self, reason: str | None, timeout: float | None) -> str:
        """Returns the key by which the node is ended from outside."""
        ...


class _NoDesk:
    """Stands in where there is no server: what is handed in goes nowhere."""

    def deliver(self, output: str | None, text: str) -> None:
        pass

    def defer(self, reason: str | None, timeout: float | None) -> str:  # noqa: ARG002 (a protocol's signature)
        return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, repr=False)
class DebugLog:
    """Writes what a handler wants to say to the logger `requence.local.<template>`."""

    logger: logging.Logger = field(default=logging.getLogger("requence.local"))

    def __repr__(self) -> str:
        return f"<DebugLog to the logger {brief(self.logger.name)}>"

    def log(self, *values: object) -> None:
        """Writes a line at level DEBUG."""
        self._write(logging.DEBUG, values)

    def info(self, *values: object) -> None:
        """Writes a line at level INFO."""
        self._write(logging.INFO, values)

    def warn(self, *values: object) -> None:
        """Writes a line at level WARNING."""
        self._write(logging.WARNING, values)

    def error(self, *values: object) -> None:
        """Writes a line at level ERROR."""
        self._write(logging.ERROR, values)

    def _write(self, level: int, values: tuple[object, ...]) -> None:
        if self.logger.isEnabledFor(level):
            self.logger.log(level, "%s", " ".join(map(str, values)), stacklevel=3)


class DataByAlias(Mapping[str, Any]):
    """Data of nodes by alias, read from JSON text at each access: what a handler changes, only it sees."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = dict(texts)

    def __getitem__(self, alias: str) -> Any:
        return json.loads(self._texts[alias])

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return f"DataByAlias({brief({alias: self[alias] for alias in islice(self, 10)}, 150)})"


def _no_files(reference: object) -> BinaryIO:  # noqa: ARG001 (what a server's own function takes)
    raise UsageError("There is no server whose files could be opened; for a unit test give open_file=")


def _no_data() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, repr=False)
class NodeContext:
    """What a handler is given. For a unit test make one yourself: `read(NodeContext({"path": "x"}))`.

    Attributes:
        input: What arrived at the node. The edges decide the shape: `after=x` gives the data of `x`,
            `after=[x, y]` a dict by alias, `after=any_of(x, y)` the data of the first, `after=x.output("pdf")`
            what went to that output, `after=x.on_fail` a dict `{"node": alias, "error": text}`, and an entry node
            gets the task's input. Plain JSON values, yours alone.
        task_input: The task's input.
        task_id: The task's id.
        node_data: The data of the nodes that had succeeded when this one started, by alias.
        debug: `debug.log`, `.info`, `.warn`, `.error` write to the logger `requence.local.<template>`.
        terminated: Set when nobody waits for the handler any more, because the task was aborted or has ended, or
            the server stops. A handler that takes long looks at it from time to time (`ctx.terminated.is_set()`,
            `ctx.terminated.wait(1)`) and returns; what it returns then is dropped. A generator is closed at its
            next `yield`.
        configuration: What `@template.node(configuration=…)` says; None if it says nothing.
        open_file: How `file` opens what a reference stands for. For a unit test give your own, for instance
            `lambda reference: io.BytesIO(b"…")`.
    """

    input: Any = None
    task_input: Any = None
    task_id: str = ""
    node_data: Mapping[str, Any] = field(default_factory=_no_data)
    debug: DebugLog = field(default_factory=DebugLog)
    terminated: threading.Event = field(default_factory=threading.Event)
    configuration: Any = None
    open_file: Callable[[object], BinaryIO] = field(default=_no_files, repr=False, kw_only=True)
    _desk: Desk = field(default_factory=_NoDesk, repr=False, kw_only=True)

    def __repr__(self) -> str:
        of = f" of task {word(self.task_id)}" if self.task_id else ""
        terminated = ", terminated" if self.terminated.is_set() else ""
        return f"<NodeContext{of}{terminated}: input {brief(self.input)}>"

    def file(self, reference: object) -> BinaryIO:
        """Opens the content of a file or stream that arrived in the input.

        ```python
        with ctx.file(ctx.input["invoice"]) as content:
            text = content.read().decode()
        ```

        Args:
            reference: What stands for it in the input, a dict with `url`; or that URL.

        Returns:
            A binary file, open for reading; close it.

        Raises:
            UsageError: It is no file or stream of this server, or not all of it has arrived.
        """
        return self.open_file(reference)

    def abort(self, reason: str | None = None) -> NoReturn:
        """Leaves the handler; the node fails with this reason. Never returns.

        Args:
            reason: The error's text for people. Default: "The node was aborted by its handler".

        Raises:
            NodeAborted: Always.
        """
        raise NodeAborted(reason or "The node was aborted by its handler")

    def skip(self) -> NoReturn:
        """Leaves the handler; the node ends without data, and what follows it does not run by it. Never returns.

        What was delivered before, to outputs with names for instance, stays delivered.

        Raises:
            NodeSkipped: Always.
        """
        raise NodeSkipped("The node was skipped by its handler")

    def retry(self, delay: float | None = None) -> NoReturn:
        """Leaves the handler; the node runs again from its start after a while. Never returns.

        Meanwhile the node takes nobody's place. What it has delivered so far does not count any more.

        Args:
            delay: How long to wait, in milliseconds; at least 100, at most a year. Default: 1000.

        Raises:
            NodeRetried: Always, unless the delay is too short.
            ValueError: The delay is too short or too long; the node fails by it.
        """
        milliseconds = _DEFAULT_DELAY_MS if delay is None else delay
        if not _LEAST_DELAY_MS <= milliseconds <= _MOST_DELAY_MS:
            raise ValueError(
                f"ctx.retry takes a delay of at least {_LEAST_DELAY_MS} ms and at most a year, not {delay} ms"
            )
        raise NodeRetried(milliseconds / 1000)

    def to_output(self, name: str, value: Any) -> None:
        """Delivers a value to an output with a name, for what follows `node.output(name)`; the handler goes on.

        What follows runs when the node has ended, with the last value that went there. A handler that has used an
        output and returns None has delivered to the named outputs only.

        Args:
            name: The output.
            value: Any JSON.

        Raises:
            ValueError: The value is not JSON, or the name is not text.
        """
        given: object = name
        if not isinstance(given, str) or not given:
            raise ValueError(f"The name of an output must be text, not {name!r}")
        self._desk.deliver(name, encode(value, f"output {json.dumps(name)}"))

    def defer(self, reason: str | None = None, *, timeout: float | None = None) -> str:
        """Says that the node ends later, from outside: with `server.act(key, result=…)` or `POST /act/{key}`.

        Hand the key to whoever is to decide, and return: what the handler returns is dropped, and while the node
        waits it takes nobody's place. It goes on waiting when the server is stopped and started again on the same
        file. If the server dies before the handler has returned, the handler runs again and gets the same key.

        Args:
            reason: What it waits for, for people.
            timeout: After how many seconds the node fails if nobody has acted; at most a century. Default: never.

        Returns:
            The key. Whoever has it can end the node; keep it as secret as that demands.

        Raises:
            ValueError: The timeout is no such number, or the reason is not text; the node fails by it.
        """
        said: object = reason
        if said is not None and not isinstance(said, str):
            raise ValueError(f"ctx.defer takes a text as its reason, not {type(said).__name__}")
        given: object = timeout
        if given is not None and (not isinstance(given, int | float) or not 0 <= given <= _LONGEST_TIMEOUT):
            raise ValueError(f"ctx.defer takes a timeout from 0 seconds to a century, not {timeout!r}")
        return self._desk.defer(reason, timeout)
