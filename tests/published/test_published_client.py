"""The published client, unmodified, against the local server, as far as its own faults allow.

It runs in an environment of its own, made once in the checkout's folder `.venv-published`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import endless, failing, greeting
from tests.local.api import Api
from tests.published.environment import NotToBeHadError, made

from requence.local import LocalServer

SCRIPT = Path(__file__).with_name("client_script.py")


@pytest.fixture(scope="module")
def published() -> Path:
    """The interpreter of the environment with the published client."""
    try:
        return made()
    except NotToBeHadError as missing:
        # Also where everything else is required: another Python is nothing that this project can install.
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def running() -> Iterator[LocalServer]:
    with LocalServer(greeting(), failing(), endless(), max_payload_size=10_000) as server:
        yield server


@pytest.fixture
def api(running: LocalServer) -> Iterator[Api]:
    with Api(running.access_token) as api:
        yield api


class Client:
    """Runs the published client."""

    def __init__(self, python: Path, server: LocalServer, folder: Path) -> None:
        self._python = python
        self._server = server
        self._folder = folder

    def run(self, way: str, *arguments: str) -> Any:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "REQUENCE_ACCESS_TOKEN": self._server.access_token,
        }
        done = subprocess.run(
            [self._python, "-I", SCRIPT, way, *arguments],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def client(published: Path, running: LocalServer, tmp_path: Path) -> Client:
    return Client(published, running, tmp_path)


def test_it_starts_a_task_and_has_its_id_and_url(client: Client, api: Api, running: LocalServer) -> None:
    found = client.run("start")
    assert next(api.watch(found["id"])).payload["name"] == "A name"
    assert found["url"].startswith(f"{running.url}/tasks/{found['id']}?key=")


def test_it_gets_the_result(client: Client, api: Api) -> None:
    found = client.run("result")
    assert found["input"] == {"name": "World"}
    assert found["result"] == "HELLO WORLD"
    assert found["data"] == {"greet": "Hello World", "shout": "HELLO WORLD"}
    assert api.get(found["id"])["status"] == "successful"


def test_it_sees_every_update_and_its_iteration_ends(client: Client) -> None:
    assert [found[:2] for found in client.run("updates")] == [
        ["taskStart", None],
        ["nodeStart", "greet"],
        ["nodeUpdate", "greet"],
        ["nodeEnd", "greet"],
        ["nodeStart", "shout"],
        ["nodeUpdate", "shout"],
        ["nodeEnd", "shout"],
        ["taskEnd", None],
    ]


def test_it_acknowledges(client: Client, api: Api) -> None:
    found = client.run("acknowledged")
    assert found["result"] == "HELLO NOBODY"
    assert api.get(found["id"])["status"] == "successful"


def test_it_aborts_what_it_follows(client: Client, api: Api) -> None:
    found = client.run("aborted")
    assert found["types"] == ["taskStart", "nodeStart", "taskAborted"]
    state = api.get(found["id"])
    assert (state["status"], state["statusText"]) == ("stopped", "not needed any more")


def test_it_is_told_why_a_task_failed(client: Client) -> None:
    assert client.run("failed") == {"error": "the second node cannot do it"}


def test_it_is_told_why_a_start_is_refused(client: Client) -> None:
    [first, second] = client.run("refused")
    assert first[0] == second[0] == "TaskException"
    assert "input.name: 5 is not of type 'string'" in first[1]
    assert '"my-template"' in second[1]


def test_it_protects_aborts_and_looks_by_id(client: Client, api: Api) -> None:
    lasting, done = api.start("endless"), api.start("my-template", {})
    list(api.watch(done))
    found = client.run("by_id", lasting, done)
    assert found["status"] == "successful"
    assert found["result"] == "HELLO NOBODY"
    assert found["data"] == {"greet": "Hello nobody", "shout": "HELLO NOBODY"}
    assert found["unknown"][:3] == [True, True, True]
    assert "no task with this id" in found["unknown"][3]
    assert api.get(lasting)["statusText"] == "by id"


def test_it_uploads_an_input_that_is_too_large(client: Client) -> None:
    assert client.run("large") == {"length": len("HELLO ") + 20_000}
