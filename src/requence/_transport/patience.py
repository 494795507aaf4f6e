"""How long to go on without any contact. Pure: the clock is an argument."""

from __future__ import annotations

from requence.exceptions import StreamInterruptedError

__all__ = ["Patience"]


class Patience:
    """Counts only while there is no contact: a silent task on a reachable service is followed for ever.

    Attributes:
        last_contact: When the service was last heard of, in seconds of the caller's clock.
    """

    def __init__(self, limit: float | None, *, what: str, now: float) -> None:
        """Begins to count.

        Args:
            limit: The longest time without contact in seconds; None means for ever.
            what: What is followed, for the error, such as `task 9f1c…`.
            now: The time.
        """
        self.last_contact = now
        self._limit = limit
        self._what = what

    def excuse(self, seconds: float) -> None:
        """Leaves a time out of account in which no contact was looked for."""
        self.last_contact += seconds

    def is_over(self, now: float) -> bool:
        """Says whether there was no contact for longer than the limit."""
        return self._limit is not None and now - self.last_contact > self._limit

    def error(
        self, now: float, reason: object, *, position: int | None = None, status: int | None = None
    ) -> StreamInterruptedError:
        """Returns the error to give up with."""
        return StreamInterruptedError(
            f"There was no contact with the service for {now - self.last_contact:.0f} seconds ({reason}), "
            f"so following {self._what} was given up; the task may still run",
            position=position,
            status=status,
            hint=f"follow {self._what} again later; Client(patience=None) waits for ever",
        )
