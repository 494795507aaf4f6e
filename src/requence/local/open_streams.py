"""Which event streams are open at a server. On its event loop."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["OpenStreams"]


class OpenStreams:
    """The event streams that are being answered, in the order in which they were opened."""

    def __init__(self) -> None:
        self._of: dict[object, str | None] = {}

    def __iter__(self) -> Generator[str | None]:
        """Yields for each the id of the task, None for the stream of all tasks."""
        yield from self._of.values()

    @contextmanager
    def one(self, task_id: str | None) -> Generator[None]:
        """Counts a stream as open while the context lasts."""
        key = object()
        self._of[key] = task_id
        try:
            yield
        finally:
            del self._of[key]
