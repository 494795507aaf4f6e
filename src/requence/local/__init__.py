"""A complete task server for one machine, in pure Python: for development, tests and demos.

It speaks the protocol of the Requence platform. Declare what a task does with `TaskTemplate`, and start a
`LocalServer` with it; or serve a file of templates with `requence local FILE`.
"""

from importlib.util import find_spec

if any(find_spec(library) is None for library in ("jsonschema", "referencing", "starlette", "uvicorn")):
    raise ImportError("requence.local needs libraries that are not installed: pip install 'requence[local]'")

from requence.local.context import DebugLog, NodeContext
from requence.local.faults import Fault, Faults
from requence.local.server import LocalServer
from requence.local.steps import AnyOf, Node, NodeOutput, OnFail, Subtask, any_of
from requence.local.template import TaskTemplate
from requence.local.testkit import ServerClock, StartedTask

__all__ = [
    "AnyOf",
    "DebugLog",
    "Fault",
    "Faults",
    "LocalServer",
    "Node",
    "NodeContext",
    "NodeOutput",
    "OnFail",
    "ServerClock",
    "StartedTask",
    "Subtask",
    "TaskTemplate",
    "any_of",
]


def __dir__() -> list[str]:
    # Completion then offers what is public, and not what is only imported here.
    return __all__
