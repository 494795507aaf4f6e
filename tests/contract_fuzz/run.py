"""Runs schemathesis, as the command that it is, against a server's socket."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from tests.contract.existing import existing
from tests.contract_fuzz.report import Report, report_of
from tests.contract_fuzz.spec import narrowed
from tests.local.api import Api

from requence.local import LocalServer

__all__ = ["Run", "schemathesis"]

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
COMMAND = Path(sys.executable).with_name(
    "schemathesis"
)  # missing in any environment but that of `make contract`
SEED = "20260131"
SECONDS = 90  # its own limit is 40, after which it finishes the request that it is at


@dataclass(frozen=True)
class Run:
    """A run that has ended: its exit code, what it has printed, and its report."""

    code: int
    output: str
    report: Report


def schemathesis(server: LocalServer, contract: dict[str, Any], folder: Path) -> Run:
    """Runs all phases and all checks against a server that has the `templates()` of existing things.

    Args:
        server: The server. Its stream of all tasks must end.
        contract: The contract.
        folder: For the specification and the report.
    """
    specification, report = folder / "specification.json", folder / "report.ndjson"
    configuration = folder / CONFIGURATION.name
    with Api(server.access_token) as api:
        things = existing(api)
        api.post("abort", things.running)
        ended = {
            "ENDED": things.ended,
            "FAILED": _ended(api, api.start("failing")),
            "DEFERRED": _ended(api, api.start("deferring")),
            "ABORTED": _ended(api, things.running),
        }
        variables = {
            "SERVER_URL": api.url,
            "BEARER": api.bearer,
            **ended,
            **{f"KEY_OF_{name.upper()}": things.key(name) for name in things.paths},
        }
    specification.write_text(json.dumps(narrowed(contract, list(ended.values()))), encoding="utf-8")
    configuration.write_text(Template(CONFIGURATION.read_text("utf-8")).substitute(variables), "utf-8")
    phases = ["--phases", "examples,coverage,fuzzing,stateful", "--checks", "all", "--continue-on-failure"]
    reports = ["--report", "ndjson", "--report-ndjson-path", str(report), "--output-sanitize", "false"]
    done = subprocess.run(
        [COMMAND, "--config-file", configuration, "run", specification, "--seed", SEED, *phases, *reports],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    return Run(done.returncode, done.stdout, report_of(report.read_text("utf-8").splitlines()))


def _ended(api: Api, task_id: str) -> str:
    list(api.watch(task_id))
    return task_id
