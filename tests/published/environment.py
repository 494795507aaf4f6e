"""The environment with the published client: made once in the checkout, for the tests and the benchmarks."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["NotToBeHadError", "made"]

REQUIREMENT = "requence==0.8.2"
_ROOT = Path(__file__).resolve().parents[2]
FOLDER = _ROOT / ".venv-published"


class NotToBeHadError(Exception):
    """What is missing; the text says how to get it."""


def python_312() -> str | None:
    """Returns an interpreter that the client supports; launchers that only pretend to be one are passed over."""
    installed = sorted((Path.home() / ".pyenv" / "versions").glob("3.12*/bin/python3.12"))
    for candidate in (sys.executable, shutil.which("python3.12"), *map(str, installed)):
        if candidate is not None:
            code = "import sys; raise SystemExit(sys.version_info[:2] != (3, 12))"
            if subprocess.run([candidate, "-c", code], capture_output=True).returncode == 0:
                return candidate
    return None


def made() -> Path:
    """Returns the interpreter of the environment, which is made if there is none.

    Raises:
        NotToBeHadError: It cannot be made here.
    """
    python = FOLDER / "bin" / "python"
    with (_ROOT / ".venv-published.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other runs in this checkout may make it, too
        stamp = FOLDER / ".installed"
        if not stamp.is_file() or stamp.read_text() != REQUIREMENT or not python.exists():
            base = python_312()
            if base is None:
                raise NotToBeHadError("the published client needs Python 3.12: install it")
            subprocess.run([base, "-m", "venv", "--clear", FOLDER], check=True)
            pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", REQUIREMENT]
            done = subprocess.run(pip, capture_output=True, text=True)
            if done.returncode != 0:
                raise NotToBeHadError(f"the published client is not to be had: pip install {REQUIREMENT}")
            stamp.write_text(REQUIREMENT)
    return python
