"""What the browser loads: the two documents, which hold no data, and what they are made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["HEADERS", "document", "part"]

# The page shows what tasks produced, which may be anything. So it loads nothing but what is here, and nothing that
# is text becomes code.
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_MEDIA_TYPES = {"css": "text/css", "js": "text/javascript"}


@dataclass(frozen=True)
class _File:
    content: bytes
    tag: str


@cache
def _files() -> dict[str, _File]:
    folder = files("requence.local.page").joinpath("static")
    contents = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return {
        name: _File(content, f'"{hashlib.sha256(content).hexdigest()[:16]}"')
        for name, content in contents.items()
    }


def document(name: str) -> Response:
    """Returns one of the documents: "list" or "task"."""
    headers = {**HEADERS, "Content-Security-Policy": _POLICY}
    return Response(_files()[f"{name}.html"].content, media_type="text/html", headers=headers)


def part(request: Request, name: str) -> Response | None:
    """Returns a script or style sheet, or None if there is none of this name."""
    file = _files().get(name)
    media_type = _MEDIA_TYPES.get(name.rpartition(".")[2])
    if file is None or media_type is None:
        return None
    # Asked for again at each load, so that after an upgrade old and new are never mixed.
    headers = {"ETag": file.tag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=media_type, headers=headers)
