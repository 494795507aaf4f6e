"""Who is measured, and how: each program is a process of its own, against the scripted service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from requence._token import encode_access_token

__all__ = ["FLOOR", "OURS", "PUBLISHED", "ROOT", "Contender", "Service"]

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED_PYTHON = ROOT / ".venv-published" / "bin" / "python"
_PACKAGE = "benchmarks.side_by_side"
_LONGEST = 300.0  # seconds that one run of a program may take


@dataclass(frozen=True, slots=True)
class Contender:
    """One side of a comparison.

    Attributes:
        name: As in the table.
        python: The interpreter of its environment.
    """

    name: str
    python: str

    @property
    def is_published(self) -> bool:
        """Whether it needs the environment of the published SDK."""
        return self.python == str(PUBLISHED_PYTHON)


OURS = Contender("ours", sys.executable)
PUBLISHED = Contender("published", str(PUBLISHED_PYTHON))
FLOOR = Contender("floor", sys.executable)


class Service:
    """The scripted service, running; starts the programs that use it."""

    def __init__(self, base_url: str, home: str) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "BENCH_URL": base_url,
            "REQUENCE_ACCESS_TOKEN": encode_access_token("of-the-benchmark", base_url),
        }

    @classmethod
    @contextmanager
    def running(cls) -> Generator[Service]:
        """Runs the service during the context, as a process of its own."""
        command = [sys.executable, "-m", f"{_PACKAGE}.server"]
        with (
            tempfile.TemporaryDirectory() as home,
            subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield cls(process.stdout.readline().strip(), home)
            finally:
                process.stdin.close()

    def run(self, contender: Contender, *program: str) -> dict[str, float]:
        """Runs a program to its end, and returns what it says.

        Args:
            contender: Whose environment it runs in.
            program: The module and its arguments, or `-c` and code.

        Returns:
            The figures of its one line; one that is called `at`, a time, as the seconds since the process began.
        """
        arguments = program if program[0] == "-c" else ("-m", f"{_PACKAGE}.{program[0]}", *program[1:])
        began = time.monotonic()
        done = subprocess.run(
            [contender.python, *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=_LONGEST,
        )
        said: dict[str, float] = json.loads(done.stdout)
        if "at" in said:
            said["seconds"] = said.pop("at") - began
        return said
