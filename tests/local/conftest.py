"""What the tests of the local server have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.local.api import Api, Connect

from requence.local import LocalServer


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients for servers, and closes them after the test."""
    with ExitStack() as stack:

        def connected(server: LocalServer) -> Api:
            return stack.enter_context(Api(server.access_token))

        yield connected
