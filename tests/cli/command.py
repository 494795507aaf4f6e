"""The command line in this process, which takes a hundredth of the time of a child."""

from __future__ import annotations

import json
import re
from typing import Any

from typer.testing import CliRunner, Result

from requence.cli.commands import app

__all__ = ["CONTROL", "lines_of", "requence"]

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What no output may have: all that a terminal would act on, but for the ends of lines."""


def requence(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """Runs a command. However it ends, that is by an exit, and nothing in what it says acts on a terminal."""
    result = CliRunner().invoke(app, arguments, input=stdin, prog_name="requence")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert not CONTROL.search(result.stdout), result.stdout
    assert not CONTROL.search(result.stderr), result.stderr
    return result


def lines_of(result: Result) -> list[dict[str, Any]]:
    """Reads what `--json` has written: an object on each line, and nothing else anywhere."""
    assert result.stderr == ""
    assert result.stdout.isascii()
    return [json.loads(line) for line in result.stdout.splitlines()]
