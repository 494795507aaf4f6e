"""How long a stream may be silent before its connection counts as lost. Pure: the clock is an argument."""

from __future__ import annotations

__all__ = ["SilenceLimit"]

_WITHOUT_COMMENTS = 300.0
_AT_LEAST = 30.0
_GAPS = 3


class SilenceLimit:
    """Learns from the comments of a stream: three times the longest gap between two of one connection.

    Servers send comments to show that they are alive, each at an interval of its own; what it is cannot be known
    from one alone. At least 30 seconds, and 300 until a gap was seen.
    """

    def __init__(self) -> None:
        self._longest_gap: float | None = None
        self._last_comment: float | None = None

    @property
    def seconds(self) -> float:
        """The present limit."""
        if self._longest_gap is None:
            return _WITHOUT_COMMENTS
        return max(_AT_LEAST, _GAPS * self._longest_gap)

    def connection_opened(self) -> None:
        """Begins a connection: the time since the last comment of another one says nothing."""
        self._last_comment = None

    def comment_seen(self, now: float) -> None:
        """Takes note of a comment."""
        if self._last_comment is not None:
            self._longest_gap = max(self._longest_gap or 0.0, now - self._last_comment)
        self._last_comment = now
