"""The command line, `requence`. Its commands are in modules of their own, one per group."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Runs the command line; the console script `requence`.

    Without the packages that it needs, it says how to get them and exits with status 2.
    """
    extra, needed = ("local", ["typer"]) if "local" in sys.argv[1:2] else ("cli", ["typer", "rich"])
    if "doctor" not in sys.argv[1:2]:  # which tells what there is of these
        needed += ["aiohttp", "attrs", "httpx", "msgspec"]
    if any(find_spec(package) is None for package in needed):
        sys.stderr.write(
            f"The command line needs packages that are not installed: pip install 'requence[{extra}]'\n"
        )
        raise SystemExit(2)
    _write_what_can_be_written()
    try:
        from requence.cli.commands import app

        app(prog_name="requence")
    except KeyboardInterrupt:  # before any command could deal with it
        raise SystemExit(130) from None
    except ImportError as error:  # a part is missing, or is that of another version
        from requence.cli.installation import tell_what_is_broken

        tell_what_is_broken(error, as_json="--json" in sys.argv)
        raise SystemExit(1) from None
    except OSError as error:  # what is not written by a command: the help, the version
        from requence.cli.output import say_unwritten

        say_unwritten(error)
        raise SystemExit(1) from None


def _write_what_can_be_written() -> None:
    """Lets characters that the terminal's encoding does not have be written as escapes, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # it was closed, or is none of Python's own
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
