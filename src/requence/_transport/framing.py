"""The frames in which the bytes of a stream are sent, so that their end can be told from a break. Pure.

A frame is its type (1 byte), the length of its payload (4 bytes, big-endian) and the payload: data (0), which may
be empty; the end (1), without a payload; or that the sender broke off (2), with its reason in UTF-8.
"""

from __future__ import annotations

__all__ = ["FRAMED", "PROTOCOL_HEADER", "FrameParser", "FramingError"]

PROTOCOL_HEADER = "x-requence-stream-protocol"
FRAMED = "framed"
"""The value of that header, in a request that asks for frames and in an answer that has them."""

_HEAD = 5
_DATA, _END, _TRUNCATED = 0, 1, 2
_LONGEST_REASON = 65536


class FramingError(ValueError):
    """These bytes are no frames."""


class FrameParser:
    """Takes the data out of frames, in pieces of any size.

    Attributes:
        has_ended: Whether the sender has said that this was all.
        truncated: Why the sender broke off, maybe an empty text; None if it did not.
    """

    def __init__(self) -> None:
        self.has_ended = False
        self.truncated: str | None = None
        self._head = bytearray()
        self._left = 0  # of the payload of the present frame
        self._reason: bytearray | None = None  # while the present frame has one

    def feed(self, piece: bytes) -> bytes:
        """Returns the data in some more bytes, also of a frame that has only begun.

        Raises:
            FramingError: They are no frames, or come after the end.
        """
        data, at = bytearray(), 0
        while at < len(piece):
            if self.has_ended or self.truncated is not None:
                raise FramingError("there are bytes after the end")
            if self._left:
                taken = piece[at : at + self._left]
                at += len(taken)
                self._left -= len(taken)
                if self._reason is None:
                    data += taken
                else:
                    self._reason += taken
                    self._end_reason()
            else:
                missing = _HEAD - len(self._head)
                self._head += piece[at : at + missing]
                at += missing
                if len(self._head) == _HEAD:
                    self._begin()
        return bytes(data)

    def _begin(self) -> None:
        kind, length = self._head[0], int.from_bytes(self._head[1:], "big")
        self._head.clear()
        self._left = length
        if kind == _END and length == 0:
            self.has_ended = True
        elif kind == _TRUNCATED and length <= _LONGEST_REASON:
            self._reason = bytearray()
            self._end_reason()
        elif kind != _DATA:
            raise FramingError(f"there is no frame of type {kind} with {length} bytes")

    def _end_reason(self) -> None:
        if self._reason is not None and not self._left:
            self.truncated = self._reason.decode(errors="replace")
