"""Media types: what callers pass, and the parts of one. Pure."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from typing import cast

from requence.exceptions import ConfigurationError

__all__ = ["charset_of", "check_media_type", "media_type_by_name"]

_COMPRESSED = {
    "br": "application/x-brotli",
    "bzip2": "application/x-bzip2",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}

_NAME = r"[A-Za-z0-9!#$&^_.+-]+"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}([ \t]*;[ \t\x20-\x7e]*)?")
_CHARSET = re.compile(r""";\s*charset\s*=\s*"?([A-Za-z0-9_.:+-]+)""", re.IGNORECASE)


def check_media_type(mime: object, options: object, default: str) -> str:
    """Returns the media type out of `mime=`, or out of `{"type": mime}`, or the default.

    Raises:
        ConfigurationError: It is none, or both are given.
    """
    if options is not None:
        if mime is not None:
            raise ConfigurationError("Give the media type once: as mime=, or as {'type': …}")
        if not isinstance(options, Mapping) or set(cast("Mapping[object, object]", options)) != {"type"}:
            raise ConfigurationError(
                "The second argument must be {'type': media type}", hint="or give it as mime='…'"
            )
        mime = cast("Mapping[str, object]", options)["type"]
    if mime is None:
        return default
    if not isinstance(mime, str) or not _MEDIA_TYPE.fullmatch(mime.strip()):
        raise ConfigurationError(
            f"mime must be a media type, not {mime!r}", hint="such as 'application/pdf' or 'text/plain'"
        )
    return mime.strip()


def media_type_by_name(name: str) -> str | None:
    """Returns what the suffix of a file's name says of the bytes in it, or None."""
    content, compression = mimetypes.guess_type(name)
    # Of a compressed file the content's type would be wrong: who receives it would take the bytes for that.
    return content if compression is None else _COMPRESSED.get(compression)


def charset_of(mime: str) -> str | None:
    """Returns the character set that a media type names, or None if it names none that is known here."""
    found = _CHARSET.search(mime)
    if found is None:
        return None
    try:
        "".encode(found[1])
    except (LookupError, UnicodeError):  # also of what is a codec, but no character set: hex, undefined
        return None
    return found[1]
