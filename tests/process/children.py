"""Scripts in child processes, where the end of a process, a fork or a signal is real."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

__all__ = ["run", "run_python"]


def run(text: str, access_token: str, *, strict: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a script to its end.

    Args:
        text: The script; it may be indented.
        access_token: What it finds in its environment.
        strict: Whether every warning is an error. (Not in Python's development mode: there asyncio complains of
            callbacks that take longer than 0.1 s, which a busy machine is enough for.)
    """
    options = ["-W", "error"] if strict else []
    return run_python([*options, "-c", textwrap.dedent(text)], access_token)


def run_python(arguments: list[str], access_token: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with these arguments."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "REQUENCE_ACCESS_TOKEN": access_token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
