"""Measure 7: the local server under load, by the benchmark that also runs alone."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.side_by_side.contenders import ROOT
from benchmarks.side_by_side.measuring import Row

__all__ = ["local_server"]

TITLE = "7. The local server, 200 tasks of three nodes begun a second, each followed"


def local_server(seconds: float) -> list[Row]:
    """Runs the load benchmark once, and returns what it says."""
    command = [sys.executable, "benchmarks/local_load.py", "--json", "--seconds", f"{seconds}"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    said = json.loads(done.stdout)
    return [
        Row("tasks ended a second", f"{said['rate']:.0f}"),
        Row("streams open (median)", f"{said['streams']:.0f}"),
        Row("an update's way, ms: p50", f"{said['p50'] * 1000:.1f}"),
        Row("an update's way, ms: p99", f"{said['p99'] * 1000:.1f}"),
        Row("memory at most, MiB", f"{said['memory']:.0f}"),
        Row("processor for each task, ms", f"{said['spent'] * 1000:.1f}"),
    ]
