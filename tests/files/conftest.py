"""What the tests of files share: a service that takes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.scripted_server import ScriptedServer, prepared_for_files


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A service that takes files and streams of any size."""
    with ScriptedServer() as server:
        server.always("prepare", prepared_for_files(server, "task-1"))
        yield server
