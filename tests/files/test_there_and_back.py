"""What was sent with an input is read again out of a task's data, by way of the local server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import echo

from requence.files import RequenceFile, RequenceStream
from requence.local import LocalServer
from requence.task import Task

CONTENT = bytes(range(256)) * 1024
LIMIT = 10_000  # bytes of a request to start a task


@pytest.fixture(scope="module")
def local() -> Iterator[LocalServer]:
    """A server whose one template gives back what it gets."""
    with LocalServer(echo(), max_payload_size=LIMIT) as server:
        yield server


def echoed(local: LocalServer, value: Any) -> Any:
    return Task("echo", value, client=local.client).sync.result.get_node_data("again")


@pytest.mark.parametrize("mime", ["application/octet-stream", "image/png", "text/plain", "application/json"])
@pytest.mark.parametrize("content", [b"", CONTENT], ids=len)
def test_a_file(local: LocalServer, content: bytes, mime: str) -> None:
    file = echoed(local, {"a": [RequenceFile(content, mime=mime)]})["a"][0]
    assert (file.read(), file.mime_type, file.size) == (content, mime, len(content))


@pytest.mark.parametrize("content", [b"", CONTENT], ids=len)
def test_a_stream(local: LocalServer, content: bytes) -> None:
    stream = echoed(local, [RequenceStream(iter([content]), mime="text/csv")])[0]
    assert (stream.read(), stream.mime_type) == (content, "text/csv")


def test_an_input_that_is_too_large(local: LocalServer) -> None:
    value = {"rows": ["ä€😀"] * LIMIT}
    assert echoed(local, value) == value
