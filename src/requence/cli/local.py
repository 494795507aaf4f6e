"""`requence local`: serves the task templates of a file or module."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import traceback
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from requence.cli.child import run_command
from requence.cli.loading import LoadError, load_module
from requence.exceptions import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType

    from requence.local import LocalServer, TaskTemplate

__all__ = ["local"]

_NEEDED = ("jsonschema", "starlette", "uvicorn")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DEFAULT_DB = Path(".requence", "local.db")


def local(
    target: Annotated[
        str,
        typer.Argument(metavar="FILE_OR_MODULE", help="Where the task templates are.", show_default=False),
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND …]",
            help="Run this with REQUENCE_ACCESS_TOKEN set, stop when it ends, and exit with its status.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65_535, help="The port; 0: the one that the file was last served on, or a free one."
        ),
    ] = 0,
    db: Annotated[
        Path | None,
        typer.Option(
            help=f"The SQLite file to keep everything in.  [default: {_DEFAULT_DB}]", show_default=False
        ),
    ] = None,
    memory: Annotated[bool, typer.Option("--memory", help="Keep nothing when the server stops.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=10_000, help="How many handlers run at once.")] = 8,
    retention: Annotated[
        str, typer.Option(help="How long tasks are kept after their end: 90s, 30m, 12h, 7d or forever.")
    ] = "7d",
) -> None:
    """Serve every TaskTemplate of a file or module on this machine.

    Without a command the server runs until Ctrl-C. Started again on the same file, it has the same access token
    and port, and takes up the tasks that had not ended.
    """
    if any(find_spec(package) is None for package in _NEEDED):
        _fail("The local server needs packages that are not installed: pip install 'requence[local]'")
    if memory and db is not None:
        _fail("--db and --memory exclude each other")
    kept = _duration(retention)
    templates = _templates(target)

    from requence.local import LocalServer

    _show_logs()
    try:
        place = None if memory else _with_folder(db or _DEFAULT_DB)
        with LocalServer(*templates, port=port, db=place, workers=workers, retention=kept) as server:
            raise typer.Exit(_serve(server, templates, place, command))
    except ConfigurationError as error:
        _fail(str(error), error.hint)


def _serve(
    server: LocalServer, templates: list[TaskTemplate], place: Path | None, command: list[str] | None
) -> int:
    if command:
        _say(f"requence: serving at {server.url} while the command runs")
        return run_command(command, {"REQUENCE_ACCESS_TOKEN": server.access_token})
    names = ", ".join(template.name for template in templates)
    # The token opens a server that only this machine can reach, so it may stand in this terminal.
    typer.echo(f"Serving {names}\n  at     {server.url}\n  state  {place or 'in memory'}\n")
    typer.echo(f"export REQUENCE_ACCESS_TOKEN={server.access_token}\n\nPress Ctrl-C to stop.")
    _wait_for_signal()
    return 0


def _duration(text: str) -> timedelta | None:
    if text == "forever":
        return None
    number, unit = text[:-1], _UNITS.get(text[-1:])
    # Ten digits at most: more days than that no calendar has.
    if unit is None or not (number.isascii() and number.isdigit()) or len(number) > 10:
        _fail(f"--retention takes 90s, 30m, 12h, 7d or forever, not {text}")
    try:
        return timedelta(**{unit: int(number)})
    except OverflowError:
        _fail(f"--retention is too long: {text}", "use forever")


def _show_logs() -> None:
    """Shows what handlers say with `ctx.debug`, and what the server has to say, from INFO on."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger = logging.getLogger("requence.local")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def _wait_for_signal() -> None:
    asked = threading.Event()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    asked.wait()


def _templates(target: str) -> list[TaskTemplate]:
    try:
        module = load_module(target)
    except LoadError as error:
        _fail(str(error))
    except Exception:  # whatever the user's own code raises while it is imported
        traceback.print_exc()
        _fail(f"{target} could not be imported")
    templates = _templates_of(module)
    if not templates:
        _fail(
            f"There is no TaskTemplate in {target}",
            'make one at the top level of the module: my_task = TaskTemplate("my-task")',
        )
    return templates


def _templates_of(module: ModuleType) -> list[TaskTemplate]:
    from requence.local import TaskTemplate

    found = [value for value in vars(module).values() if isinstance(value, TaskTemplate)]
    return list(dict.fromkeys(found))  # one template may have two names in its module


def _with_folder(db: Path) -> Path:
    """Makes the folder that the file goes into, if it is missing."""
    folder = db.parent
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.name == _DEFAULT_DB.parent.name and not (folder / ".gitignore").exists():
            # The file holds the access token's secret, which must not end up in a repository.
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        _fail(
            f"The folder {folder} cannot be used: {error.strerror}",
            "choose a file with --db, or use --memory",
        )
    return db


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _fail(text: str, hint: str | None = None) -> NoReturn:
    _say(f"requence: {text}")
    if hint:
        _say(f"hint: {hint}")
    sys.stdout.flush()
    raise typer.Exit(2)
