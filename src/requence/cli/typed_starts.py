"""`requence types`: the same as `requence-task generate-types`."""

from __future__ import annotations

from typing import Annotated

import typer

from requence.cli import generate_types

__all__ = ["COMMAND_SETTINGS", "types"]

# What is not known goes to the parser of the other command, which never repeats what may be an access token.
COMMAND_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}


def types(
    context: typer.Context,
    outdir: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where to write; it is made if it is not there.")
    ] = "typings",
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing; tell what differs, and exit with status 1 if anything does."
        ),
    ] = False,
    access_token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="The access token. Other users of this machine can see it in the list of processes, so the "
            "environment, or a pyproject.toml, is better.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write Python types for the templates of the access token; the same as requence-task generate-types."""
    given = ["types", f"--outdir={outdir}", *(["--check"] if check else [])]
    if access_token is not None:
        given.append(f"--access-token={access_token}")
    raise typer.Exit(generate_types.main([*given, *context.args], program="requence", command="types"))
