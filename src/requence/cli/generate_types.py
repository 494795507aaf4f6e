"""`requence-task generate-types`: writes what the service knows of the types of its templates.

It works in an installation without any extra, so the options are read by the standard library.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from requence._client import default_client
from requence._transport.credentials import find_access_token
from requence._transport.io_thread import io_thread
from requence._version import __version__
from requence.cli.printable import printable
from requence.cli.status import Status, status_of
from requence.cli.type_folder import Plan, carry_out, made_plan
from requence.cli.type_names import RefusedFilesError, checked_files
from requence.exceptions import RequenceError

__all__ = ["main"]

_COMMAND = "generate-types"
_LONG = 12  # what is shorter is no access token
_STATUSES = (
    f"Exit status: {Status.SUCCESS} if all went well; {Status.REFUSED} if the service or this command refuses, or "
    f"if --check finds a difference; {Status.USAGE} for a wrong option, setting or access token; "
    f"{Status.UNREACHABLE} if the service cannot be reached."
)


def main(
    arguments: Sequence[str] | None = None, *, program: str = "requence-task", command: str = _COMMAND
) -> int:
    """Runs the command line; the console script `requence-task`.

    Args:
        arguments: What stands behind the program's name; None for what this process was called with.
        program: What the program is called.
        command: What its command is called.

    Returns:
        The exit status, one of `Status`.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _parser(program, command).parse_args(given)
        return _generate_types(options.access_token, options.outdir, check=options.check)
    except _WrongOptionsError as error:
        hint = f"see {program} {command} --help"
        return _fail(program, Status.USAGE, _without_values(str(error), given), hint)
    except RefusedFilesError as error:
        return _fail(program, Status.REFUSED, f"refused: {error}; nothing was written")
    except RequenceError as error:
        return _fail(program, status_of(error), error.message, error.hint)
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        return _fail(program, Status.REFUSED, f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        return _fail(program, Status.INTERRUPTED, "interrupted")


def _generate_types(access_token: str | None, outdir: str, *, check: bool) -> int:
    files = checked_files(_asked_for(access_token))
    plan = made_plan(Path(outdir), files)
    if check:
        return _checked(plan, outdir)
    carry_out(plan, _say)
    written = len(plan.missing) + len(plan.different)
    if files:
        _say(f"{outdir}: {_counted(len(files))}, {written} written, {len(files) - written} as before")
    else:
        _say("The service has no types for this access token")
    return Status.SUCCESS


def _asked_for(access_token: str | None) -> dict[str, object]:
    """Returns what the service gives."""
    client = default_client()
    token = find_access_token(access_token, client)

    async def work() -> dict[str, object]:
        from requence._transport.api import Api  # on the I/O thread: it imports the HTTP libraries

        return await Api(token, client).python_types()

    return io_thread().run(work)


def _checked(plan: Plan, outdir: str) -> int:
    """Tells how the folder differs from what it shall be."""
    if plan.is_up_to_date:
        _say(f"{outdir}: {_counted(len(plan.files))}, up to date")
        return Status.SUCCESS
    for word, paths in (
        ("missing", plan.missing),
        ("different", plan.different),
        ("obsolete", plan.obsolete),
    ):
        for path in paths:
            _say(f"{word}: {plan.folder / path}")
    # Always by the documented name, with what a shell would make one word of.
    _say(f"Run: requence-task {_COMMAND} --outdir {shlex.quote(outdir)}")
    return Status.REFUSED


def _counted(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"


def _say(text: str) -> None:
    _write(sys.stdout, text)


def _fail(program: str, status: Status, message: str, hint: str | None = None) -> int:
    said = f"{message} ({hint})" if hint else message
    _write(sys.stderr, f"{program}: {' '.join(said.split())}")
    return status


def _write(stream: TextIO | None, text: str) -> None:
    if stream is not None:  # it was closed by whoever has started this, who wants to be told nothing
        stream.write(f"{printable(text, getattr(stream, 'encoding', None) or 'ascii')}\n")


class _WrongOptionsError(Exception):
    """The options cannot be understood; the message says why."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _WrongOptionsError(message)


def _without_values(message: str, given: Sequence[str]) -> str:
    """Returns what is wrong with the options without repeating what may be an access token."""
    for word in given:
        value = word.partition("=")[2] if word.startswith("-") else word
        if len(value) >= _LONG:
            message = message.replace(value, "[…]")
    return message


def _parser(program: str, name: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=program, description="Tasks of the Requence platform.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"requence {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser(
        name,
        help="write Python types for the templates of an access token",
        description="Writes Python types for the templates that an access token may start, so that a type "
        "checker finds a wrong input. Only files that this command has written are replaced or removed.",
        epilog=_STATUSES,
        allow_abbrev=False,
    )
    command.add_argument(
        "--access-token",
        metavar="TOKEN",
        help="the access token; other users of this machine can see it in the list of processes, so "
        "REQUENCE_TASK_ACCESS_TOKEN or REQUENCE_ACCESS_TOKEN in the environment, or a pyproject.toml, is better",
    )
    command.add_argument(
        "--outdir",
        metavar="FOLDER",
        default="typings",
        type=_folder,
        help="where to write; it is made if it is not there (default: %(default)s)",
    )
    command.add_argument(
        "--check",
        action="store_true",
        help="write nothing; tell what is missing or different, and exit with status 1 if anything is",
    )
    return parser


def _folder(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty name; the current folder is a dot")
    return text
