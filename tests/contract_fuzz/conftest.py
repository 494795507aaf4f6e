"""What the tests with generated requests have in common: the contract, and servers for them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from tests.contract.existing import templates

from requence.local import LocalServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def contract() -> dict[str, Any]:
    """The contract as plain data; tests must not change it."""
    return cast("dict[str, Any]", yaml.safe_load((ROOT / "openapi" / "requence.yaml").read_text("utf-8")))


@contextmanager
def served() -> Generator[LocalServer]:
    """A server that does not check itself: it is schemathesis that is to find what is wrong."""
    with LocalServer(*templates(), strict=False) as server:
        server.faults.end(
            operation="watch_all", times=None
        )  # a stream without an end says nothing about its start
        yield server
