"""Where a local server listens. Binding happens before anything else, so that its errors reach the caller."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass

from requence.exceptions import ConfigurationError

__all__ = ["Address", "bind"]


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port. `url` has no slash at its end."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The server's base URL."""
        return f"http://{_in_url(self.host)}:{self.port}"

    def accepted_hosts(self) -> set[str]:
        """Returns the values of the `Host` header under which the server answers, in small letters."""
        names = {_in_url(name) for name in (self.host.lower(), "127.0.0.1", "localhost", "::1")}
        accepted = {f"{name}:{self.port}" for name in names}
        return accepted | names if self.port == 80 else accepted


def bind(host: str, port: int) -> tuple[socket.socket, Address]:
    """Opens a listening socket on this machine.

    Args:
        host: "localhost", or an address of the loopback interface: the server runs whatever its templates do for
            whoever has its token, so it is not offered to the network.
        port: The port; 0 takes a free one.

    Raises:
        ConfigurationError: The host is not of the loopback interface, or the port is not free.
    """
    family, address = _loopback(host)
    # With the protocol spelled out: asyncio switches off the delay of small packets only where it sees that.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # there it would allow two servers on one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"The local server cannot listen on port {port} of {host}: {reason}",
            hint="stop what uses that port, or choose another one; port 0 takes any free one",
        ) from error
    return listener, Address(host, listener.getsockname()[1])


def _loopback(host: str) -> tuple[socket.AddressFamily, str]:
    address = "127.0.0.1" if host.lower() == "localhost" else host
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise ConfigurationError(f'host must be "localhost" or an IP address, not {host!r}') from None
    if not parsed.is_loopback:
        raise ConfigurationError(f"The local server listens on this machine only, not on {host}")
    return (socket.AF_INET if parsed.version == 4 else socket.AF_INET6), address


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
