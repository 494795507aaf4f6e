"""`requence watch`: the updates of all tasks of the access token, as they come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from requence.cli.durations import FORMS, read_duration
from requence.cli.output import call_when_unread, ending_well, put, say
from requence.cli.run import AsJson
from requence.exceptions import ConfigurationError

if TYPE_CHECKING:
    from requence.task import Update

__all__ = ["watch"]

_TYPES = (
    "taskStart",
    "nodeStart",
    "nodeUpdate",
    "nodeError",
    "nodeDefer",
    "nodeEnd",
    "taskEnd",
    "taskError",
    "taskAborted",
)


def _completed(incomplete: str) -> list[str]:
    """Returns what the shell may complete a type to."""
    return [name for name in _TYPES if name.startswith(incomplete)]


def watch(
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=f"Where to begin: ISO 8601, local time without an offset; or how long ago: {FORMS}. Default: now",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE",
            autocompletion=_completed,
            help="Show updates of this type only, such as taskEnd; may be given several times.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASK_ID",
            help="Show the updates of this task and its sub-tasks only; may be given several times.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the updates of all tasks of the access token, one on a line, until Ctrl-C.

    Nothing is acknowledged: whoever waits for an outcome still gets it.
    """
    with ending_well(as_json=as_json):
        types, begin, tasks = _known_types(only or ()), _begin(since), _named_tasks(task or ())
        from requence.cli.following import (
            tell_update,
        )  # here, as below: it imports the SDK, which takes its time
        from requence.cli.lines import update_line
        from requence.task import TaskWatcher

        with TaskWatcher(
            begin,
            only=types,
            ack=False,
            on_connect=lambda: say("Connected; Ctrl-C ends this command, and no task"),
            on_reconnecting=lambda: say("The connection was lost or refused; it is tried again"),
        ) as watcher:
            call_when_unread(watcher.stop)
            for update, _ in watcher.sync.updates:
                if tasks and not _is_of(update, tasks):
                    continue
                if as_json:
                    tell_update(update)
                else:
                    put(update_line(update, whose=True))
        raise BrokenPipeError  # nothing else stops it without an error


def _known_types(only: Iterable[str]) -> list[str] | None:
    """Returns the types as the service writes them; None for all.

    Raises:
        ConfigurationError: One is unknown: nothing would ever be shown of it.
    """
    known = {name.lower(): name for name in _TYPES}
    asked = [name.strip() for text in only for name in text.split(",")]
    for name in asked:
        if name.lower() not in known:
            raise ConfigurationError(
                f"--only: there are no updates of type {name!r}", hint=f"the types are {', '.join(_TYPES)}"
            )
    return [known[name.lower()] for name in asked] or None


def _begin(since: str | None) -> datetime | str:
    if since is None:
        return datetime.now(UTC)
    try:
        ago = read_duration(since)
        return since if ago is None else datetime.now(UTC) - ago
    except OverflowError:
        raise ConfigurationError(f"--since is too long ago: {since}") from None


def _named_tasks(tasks: Iterable[str]) -> frozenset[str]:
    named = frozenset(tasks)
    if not all(name.strip() for name in named):
        raise ConfigurationError("--task names no task")
    return named


def _is_of(update: Update, tasks: frozenset[str]) -> bool:
    return update.task_id in tasks or update.root_task_id in tasks
