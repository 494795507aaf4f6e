"""What the tests of streams share: a scripted server, and a look at what is left after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.scripted_server import ScriptedServer, check_nothing_is_left


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    if "server" in request.fixturenames:
        request.getfixturevalue("server")  # it is still there when this looks
    yield
    check_nothing_is_left(caplog)
