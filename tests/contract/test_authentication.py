"""Who may do what: the access token counts everywhere but with files, where the key in the URL does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.contract.existing import Existing, existing, templates
from tests.contract.test_spec import OPERATIONS, operations
from tests.local.api import Api

from requence.local import LocalServer

# All that is open to whoever knows the URL. An operation that is added here gives something away.
WITHOUT_TOKEN = {
    "upload_file": "POST",
    "download_file": "GET",
    "register_stream": "POST",
    "send_stream": "POST",
    "download_stream": "GET",
}
WITH_TOKEN = sorted(OPERATIONS - set(WITHOUT_TOKEN))
GETS = {"get_task", "get_python_types"}


@pytest.fixture(scope="module")
def running() -> Iterator[LocalServer]:
    with LocalServer(*templates()) as server:
        server.faults.end(operation="watch_all", times=None)
        yield server


@pytest.fixture
def api(running: LocalServer) -> Iterator[Api]:
    with Api(running.access_token) as api:
        yield api


@pytest.fixture
def there(api: Api) -> Iterator[Existing]:
    """Things of this test's own. Afterwards nothing of them runs on, so that the next ones find a worker."""
    things = existing(api)
    yield things
    api.post("abort", things.running)


@pytest.fixture
def stranger(running: LocalServer) -> Iterator[httpx.Client]:
    """Somebody who knows all URLs, and has no token."""
    with httpx.Client(base_url=running.url, timeout=20, verify=False) as client:
        yield client


def test_the_contract_has_the_same_list(contract: dict[str, Any]) -> None:
    assert {name for name, operation in operations(contract) if operation.get("security") == []} == set(
        WITHOUT_TOKEN
    )


@pytest.mark.parametrize("operation", WITH_TOKEN)
def test_without_the_token_nothing_is_told_or_done(
    api: Api, there: Existing, stranger: httpx.Client, operation: str
) -> None:
    """With it, the very same request does what it is for."""
    method = "GET" if operation in GETS else "POST"
    path, body = there.paths[operation], there.bodies.get(operation, b"")
    tasks = (there.prepared, there.running, there.ended)
    before = [api.get(task) for task in tasks]
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {api.bearer[:-1]}"},
        {"Authorization": f"Bearer {api.bearer}x"},
        {"Authorization": f"Basic {api.bearer}"},
        {"Authorization": api.bearer},
    ):
        answer = stranger.request(method, path, content=body, headers=headers)
        assert (answer.status_code, answer.text) == (
            401,
            "The access token is missing, or it is not one of this server",
        )
    assert [api.get(task) for task in tasks] == before
    assert api.http.request(method, path, content=body).status_code == 200


@pytest.mark.parametrize("operation", WITHOUT_TOKEN)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}], ids=["no token", "wrong token"])
def test_a_key_is_enough(
    there: Existing, stranger: httpx.Client, operation: str, headers: dict[str, str]
) -> None:
    answer = stranger.request(WITHOUT_TOKEN[operation], there.paths[operation], headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("operation", WITHOUT_TOKEN)
def test_a_wrong_key_is_told_nothing_whatever_the_token(
    api: Api, there: Existing, stranger: httpx.Client, operation: str
) -> None:
    """A key that is nearly right, another's of the same kind, and one of each other kind."""
    folder, _, key = there.paths[operation].rpartition("/")
    cut_or_changed = [key[:-1], key + "0", key[:-1] + ("0" if key[-1] != "0" else "1"), key.upper()]
    same = {"send_stream", "download_stream"}  # both take the key of a stream
    foreign = [
        there.key(other) for other in WITHOUT_TOKEN if other != operation and not {operation, other} <= same
    ]
    for wrong in (*cut_or_changed, *foreign, there.prepared):
        for client in (stranger, api.http):
            answer = client.request(WITHOUT_TOKEN[operation], f"{folder}/{wrong}", content=b"")
            assert (answer.status_code, answer.text) == (404, "There is nothing here"), wrong
