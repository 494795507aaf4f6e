"""How to reach the service: a plain value that handles and functions take as `client=`, and the default one."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from requence._brief import word
from requence._proxy import Proxy, environment_proxy, is_loopback, read_proxy
from requence._settings import CA_BUNDLE_VARIABLE, NOT_GIVEN, PROXY_VARIABLE, SETTINGS, from_variable, setting
from requence._trust import check_ssl_context, trust_in
from requence.exceptions import ConfigurationError, UsageError

if TYPE_CHECKING:
    import ssl

__all__ = [
    "Client",
    "Reach",
    "checked_client",
    "configure",
    "default_client",
    "default_client_set_to",
    "note_use",
    "reach_of",
]


class Reach(NamedTuple):
    """What a client's settings for the way to the service come to.

    Attributes:
        tls: Which certificates are trusted; None for what the system trusts.
        proxy: The proxy that was named for this client, or None.
        beside_loopback: Whether that one is not for this machine itself, since it comes from a variable.
        environment: Whether the environment's proxies count, where none was named.
    """

    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    beside_loopback: bool = False
    environment: bool = True

    def proxy_for(self, url: str, host: str) -> Proxy | None:
        """Returns the proxy for a URL of a host, or None for none.

        Raises:
            ConfigurationError: The environment names one that is of no use.
        """
        if self.proxy is not None:
            return None if self.beside_loopback and is_loopback(host) else self.proxy
        # The environment is looked into for each request, which takes its time, but not for this machine.
        return environment_proxy(url, os.environ) if self.environment and not is_loopback(host) else None


class _WithReach:
    """Has room for what is made of the fields, which is none of them."""

    __slots__ = ("_reach",)
    _reach: Reach


@dataclass(frozen=True, slots=True, repr=False)
class Client(_WithReach):
    """How to reach the service. A value, not a connection: make as many as you like, nothing is opened.

    ```python
    patient = requence.Client(call_timeout=60, patience=None)
    Task("my-template", client=patient)
    ```

    What is left out comes from the environment variable of that name, read now, else it is the default. An empty
    variable counts as absent.

    Attributes:
        access_token: The token; None looks it up in the environment and in `pyproject.toml` at each use.
        call_timeout: Seconds that one request may wait for (the next piece of) its answer. It does not limit
            how long a task may run. `REQUENCE_CALL_TIMEOUT`, default 30.
        retries: How often a request that failed on the way, or with 408, 425, 429 or a 5xx status, is sent
            again. A start is never repeated where that could start the task twice. `REQUENCE_RETRIES`, default 3.
        patience: Seconds without any contact after which following a task is given up with
            `StreamInterruptedError`; None means never. A silent task on a reachable service is followed for
            ever. `REQUENCE_PATIENCE` (there also "never"), default 900.
        max_streams: How many event streams of tasks to one service may be open at once; where more are wanted,
            they take turns. `REQUENCE_MAX_STREAMS`, default 256.
        shared_stream: Whether all handles of this client learn the end of their tasks from one stream of all tasks
            of the token, instead of a stream each: for many tasks at once, and for tokens that may watch
            all tasks. `REQUENCE_SHARED_STREAM` (true, false, 1 or 0), default False.
        max_event_size: The largest event, in bytes, that a stream may carry. `REQUENCE_MAX_EVENT_SIZE`, default
            256 MiB.
        proxy: The URL of an HTTP proxy for every request, `http://` or `https://`, with user and password if need
            be; an empty text means no proxy, whatever the environment says. `REQUENCE_PROXY`, default None: as
            `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say. A proxy out of a variable is never used
            for this machine itself.
        ssl_context: The TLS settings for every connection, such as a certificate of your own to show. Default:
            None, for what the system trusts.
        ca_bundle: A file with the certificates to trust instead of the system's, in PEM form, or a folder of such
            files. `REQUENCE_CA_BUNDLE`, default None. It is read when the client is made.

    Raises:
        ConfigurationError: A value, or a variable that stands for one, is of no use.
    """

    access_token: str | None = field(default=None, repr=False)  # as printers of other packages heed, too
    call_timeout: float = field(default=NOT_GIVEN, kw_only=True)
    retries: int = field(default=NOT_GIVEN, kw_only=True)
    patience: float | None = field(default=NOT_GIVEN, kw_only=True)
    max_streams: int = field(default=NOT_GIVEN, kw_only=True)
    shared_stream: bool = field(default=NOT_GIVEN, kw_only=True)
    max_event_size: int = field(default=NOT_GIVEN, kw_only=True)
    proxy: str | None = field(default=None, kw_only=True, repr=False)  # it may have a password
    ssl_context: ssl.SSLContext | None = field(default=None, kw_only=True)
    ca_bundle: str | os.PathLike[str] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        token: object = self.access_token
        if token is not None and not isinstance(token, str):
            raise ConfigurationError(f"access_token must be text, not {type(token).__name__}")
        for name in SETTINGS:
            object.__setattr__(self, name, setting(name, getattr(self, name), os.environ))
        tls = self._resolve_trust()
        object.__setattr__(self, "_reach", self._resolve_proxy(tls))

    def _resolve_trust(self) -> ssl.SSLContext | None:
        if self.ssl_context is not None:
            check_ssl_context(self.ssl_context)
            if self.ca_bundle is not None:
                raise ConfigurationError(
                    "ssl_context and ca_bundle exclude each other",
                    hint="load the certificates into the context: ssl_context.load_verify_locations(…)",
                )
            return self.ssl_context
        if self.ca_bundle is None:
            path = from_variable(CA_BUNDLE_VARIABLE, os.environ)
            if path is None:
                return None
            source = f"The environment variable {CA_BUNDLE_VARIABLE}:"
        else:
            path, source = _path(self.ca_bundle), "ca_bundle"
        object.__setattr__(self, "ca_bundle", path)
        return trust_in(path, source=source)

    def _resolve_proxy(self, tls: ssl.SSLContext | None) -> Reach:
        given: object = self.proxy
        if given is None:
            text = from_variable(PROXY_VARIABLE, os.environ)
            if text is None:
                return Reach(tls)
            object.__setattr__(self, "proxy", text)
            place = f"the environment variable {PROXY_VARIABLE}"
            return Reach(tls, read_proxy(text, place=place), beside_loopback=True)
        if not isinstance(given, str):
            raise ConfigurationError(f"proxy must be text, not {type(given).__name__}")
        if not given.strip():
            return Reach(tls, environment=False)
        return Reach(tls, read_proxy(given, place="the argument proxy"))

    def __repr__(self) -> str:
        # Neither the token nor the proxy, which may have a password; nor the address of an object.
        own = [name for name in SETTINGS if getattr(self, name) != SETTINGS[name].default]
        shown = [f"{name}={word(repr(getattr(self, name)), 12)}" for name in own]
        if self.proxy is not None:
            shown.append("proxy=…")
        if self.ssl_context is not None:
            shown.append("ssl_context=…")
        if self.ca_bundle is not None:
            shown.append(f"ca_bundle={word(str(self.ca_bundle))}")
        return f"Client({', '.join(shown)})"

    def __getstate__(self) -> NoReturn:
        # An error instead of a token that lies in a file or a queue without anybody having meant it.
        raise UsageError(
            "A Client is not pickled, since its access token would be in the pickle",
            hint="make the Client where it is used",
        )

    def __copy__(self) -> Client:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Client:
        return self


def _path(value: str | os.PathLike[str]) -> str:
    path: object = None
    with suppress(TypeError):
        path = os.fspath(value)
    if not isinstance(path, str):
        raise ConfigurationError(f"ca_bundle must be a path, not {type(value).__name__}")
    return path


def reach_of(client: Client) -> Reach:
    """Returns what a client's settings for the way to the service come to."""
    return client._reach  # noqa: SLF001 (a part of the class that is not for its users)


class _Default:
    """The default client of the process.

    Attributes:
        configured: What `configure` was called with, or None.
        handed_out: The one that was given out last, and maybe never used.
        used: The one that is in use, or None. It is the default from then on.
        instead: Those that take its place for a while; the last one counts.
    """

    def __init__(self) -> None:
        self.configured: Client | None = None
        self.handed_out: Client | None = None
        self.used: Client | None = None
        self.instead: list[Client] = []


_default = _Default()


def configure(
    access_token: str | None = None,
    *,
    call_timeout: float = NOT_GIVEN,
    retries: int = NOT_GIVEN,
    patience: float | None = NOT_GIVEN,
    max_streams: int = NOT_GIVEN,
    shared_stream: bool = NOT_GIVEN,
    max_event_size: int = NOT_GIVEN,
    proxy: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    ca_bundle: str | os.PathLike[str] | None = None,
) -> None:
    """Sets the client that is used wherever no `client=` is given. To be called before that happens.

    ```python
    requence.configure(call_timeout=60, ca_bundle="company-ca.pem")
    ```

    The parameters are those of `Client`. A later call replaces an earlier one.

    Raises:
        ConfigurationError: A value, or a variable that stands for one, is of no use.
        UsageError: The default client was used already, so that a part of the program would go by other settings.
    """
    client = Client(
        access_token,
        call_timeout=call_timeout,
        retries=retries,
        patience=patience,
        max_streams=max_streams,
        shared_stream=shared_stream,
        max_event_size=max_event_size,
        proxy=proxy,
        ssl_context=ssl_context,
        ca_bundle=ca_bundle,
    )
    if _default.used is not None:
        raise UsageError(
            "The default client was used already, so it cannot be configured any more",
            hint="call requence.configure(…) before the first task, or give tasks and functions client=Client(…)",
        )
    _default.configured = client


def default_client() -> Client:
    """Returns the client that is used where none is given."""
    for client in reversed(_default.instead):
        return client
    if _default.used is not None:
        return _default.used
    client = _default.handed_out = _default.configured or Client()
    return client


def note_use(client: Client) -> None:
    """Takes note that something is started with a client: if it is the default one, that is settled from now on.

    Not when it is handed out: who has just been told that there is no access token shall be able to configure one.
    """
    if client is _default.handed_out and _default.used is None:
        _default.used = client


def checked_client(client: object) -> Client:
    """Returns what was given as `client=`, or the default client for None.

    Raises:
        ConfigurationError: It is something else; or it is the default client, and a variable is of no use.
    """
    if client is None:
        return default_client()
    if not isinstance(client, Client):
        raise ConfigurationError(
            f"client must be a requence.Client, not {type(client).__name__}",
            hint="a token alone goes into access_token=",
        )
    return client


@contextmanager
def default_client_set_to(client: Client) -> Generator[None]:
    """Makes `client` the default of the whole process while the context lasts."""
    instead = _default.instead
    instead.append(client)
    try:
        yield
    finally:
        at = next(index for index in reversed(range(len(instead))) if instead[index] is client)
        del instead[at]
