"""The command line, `requence`. Its commands are in modules of their own, one per group."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Runs the command line; the console script `requence`.

    Without the packages that it needs, it says how to get them and exits with status 2.
    """
    if find_spec("typer") is None:
        sys.stderr.write(
            "The command line needs packages that are not installed: pip install 'requence[local]'\n"
        )
        raise SystemExit(2)
    from requence.cli.commands import app

    app(prog_name="requence")
