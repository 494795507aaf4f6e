"""The local server reads and sends headers by the names that the contract has for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.contract.existing import Existing, existing, templates
from tests.contract.test_spec import operations, resolve
from tests.local.api import Api

from requence.local import LocalServer


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with LocalServer(*templates()) as server, Api(server.access_token) as api:
        yield api


@pytest.fixture(scope="module")
def there(api: Api) -> Existing:
    things = existing(api)
    api.post("abort", things.running)
    return things


def parameters(contract: dict[str, Any]) -> dict[str, list[str]]:
    """The names of an operation's parameters outside its path, for each that has any."""
    found: dict[str, list[str]] = {}
    for name, operation in operations(contract):
        for each in operation.get("parameters", []):
            parameter = resolve(contract, each)
            if parameter["in"] != "path":
                found.setdefault(name, []).append(parameter["name"])
    return found


def test_each_operation_with_such_parameters_is_tested_here(contract: dict[str, Any]) -> None:
    assert set(parameters(contract)) == {"upload_file", "register_stream", "download_stream"}


@pytest.mark.parametrize("operation", ["upload_file", "register_stream"])
def test_the_cap_of_a_file_is_read(
    contract: dict[str, Any], api: Api, there: Existing, operation: str
) -> None:
    [name] = parameters(contract)[operation]
    answer = api.http.post(there.paths[operation], headers={name: "x"})
    assert (answer.status_code, answer.text.partition(":")[0]) == (400, name)


def test_frames_are_asked_for_and_announced(contract: dict[str, Any], api: Api, there: Existing) -> None:
    [name] = parameters(contract)["download_stream"]
    described = contract["paths"]["/streams/{key}"]["get"]["responses"]["200"]["headers"]
    assert list(described) == [name]
    path = there.paths["download_stream"]
    assert api.http.get(path, headers={name: "framed"}).headers[name] == "framed"
    assert name not in api.http.get(path).headers


def test_each_header_that_answers_have_is_tested_here(contract: dict[str, Any]) -> None:
    with_headers = [
        name
        for name, operation in operations(contract)
        for answer in operation["responses"].values()
        if "headers" in resolve(contract, answer)
    ]
    assert with_headers == ["download_stream"]
