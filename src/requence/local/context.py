"""What a handler is given: `NodeContext`."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NoReturn

from requence.exceptions import UsageError

__all__ = ["DebugLog", "NodeAborted", "NodeContext", "NodeData"]


class NodeAborted(Exception):  # noqa: N818 (a way out of the handler, not a fault)
    """Raised by `NodeContext.abort`: the handler is left, and its node fails with the reason."""


@dataclass(frozen=True, slots=True)
class DebugLog:
    """Writes what a handler wants to say to the logger `requence.local.<template>`."""

    logger: logging.Logger = field(default=logging.getLogger("requence.local"))

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


class NodeData(Mapping[str, Any]):
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
        return f"NodeData({dict(self)!r})"


def _no_files(reference: object) -> BinaryIO:  # noqa: ARG001 (what a server's own function takes)
    raise UsageError("There is no server whose files could be opened; for a unit test give open_file=")


def _no_data() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class NodeContext:
    """What a handler is given. For a unit test make one yourself: `read(NodeContext({"path": "x"}))`.

    Attributes:
        input: What arrived at the node. The edges decide the shape: `after=x` gives the data of `x`,
            `after=[x, y]` a dict by alias, `after=x.on_fail` a dict `{"node": alias, "error": text}`, and an
            entry node gets the task's input. Plain JSON values, yours alone.
        task_input: The task's input.
        task_id: The task's id.
        node_data: The data of the nodes that had succeeded when this one started, by alias.
        debug: `debug.log`, `.info`, `.warn`, `.error` write to the logger `requence.local.<template>`.
        terminated: Set when nobody waits for the handler any more, because the task was aborted or has failed
            or the server stops. A handler that takes long looks at it from time to time
            (`ctx.terminated.is_set()`, `ctx.terminated.wait(1)`) and returns; what it returns then is dropped.
        open_file: How `file` opens what a reference stands for. For a unit test give your own, for instance
            `lambda reference: io.BytesIO(b"…")`.
    """

    input: Any = None
    task_input: Any = None
    task_id: str = ""
    node_data: Mapping[str, Any] = field(default_factory=_no_data)
    debug: DebugLog = field(default_factory=DebugLog)
    terminated: threading.Event = field(default_factory=threading.Event)
    open_file: Callable[[object], BinaryIO] = field(default=_no_files, repr=False)

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
