"""How to reach the service: a plain value that handles and functions take as `client=`."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from requence.exceptions import ConfigurationError, UsageError

__all__ = ["Client", "checked_client", "default_client", "default_client_set_to"]


@dataclass(frozen=True, slots=True)
class Client:
    """How to reach the service. A value, not a connection: make as many as you like, nothing is opened.

    ```python
    patient = requence.Client(call_timeout=60, patience=None)
    Task("my-template", client=patient)
    ```

    Attributes:
        access_token: The token; None looks it up in the environment and in `pyproject.toml` at each use.
        call_timeout: Seconds that one request may wait for (the next piece of) its answer. It does not limit
            how long a task may run. Default 30.
        retries: How often a request that failed on the way, or with 408, 425, 429 or a 5xx status, is sent
            again. Default 3. A start is never repeated where that could start the task twice.
        patience: Seconds without any contact after which following a task is given up with
            `StreamInterruptedError`; None means never. A silent task on a reachable service is followed for
            ever. Default 900.
        max_streams: How many event streams of tasks to one service may be open at once; where more are wanted,
            they take turns. Default 256.
        shared_stream: Whether all handles of this client learn the end of their tasks from one stream of all tasks
            of the token, instead of a stream each: for many tasks at once, and for tokens that may watch
            all tasks. Default False.
        max_event_size: The largest event, in bytes, that a stream may carry. Default 256 MiB.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    access_token: str | None = field(default=None, repr=False)
    call_timeout: float = field(default=30.0, kw_only=True)
    retries: int = field(default=3, kw_only=True)
    patience: float | None = field(default=900.0, kw_only=True)
    max_streams: int = field(default=256, kw_only=True)
    shared_stream: bool = field(default=False, kw_only=True)
    max_event_size: int = field(default=256 * 2**20, kw_only=True)

    def __post_init__(self) -> None:
        token: object = self.access_token
        if token is not None and not isinstance(token, str):
            raise ConfigurationError(f"access_token must be text, not {type(token).__name__}")
        _check_seconds("call_timeout", self.call_timeout)
        if self.patience is not None:
            _check_seconds("patience", self.patience)
        _check_count("retries", self.retries, least=0)
        _check_count("max_streams", self.max_streams, least=1)
        if not isinstance(self.shared_stream, bool):
            raise ConfigurationError(f"shared_stream must be True or False, not {self.shared_stream!r}")
        _check_count("max_event_size", self.max_event_size, least=1)

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


def _check_seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigurationError(f"{name} must be a positive number of seconds, not {value!r}")


def _check_count(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number of at least {least}, not {value!r}")


_defaults = [Client()]  # the last one counts; contexts may overlap, so each takes out its own


def default_client() -> Client:
    """Returns the client that is used where none is given."""
    return _defaults[-1]


def checked_client(client: object) -> Client:
    """Returns what was given as `client=`, or the default client for None.

    Raises:
        ConfigurationError: It is something else.
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
    _defaults.append(client)
    try:
        yield
    finally:
        at = next(index for index in reversed(range(len(_defaults))) if _defaults[index] is client)
        del _defaults[at]
