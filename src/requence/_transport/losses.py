"""From the HTTP library's errors about a connection to the one that says where it failed, without secrets."""

from __future__ import annotations

import ssl

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from requence._proxy import Proxy
from requence._transport.retry import is_transient
from requence.exceptions import RequenceUnreachableException

__all__ = ["CONNECT_TIMEOUT", "FAILURES", "LostConnectionError", "loss", "proxy_refusal", "without_secrets"]

CONNECT_TIMEOUT = 5.0

FAILURES = (aiohttp.ClientError, OSError, UnicodeError)
"""What a request can fail with: timeouts are among the second, and the third is a host that no name can be."""

_NOT_ESTABLISHED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_TIME_DOES_NOT_FIT = (9, 10)  # these and the next are numbers of OpenSSL: not yet valid, and expired
_NAME_DOES_NOT_FIT = (62, 64)  # for a host name, and for an address


class LostConnectionError(RequenceUnreachableException):
    """No whole answer came.

    Attributes:
        sent: False if the connection was never established, so that the service cannot have seen the request.
        lasting: Whether trying again is of no use: what is in the way is how things are set up.
    """

    sent: bool
    lasting: bool

    def __init__(self, message: str, *, sent: bool, lasting: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.sent = sent
        self.lasting = lasting


def loss(error: Exception, url: URL, proxy: Proxy | None) -> LostConnectionError:
    """Returns the error for a request to `url` that has failed with one of the HTTP library or the system."""
    if isinstance(error, aiohttp.ClientHttpProxyError) and proxy is not None:
        return proxy_refusal(error.status, url, proxy)
    where = f"{url.scheme}://{url.authority}"
    if proxy is not None and _is_of(proxy, error):
        where, hint = _named(proxy), f"check the network, and the proxy in {proxy.place}"
    else:
        hint = None
        where += f" (through {_named(proxy)})" if proxy is not None else ""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _untrusted(error.certificate_error, where)
    if isinstance(error, _NOT_ESTABLISHED):
        return LostConnectionError(f"{where} could not be reached: {_reason(error)}", sent=False, hint=hint)
    if isinstance(error, UnicodeError):
        return LostConnectionError(
            f"{where} could not be reached: its host is no name", sent=False, lasting=True
        )
    if isinstance(error, TimeoutError):
        return LostConnectionError(f"{where} did not answer in time", sent=True)
    return LostConnectionError(f"the connection to {where} broke: {_reason(error)}", sent=True)


def proxy_refusal(status: int, url: URL, proxy: Proxy) -> LostConnectionError:
    """Returns the error for a proxy that does not pass a request on."""
    if status == 407:
        problem = (
            "asks for a user and a password"
            if proxy.authorization is None
            else "refuses its user or password"
        )
        hint = f"write them into {proxy.place}: http://USER:PASSWORD@HOST:PORT, special characters percent-encoded"
    else:
        problem = f"does not connect to {url.authority}"
        hint = f"check what the proxy allows, and the proxy in {proxy.place}"
    return LostConnectionError(
        f"{_named(proxy)} {problem} (status {status})",
        sent=False,
        lasting=not is_transient(status),
        hint=hint,
    )


def _named(proxy: Proxy) -> str:
    return f"the proxy {proxy.url}"


def _is_of(proxy: Proxy, error: Exception) -> bool:
    """Says whether it is the proxy itself that was not reached."""
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientConnectorDNSError):
        return True  # only the proxy's name is resolved here
    its = URL(proxy.url)
    return isinstance(error, aiohttp.ClientConnectorError) and (error.host, error.port) == (
        its.raw_host,
        its.port,
    )


def _untrusted(error: Exception, where: str) -> LostConnectionError:
    number = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else None
    if number in _TIME_DOES_NOT_FIT:
        hint = "check the clock of this machine; if it is right, the certificate has to be renewed there"
    elif number in _NAME_DOES_NOT_FIT:
        hint = "check the host: the certificate is for another one"
    else:
        hint = (
            "if the certificate is from an authority of your own, or of a proxy that looks into connections, name "
            "that with Client(ca_bundle=…) or REQUENCE_CA_BUNDLE"
        )
    said = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else str(error)
    return LostConnectionError(
        f"{where} could not be reached: its certificate is not trusted ({said})",
        sent=False,
        lasting=True,
        hint=hint,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection within {CONNECT_TIMEOUT:g} seconds"
    if isinstance(error, aiohttp.ClientConnectorError):
        inner = error.os_error
        return (
            inner.strerror
            if isinstance(inner.strerror, str) and not isinstance(inner, ssl.SSLError)
            else str(inner)
        )
    # The library's own texts repeat what the service has sent, which may be what it was sent, and whole URLs.
    if isinstance(error, aiohttp.ClientResponseError):
        return "what it answered is not HTTP"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "its answer is damaged or broke off"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it was closed before the answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def without_secrets(error: Exception) -> Exception:
    """Takes out of an error that becomes a `__cause__` what the request was, and what was answered to it."""
    error.__cause__ = error.__context__ = None
    if isinstance(error, aiohttp.ClientResponseError):
        url = error.request_info.url
        origin = url.origin() if url.is_absolute() else URL()
        no_headers = CIMultiDictProxy(CIMultiDict[str]())
        bare = aiohttp.RequestInfo(origin, error.request_info.method, no_headers, origin)
        error.request_info, error.history, error.message, error.headers = bare, (), "", None
        error.args = (bare, ())
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        error.message = type(error).__name__
        error.args = (error.message,)
    elif isinstance(error, aiohttp.ClientPayloadError):
        error.args = (_reason(error),)
    return error
