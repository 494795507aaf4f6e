"""Where a local server listens. Binding happens before anything else, so that its errors reach the caller."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
from dataclasses import dataclass

from requence.exceptions import ConfigurationError

__all__ = ["Address", "PortTakenError", "bind"]


_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:\[\]]+)(?::([0-9]{1,5}))?")
_LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")


class PortTakenError(ConfigurationError):
    """Something else listens on the port, which is `port`."""

    port: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is reached.

    Attributes:
        host: The host as it was given.
        port: The port.
        in_network: Whether other machines may reach it.
    """

    host: str
    port: int
    in_network: bool = False

    @property
    def url(self) -> str:
        """The server's base URL for this machine, without a slash at its end."""
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (where it listens everywhere)
        return f"http://{_in_url(here.get(self.host, self.host))}:{self.port}"

    def accepts(self, host: str) -> bool:
        """Returns whether the server answers under this value of the `Host` header, which is in small letters.

        In a network, a server cannot know all its addresses and ports. But whoever names it by a number is not
        misled by a name of his own that leads here, which is what the header is looked at for.
        """
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name, port = found[1].strip("[]"), int(found[2] or 80)
        if not self.in_network:
            return name in (self.host.lower(), *_LOCAL_NAMES) and port == self.port
        return name in (*_LOCAL_NAMES, socket.gethostname().lower()) or _is_number(name)

    def url_for(self, host: str) -> str:
        """Returns the base URL for a client that has reached the server under this accepted `Host` header."""
        return f"http://{host}" if self.in_network else self.url


def bind(host: str, port: int, *, allow_network: bool = False) -> tuple[socket.socket, Address]:
    """Opens a listening socket.

    Args:
        host: "localhost", or an address of the loopback interface: the server runs whatever its templates do for
            whoever has its token, so it is not offered to the network.
        port: The port; 0 takes a free one.
        allow_network: Whether it may be another address all the same.

    Raises:
        PortTakenError: Something else listens on the port.
        ConfigurationError: The host is not of the loopback interface, or the port cannot be used.
    """
    parsed = _parsed(host)
    if not parsed.is_loopback and not allow_network:
        raise ConfigurationError(
            f"The local server listens on this machine only, not on {host}",
            hint="to let other machines in: allow_network=True, on the command line --allow-network",
        )
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    # With the protocol spelled out: asyncio switches off the delay of small packets only where it sees that.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # there it would allow two servers on one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(parsed), port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        refused = (PortTakenError if taken else ConfigurationError)(
            f"The local server cannot listen on port {port} of {host}: {reason}",
            hint="stop what uses that port, or choose another one; port 0 takes any free one",
        )
        if isinstance(refused, PortTakenError):
            refused.port = port
        raise refused from error
    return listener, Address(host, listener.getsockname()[1], in_network=not parsed.is_loopback)


def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address("127.0.0.1" if host.lower() == "localhost" else host)
    except ValueError:
        raise ConfigurationError(f'host must be "localhost" or an IP address, not {host!r}') from None


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
