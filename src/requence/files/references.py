"""From references in data to the objects that stand for them here. Pure.

A JSON object that fits no known form of a reference stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from requence._client import Client
from requence._json import as_object, places_in
from requence._references import MARKER
from requence.files.callback import RequenceCallback
from requence.files.claim_check import ClaimCheck
from requence.files.file import RequenceFile
from requence.files.stream import RequenceStream

__all__ = ["Referred", "with_objects"]

Referred: TypeAlias = RequenceFile | RequenceStream | RequenceCallback | ClaimCheck
"""What references become."""


def with_objects(value: Any, client: Client | None, *, in_input: bool = False) -> tuple[Any, bool]:
    """Returns plain JSON with objects in the place of references, and whether a claim check is among them.

    The containers are changed, not copied.

    Args:
        value: Plain JSON.
        client: How the objects will reach the service; None for the default client.
        in_input: Whether this is the input of a task.
    """
    found = _object_for(value, client, in_input)
    if found is not None:
        return found, isinstance(found, ClaimCheck)
    claims = False
    containers: list[Any] = [value]
    while containers:  # no recursion: what the decoder takes may be deeper than the stack that is left here
        container = containers.pop()
        for key, item in places_in(container):
            found = _object_for(item, client, in_input)
            if found is not None:
                container[key] = found
                claims = claims or isinstance(found, ClaimCheck)
            elif isinstance(item, dict | list):
                containers.append(item)
    return value, claims


def _object_for(value: object, client: Client | None, in_input: bool) -> Referred | None:
    """Returns what a value refers to, or None if it is no reference."""
    fields = as_object(value)
    if fields is None or MARKER not in fields:
        return None
    match fields:
        case {"__REQUENCE_type": "RequenceFile", "url": str(), "mime": str(), "size": int(size)}:
            fits = type(size) is int and size >= 0 and _is_url(fields["url"])
            return RequenceFile._referred(fields, client) if fits else None  # noqa: SLF001 (of this package)
        case {"__REQUENCE_type": "RequenceStream", "url": str(), "mime": str()}:
            return RequenceStream._referred(fields, client) if _is_url(fields["url"]) else None  # noqa: SLF001
        case {"__REQUENCE_type": "ClaimCheck", "url": str(), "size": int(size)}:
            fits = type(size) is int and size > 0 and _is_url(fields["url"])
            return ClaimCheck(fields) if fits else None
        case {"__REQUENCE_type": "RequenceCallback"} if _is_callback(fields):
            return RequenceCallback(fields, in_input=in_input)
        case _:
            return None


def _is_url(text: str) -> bool:
    scheme, found, rest = text.partition("://")
    return bool(scheme and found and rest and not rest.startswith("/"))


def _is_callback(fields: Mapping[str, Any]) -> bool:
    output, path = fields.get("outputName", ...), fields.get("propertyPath")
    if not (output is None or isinstance(output, str)) or not isinstance(path, list):
        return False
    if not all(isinstance(step, str) or type(step) is int for step in cast("list[object]", path)):
        return False
    if fields.get("lifetime") == "durable":
        return isinstance(fields.get("name"), str) and isinstance(fields.get("nodeId"), str)
    return isinstance(fields.get("sourceId"), str) and isinstance(fields.get("callbackId"), str)
