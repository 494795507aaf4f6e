"""What the tests of the local server have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.local.api import Api, Connect

from requence.local import LocalServer

Serve = Callable[..., Api]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients for servers, and closes them after the test."""
    with ExitStack() as stack:

        def connected(server: LocalServer) -> Api:
            return stack.enter_context(Api(server.access_token))

        yield connected


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers with these templates and options, and stops them after the test; gives a client for each."""
    with ExitStack() as stack:

        def served(*templates: Any, **options: Any) -> Api:
            server = stack.enter_context(LocalServer(*templates, **options))
            return stack.enter_context(Api(server.access_token))

        yield served
