"""Which watch URL that somebody kept may be sent the access token."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from requence_api.api.task import get_task
from requence_api.api.watch import watch_task
from requence_api.models import WatchRequest

__all__ = ["trusted_watch_url"]

_PORTS = {"http": 80, "https": 443}

# What the paths of all operations on tasks begin with, and what those of watching do.
_OPERATIONS = str(get_task._get_kwargs("")["url"]).lower()
_WATCH = str(watch_task._get_kwargs("", body=WatchRequest(since=None))["url"]).lower()


def trusted_watch_url(url: str | None, base_url: str) -> str | None:
    """Returns the watch URL, if it is at the same host as the service, and none of its other operations.

    Args:
        url: The watch URL, None if it is not known.
        base_url: The base URL of the service.
    """
    if url is None or _origin(url) != _origin(base_url):
        return None
    path = unquote(urlsplit(url).path).lower()
    base = urlsplit(base_url).path.lower()
    plain = path == unquote(path) and not {"", ".", ".."} & set(path.split("/")[1:])
    other = path.startswith(f"{base}{_OPERATIONS}") and not path.startswith(f"{base}{_WATCH}")
    return url if plain and not other else None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return "", None, None
