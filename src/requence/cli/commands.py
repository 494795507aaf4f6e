"""The root of the command line: its commands and the options that belong to none of them."""

from __future__ import annotations

from typing import Annotated

import typer

from requence._version import __version__
from requence.cli.local import local

__all__ = ["app"]

app = typer.Typer(
    help="Tasks of the Requence platform, and a task server for this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("local")(local)


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
