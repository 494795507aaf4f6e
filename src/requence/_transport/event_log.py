"""What was read of a task's log so far: which events are new, which were seen, which are damaged. Pure.

Positions tell a replay from news. Where an event has none of its own (it then bears that of the event before it,
or none at all), only its content does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from requence._json import as_object
from requence._transport.sse import ServerSentEvent

__all__ = ["DamagedEventError", "EventLog", "LogEvent"]

_decode = msgspec.json.Decoder().decode
_POSITION_DIGITS = 18  # what fits a 64-bit integer; a longer number is no position


LogEvent: TypeAlias = tuple[int | None, str, dict[str, Any]]
"""One event, decoded: its position in the log, or None if the service numbers nothing; the event's name, which is
the update's type; the JSON object that it carries. Plain, since there may be very many.
"""


class DamagedEventError(ValueError):
    """An event is not a JSON object.

    Attributes:
        position: Its position, or None.
        name: Its name.
        again: Whether it came damaged before, so that fetching it once more is of no use.
    """

    def __init__(self, problem: str, *, position: int | None, name: str, again: bool) -> None:
        super().__init__(problem)
        self.position = position
        self.name = name
        self.again = again


class EventLog:
    """Reads a task's log over any number of connections and replays.

    What has a position of its own costs no memory. An event without one can come again in any later replay, so it
    is remembered for as long as the log is read: about 65 bytes for each.

    Attributes:
        position: The position of the last event that was read or skipped, or None.
    """

    def __init__(self, position: int | None = None) -> None:
        """Begins after a position, by default at the start of the log."""
        self.position = position
        self._read_elsewhere = position  # the event at this position may be replayed, too
        self._last_key: int | None = None  # of the event that brought the present position
        self._unnumbered: set[int] = set()
        self._damaged: set[tuple[int | None, int]] = set()
        self._skipped: set[tuple[int | None, int]] = set()

    def read_all(self, events: Sequence[ServerSentEvent]) -> list[LogEvent] | None:
        """Reads events that are whole, new and numbered without a doubt: at once, in half the time of `read`.

        Returns:
            The events; None, and none of them is read, if one may be something else: `read` tells what.
        """
        read: list[LogEvent] = []
        name, data, last = "", "", -1 if self.position is None else self.position
        try:
            for id_text, name, data in events:
                position, payload = int(id_text), _decode(data)
                if position <= last or payload.__class__ is not dict or not _is_position(id_text):
                    return None
                last = position
                read.append((position, name, payload))
        except (ValueError, RecursionError):  # of the decoder as well
            return None
        if read:
            self.position, self._last_key = last, _key(name, data, read[-1][2])
        return read

    def read(self, event: ServerSentEvent) -> LogEvent | None:
        """Returns an event that is new, and None for one that was read or skipped before.

        Raises:
            DamagedEventError: It cannot be read. When it is damaged for the second time it is skipped: the
                position is behind it, and a replay of it is not reported again.
        """
        id_text, name, data = event
        position = _position(id_text)
        if position is not None and self.position is not None and position < self.position:
            return None
        read_elsewhere = position is not None and position == self._read_elsewhere
        if read_elsewhere:
            self._read_elsewhere = (
                None  # what comes after it without an id of its own bears the same position
            )
        try:
            payload = _object(data)
        except (ValueError, RecursionError) as error:
            if not read_elsewhere:
                self._note_damage(position, event, str(error))
            return None
        key = _key(name, data, payload)
        if read_elsewhere:
            self._last_key = key
            return None
        if self._is_known(position, key):
            return None
        return position, name, payload

    def _is_known(self, position: int | None, key: int) -> bool:
        """Says whether an event was read before, and remembers it."""
        if position is not None and position != self.position:
            self.position, self._last_key = position, key
            return False
        if key == self._last_key or key in self._unnumbered:
            return True
        self._unnumbered.add(key)
        return False

    def _note_damage(self, position: int | None, event: ServerSentEvent, problem: str) -> None:
        # Damage need not look the same each time, so it is known by its position, where it has one of its own.
        _, name, data = event
        own = position is not None and position != self.position
        mark = (position, 0 if own else hash((name, data)))
        if mark in self._skipped or (position, 0) in self._skipped:
            return
        again = mark in self._damaged
        self._damaged.add(mark)
        if again:
            self._skipped.add(mark)
            if own:
                self.position, self._last_key = position, None
        raise DamagedEventError(problem, position=position, name=name, again=again)


def _is_position(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _POSITION_DIGITS


def _position(text: str) -> int | None:
    return int(text) if _is_position(text) else None


def _key(name: str, data: str, payload: dict[str, Any]) -> int:
    """Returns what tells an event from others that bear the same position."""
    update_id = payload.get("updateId")
    return hash(update_id if isinstance(update_id, str) and update_id else (name, data))


def _object(text: str) -> dict[str, Any]:
    value = _decoded(text)
    fields = as_object(value)
    if fields is None:
        raise ValueError(f"a {type(value).__name__} where an object was expected")
    return fields


def _decoded(text: str) -> object:
    """Decodes JSON; also halves of surrogate pairs, from texts cut in two, which JavaScript sends."""
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return json.loads(text)
