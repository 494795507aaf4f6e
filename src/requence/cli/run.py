"""`requence run` and `requence recreate`: start a task and follow it."""

from __future__ import annotations

from typing import Annotated

import typer

from requence.cli.output import ending_well

__all__ = ["AsJson", "recreate", "run"]

AsJson = Annotated[
    bool,
    typer.Option("--json", help="Write lines of JSON for programs, an object on each, and nothing else."),
]
_Name = Annotated[
    str | None, typer.Option("--name", help="What the task is called, for people.", show_default=False)
]
_Watch = Annotated[
    bool,
    typer.Option(
        "--watch/--no-watch",
        help="Follow the task to its end, or only wait until it was accepted, and print its id and URL.",
    ),
]


def run(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="The name of the task template.")],
    input: Annotated[
        str,
        typer.Option(
            "--input",
            "-i",
            metavar="JSON|@FILE|-",
            help="The input: JSON, the path of a file with JSON after an @, or - for standard input.",
        ),
    ] = "{}",
    name: _Name = None,
    priority: Annotated[int, typer.Option(min=0, max=10, help="From 0 (low) to 10 (high).")] = 5,
    watch: _Watch = True,
    as_json: AsJson = False,
) -> None:
    """Start a task, show how it goes, and print its result.

    The result is printed to standard output, as JSON; all else goes to standard error. Ctrl-C leaves the task
    running.
    """
    with ending_well(as_json=as_json):
        from requence.cli.following import follow  # here, as below: it imports the SDK, which takes its time
        from requence.cli.json_input import read_input
        from requence.task import Task

        value = read_input(input)
        follow(lambda: Task(template, value, name=name, priority=priority), watch=watch, as_json=as_json)


def recreate(
    task_id: Annotated[str, typer.Argument(metavar="TASK_ID", help="The id of the task to start again.")],
    name: _Name = None,
    priority: Annotated[
        int | None,
        typer.Option(min=0, max=10, help="From 0 (low) to 10 (high); default: 5.", show_default=False),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            help="The name of the template, where the service does not tell it.", show_default=False
        ),
    ] = None,
    watch: _Watch = True,
    as_json: AsJson = False,
) -> None:
    """Start a task once more, with the same template and input; else like run."""
    with ending_well(as_json=as_json):
        from requence.cli.following import follow
        from requence.task import recreate_task

        follow(
            lambda: recreate_task(task_id, name, priority, task_template=template),
            watch=watch,
            as_json=as_json,
        )
