"""Proxies: reading what names one, and which one the environment has for a URL. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import SplitResult, unquote, urlsplit

from requence.exceptions import ConfigurationError

__all__ = ["Proxy", "environment_proxy", "is_loopback", "read_proxy"]

_SHORTEST_SECRET = 4  # a shorter password may be part of any word
_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+")
_FORM = "http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, special characters of the latter percent-encoded"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        url: Where it is, without user and password.
        place: Where it was named, for errors.
        authorization: What it is sent as `Proxy-Authorization`, or None.
        secrets: What must not be shown.
    """

    url: str
    place: str
    authorization: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def without_secrets(self, body: bytes) -> bytes:
        """Takes user and password out of what the proxy answered, in case it repeats what it was sent."""
        for secret in self.secrets:
            body = body.replace(secret.encode(), b"[proxy password]")
        return body


def read_proxy(text: str, *, place: str) -> Proxy:
    """Reads the URL of a proxy.

    Args:
        text: The URL; white space around it is ignored.
        place: Where it was named, for errors. These never repeat the text, which may have a password.

    Raises:
        ConfigurationError: It is not the URL of an HTTP proxy.
    """
    text = text.strip()
    parts = _split(text)
    if parts is not None and parts.scheme.startswith("socks"):
        raise ConfigurationError(
            f"The proxy in {place} is a SOCKS proxy, which is not supported",
            hint=f"give the URL of an HTTP proxy: {_FORM}",
        )
    if (
        parts is None
        or parts.scheme not in ("http", "https")
        or not _HOST.fullmatch(parts.hostname or "")
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
    ):
        raise ConfigurationError(
            f"The proxy in {place} is not the URL of an HTTP proxy", hint=f"write it as {_FORM}"
        )
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    url = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port is not None else "")
    if parts.username is None:
        return Proxy(url, place)
    return _with_password(url, place, parts.username, parts.password or "")


def _with_password(url: str, place: str, user: str, password: str) -> Proxy:
    from base64 import b64encode  # here, as below, since few programs need it

    packed = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    written = {form for secret in (packed, password, unquote(password)) for form in _forms(secret)}
    secrets = sorted((one for one in written if len(one) >= _SHORTEST_SECRET), key=len, reverse=True)
    return Proxy(url, place, f"Basic {packed}", tuple(secrets))


def _forms(secret: str) -> Iterator[str]:
    """Yields how a text may be written in an answer: as it is, in JSON, in HTML."""
    import html
    import json

    for plain in (True, False):
        in_json = json.dumps(secret, ensure_ascii=plain)[1:-1]
        yield from (in_json, in_json.replace("/", "\\/"))
    yield from (secret, html.escape(secret))


def _split(text: str) -> SplitResult | None:
    # Raises nothing: the library's own errors repeat parts of the text.
    if not text.isprintable() or " " in text or "\\" in text:
        return None
    try:
        parts = urlsplit(text)
        usable = parts.port != 0 and "://" in text
    except ValueError:
        return None
    return parts if usable else None


def environment_proxy(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Returns the proxy that the environment has for a URL, or None.

    `HTTPS_PROXY` or `HTTP_PROXY` by the URL's scheme, else `ALL_PROXY`, but for the hosts in `NO_PROXY` and for
    this machine. A name in lower case comes before the same in upper case.

    Raises:
        ConfigurationError: The variable is not the URL of an HTTP proxy.
    """
    scheme = url.partition(":")[0].lower()
    found = _variable(f"{scheme}_proxy", environ) or _variable("all_proxy", environ)
    if found is None:
        return None  # mostly: so the URL, which is another one for each request, is not taken apart before
    target = urlsplit(url)
    host = (target.hostname or "").rstrip(".")
    port = target.port or (443 if target.scheme == "https" else 80)
    _, spared = _variable("no_proxy", environ) or ("", "")
    if is_loopback(host) or any(_is_meant(entry, host, port) for entry in re.split(r"[,\s]+", spared)):
        return None
    name, text = found
    return read_proxy(text if "://" in text else f"http://{text}", place=f"the environment variable {name}")


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    if (text := environ.get(name)) is None:
        name = name.upper()
        text = environ.get(name)
        # In a CGI script whoever sends the request could set this one, by a header called Proxy.
        if text and name == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
            text = None
    text = (text or "").strip()
    return (name, text) if text else None


@lru_cache(maxsize=64)  # asked for each request, of the same few hosts
def is_loopback(host: str) -> bool:
    """Says whether a host is this machine itself."""
    import ipaddress

    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_meant(entry: str, host: str, port: int) -> bool:
    """Says whether an entry of `NO_PROXY` is for a host: a name with all below it, an address, a network, or *."""
    import ipaddress

    if entry == "*":
        return True
    name, colon, number = entry.lower().rpartition(":")
    if not colon or (":" in name and not name.endswith("]")):
        name = entry.lower()
    elif number != str(port):
        return False
    name = name.strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = name.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
