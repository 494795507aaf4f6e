"""Runs in an environment of its own with the published client: one way of using it, named by the argument.

Prints one line of JSON. It must not import anything of this project.
"""

import json
import sys
from importlib.metadata import version
from typing import Any

from requence.task import Task, TaskAbortException, abort_task, get_task, protect_task


def start(argv: list[str]) -> Any:
    task = Task(task_template="my-template", input={"name": "World"}, name="A name")
    return {"id": task.sync.id, "url": task.sync.url}


def result(argv: list[str]) -> Any:
    task = Task(task_template="my-template", input={"name": "World"})
    found = task.sync.result
    return {
        "id": found["task_id"],
        "input": found["input"],
        "result": found["result"],
        "data": found["node_data"],
    }


def updates(argv: list[str]) -> Any:
    task = Task(task_template="my-template", input={"name": "World"})
    return [
        [update["type"], update.get("node", {}).get("alias"), update["context"]["result"]]
        for update in task.sync.updates
    ]


def acknowledged(argv: list[str]) -> Any:
    task = Task(task_template="my-template", input={}, require_ack=True)
    found = task.sync.result
    return {"id": found["task_id"], "result": found["result"]}


def aborted(argv: list[str]) -> Any:
    task = Task(task_template="endless", input={})
    types: list[str] = []
    for update in task.sync.updates:
        types.append(update["type"])
        if update["type"] == "nodeStart":
            task.abort("not needed any more")
    return {"id": task.sync.id, "types": types}


def failed(argv: list[str]) -> Any:
    try:
        return {"result": Task(task_template="failing", input={}).sync.result}
    except Exception as error:
        return {"error": str(error)}


def large(argv: list[str]) -> Any:
    """Over the payload limit, so that the client uploads the input and sends a claim check."""
    found = Task(task_template="my-template", input={"name": "x" * 20_000}).sync.result
    return {"length": len(found["result"])}


def refused(argv: list[str]) -> Any:
    errors: list[list[str]] = []
    for template, value in (("my-template", {"name": 5}), ("no-such-template", {})):
        try:
            print(Task(task_template=template, input=value).sync.id, file=sys.stderr)
        except Exception as error:
            errors.append([type(error).__name__, str(error)])
    return errors


def by_id(argv: list[str]) -> Any:
    running, done = argv
    protect_task(running)
    abort_task(running, reason="by id")
    status, context = get_task(done)
    unknown: list[object] = []
    for call in (get_task, protect_task, abort_task):
        try:
            call("no-such-task")
        except Exception as error:
            unknown.append(isinstance(error, Exception))
    try:
        abort_task("no-such-task")
    except TaskAbortException as error:
        unknown.append(str(error))
    return {"status": status, "data": context["node_data"], "result": context["result"], "unknown": unknown}


assert version("requence") == "0.8.2"
print(json.dumps(globals()[sys.argv[1]](sys.argv[2:])), flush=True)
