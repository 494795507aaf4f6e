"""The root of the command line: its commands and the options that belong to none of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from requence._version import __version__
from requence.cli import tasks, typed_starts
from requence.cli.doctor import doctor
from requence.cli.local import local
from requence.cli.run import recreate, run
from requence.cli.status import STATUSES
from requence.cli.watch import watch

__all__ = ["app"]

_STATUSES = (
    "Exit status: " + "; ".join(f"{int(status)} {meaning}" for status, meaning in STATUSES.items()) + "."
)


def _help_of(command: Callable[..., object]) -> str:
    """Returns a command's help with each paragraph on one line, as wide as terminals may be."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


app = typer.Typer(
    help="Tasks of the Requence platform, and a task server for this machine.",
    epilog=_STATUSES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for command in (run, recreate, tasks.get, tasks.abort, tasks.protect, watch, doctor):
    app.command(help=_help_of(command), epilog=_STATUSES)(command)
app.command(
    help=_help_of(typed_starts.types), epilog=_STATUSES, context_settings=typed_starts.COMMAND_SETTINGS
)(typed_starts.types)
app.command(help=_help_of(local))(local)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"requence {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Tasks of the Requence platform, and a task server for this machine."""
    del version  # the callback has dealt with it
