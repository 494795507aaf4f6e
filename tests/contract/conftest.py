"""What the tests of the contract have in common: the document itself, and a way to run the generator on copies."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

RunRegen = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def contract_path() -> Path:
    return ROOT / "openapi" / "requence.yaml"


@pytest.fixture(scope="session")
def contract(contract_path: Path) -> dict[str, Any]:
    """The contract as plain data; tests must not change it."""
    return cast("dict[str, Any]", yaml.safe_load(contract_path.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def run_regen() -> RunRegen:
    """Run scripts/regen.sh on a contract and an output folder of the test's own.

    All runs use one environment with the generator in it, by default the checkout's: installing it takes far
    longer than using it. More variables of the script, such as `REGEN_TOOLS`, go by their own names.
    """
    venv = os.environ.get("REGEN_VENV") or str(ROOT / ".regen-venv")

    def run(
        *arguments: str, spec: Path, generated: Path, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(ROOT / "scripts" / "regen.sh"), *arguments],
            env={
                **os.environ,
                "REGEN_VENV": venv,
                "REQUENCE_SPEC": str(spec),
                "REQUENCE_GENERATED": str(generated),
                **variables,
            },
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run
