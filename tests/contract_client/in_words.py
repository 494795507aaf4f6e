"""What the contract says of files in words, since OpenAPI has no way to say it."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["ANY_MEDIA_TYPE", "MEDIA_TYPE", "PROTOCOL", "with_claim_checks", "wrong_with_frames"]

# The operations that take contents of any media type, which `application/octet-stream` stands for in the contract,
# and the words in which it says so.
ANY_MEDIA_TYPE = {
    "upload_file": "stands for any",
    "register_stream": "stands for any",
    "send_stream": "does not count",
}
_TOKEN = r"[\w!#$%&'+.^`|~-]+"
MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}\s*(;.*)?", re.ASCII)
PROTOCOL = "x-requence-stream-protocol"
_FRAMED = "framed"
_DATA_FRAME, _END_FRAME, _BROKEN_FRAME = 0, 1, 2
_CLAIM_CHECK: dict[str, Any] = {
    "type": "object",
    "required": ["url", "size", "__REQUENCE_type"],
    "properties": {
        "url": {"type": "string", "minLength": 1},
        "size": {"type": "integer", "minimum": 0},
        "__REQUENCE_type": {"const": "ClaimCheck"},
    },
    "additionalProperties": False,
}


def with_claim_checks(document: dict[str, Any]) -> dict[str, Any]:
    """Returns the document; at finalize a claim check may stand in for what is too large, and a name can be.

    The contract's schema is for what the server has put back. The input may be anything anyhow, and no other value
    can be large.
    """
    values = document["components"]["schemas"]["FinalizeRequest"]["properties"]
    values["name"] = {"anyOf": [values["name"], _CLAIM_CHECK]}
    return document


def wrong_with_frames(asked: str | None, answered: str, body: bytes) -> str | None:
    """Returns what is wrong with a body in frames; None for nothing. One that was cut is no breach.

    Args:
        asked: The header of the request that asks for frames.
        answered: That of the answer.
        body: The body, as far as it came.
    """
    if answered != _FRAMED:
        return f"{PROTOCOL} is {answered!r}"
    if asked != _FRAMED:
        return "nobody has asked for frames"
    rest, ended = body, False
    while rest:
        kind, length = rest[0], int.from_bytes(rest[1:5], "big")
        if ended:
            return "something comes after the last frame"
        if kind not in (_DATA_FRAME, _END_FRAME, _BROKEN_FRAME):
            return f"there are no frames of type {kind:02x}"
        if kind == _END_FRAME and length:
            return "the frame at the end is not empty"
        if len(rest) < 5 + length:
            return None
        ended, rest = kind != _DATA_FRAME, rest[5 + length :]
    return None
