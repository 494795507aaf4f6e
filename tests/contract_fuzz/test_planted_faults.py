"""What is broken on purpose is found, each time by the same run that finds nothing in an unbroken server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract_fuzz.conftest import served
from tests.contract_fuzz.run import schemathesis

import requence.local.app
from requence.local.events import Event, frame

pytestmark = pytest.mark.timeout(180)


def without_update_id(event: Event) -> Iterator[bytes]:
    yield b"".join(frame(event)).replace(b'"updateId":', b'"updateID":')


def numbers_for_files(signatures: object) -> dict[str, int]:
    return {"__init__.py": 5}


def test_planted_faults_are_found(
    contract: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requence.local.app, "frame", without_update_id)
    monkeypatch.setattr(requence.local.app, "type_files", numbers_for_files)
    with served() as server:
        server.faults.status(418, operation="get", times=None)
        server.faults.status(409, operation="protect", times=None)
        run = schemathesis(server, contract, tmp_path)

    assert run.code == 1, run.output
    planted = {
        ("status_code_conformance", "GET /task/{task_id}", 418),
        ("status_code_conformance", "POST /task/protect/{task_id}", 409),
        ("response_schema_conformance", "GET /task/types/python", 200),
        ("response_schema_conformance", "POST /task/watch/{key}", 200),
    }
    found = {(each.check, each.label, each.status) for each in run.report.failures}
    assert found >= planted
    # Other checks may mind the same answers, and nothing else is minded.
    assert {(label, status) for _, label, status in found} == {
        (label, status) for _, label, status in planted
    }
    for said in (
        "GET /task/{task_id}",
        "[418]",
        "POST /task/protect/{task_id}",
        "[409]",
        "5 is not of type",
        "SSE event violates schema",
    ):
        assert said in run.output, said
