"""What the programs of the pages find when they are run."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from requence._client import _default
from requence.local import LocalServer


@pytest.fixture
def unused_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A default client that was not used, as at the beginning of a program."""
    for state in ("configured", "used"):
        monkeypatch.setattr(_default, state, None)


@pytest.fixture
def as_at_the_beginning(
    server: LocalServer, unused_client: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A token, a default client that was not used, and no settings of the log."""
    monkeypatch.setenv("REQUENCE_ACCESS_TOKEN", server.access_token)
    yield
    logging.getLogger("requence").setLevel(logging.NOTSET)
