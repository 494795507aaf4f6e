"""The root of the command line: its commands and the options that belong to none of them."""

from __future__ import annotations

from typing import Annotated

import typer

from requence._version import __version__
from requence.cli import generate_types
from requence.cli.local import local

__all__ = ["app"]

app = typer.Typer(
    help="Tasks of the Requence platform, and a task server for this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("local")(local)


@app.command(
    "generate-types",
    help="Write Python types for the templates of an access token. The same as requence-task generate-types.",
    add_help_option=False,  # all that is given, also --help, goes to the command's own parser
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def _generate_types(context: typer.Context) -> None:
    raise typer.Exit(generate_types.main(["generate-types", *context.args], program="requence"))


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
