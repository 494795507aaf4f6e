"""`requence get`, `abort` and `protect`: what can be done with a task by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from requence.cli.output import ending_well, put, put_json, put_json_line, say
from requence.cli.run import AsJson

if TYPE_CHECKING:
    from requence.task import TaskSnapshot

__all__ = ["abort", "get", "protect"]

_TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", help="The task's id.")]


def get(
    task_id: _TaskId,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", help="Wait for the task's end, and print its result like run; by asking, with pauses."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a task as it is now: its status, input, result and the data of its nodes."""
    with ending_well(as_json=as_json):
        from requence.task import Task, get_task  # here, as below: it takes its time

        if wait:
            from requence.cli.following import wait_for_end

            task = Task.attach(task_id)
            wait_for_end(task, task.sync.ref(), as_json=as_json)
        snapshot = get_task(task_id)
        if as_json:
            _put_snapshot(snapshot)
        else:
            _show_snapshot(snapshot)


def abort(
    task_id: _TaskId,
    reason: Annotated[str | None, typer.Option(help="Why, for people.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Abort a task. One that has ended is left as it is."""
    with ending_well(as_json=as_json):
        from requence.task import abort_task

        abort_task(task_id, reason=reason)
        _tell("aborted", f"Aborted task {task_id}", task_id, as_json=as_json)


def protect(task_id: _TaskId, as_json: AsJson = False) -> None:
    """Protect a task from automatic cleanup."""
    with ending_well(as_json=as_json):
        from requence.task import protect_task

        protect_task(task_id)
        _tell("protected", f"Protected task {task_id}", task_id, as_json=as_json)


def _tell(kind: str, text: str, task_id: str, *, as_json: bool) -> None:
    if as_json:
        put_json_line(kind, task_id=task_id)
    else:
        say(text)


def _put_snapshot(snapshot: TaskSnapshot) -> None:
    context = snapshot.context.to_dict()
    put_json_line(
        "task",
        task_id=snapshot.task_id,
        status=snapshot.status,
        status_text=snapshot.status_text,
        task_template=snapshot.task_template,
        name=snapshot.name,
        branch=snapshot.branch,
        **{key: context[key] for key in ("input", "result", "node_data", "node_error")},
    )


def _show_snapshot(snapshot: TaskSnapshot) -> None:
    more = f" ({snapshot.status_text})" if snapshot.status_text else ""
    facts = {
        "task": snapshot.task_id,
        "status": f"{snapshot.status}{more}",
        "template": snapshot.task_template,
        "name": snapshot.name,
        "branch": snapshot.branch,
    }
    for label, fact in facts.items():
        if fact is not None:
            put(f"{label + ':':<10}{fact}")
    context = snapshot.context.to_dict()
    shown = {
        "input": context["input"] if snapshot.tells_input else None,
        "result": context["result"],
        "node data": context["node_data"],
        "node errors": context["node_error"],
    }
    for label, value in shown.items():
        if value not in (None, {}):
            put(f"{label}:")
            put_json(value)
