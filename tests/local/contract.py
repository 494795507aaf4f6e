"""The contract that the local server's answers and events are held against."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator


def fits(schema: str, value: object) -> bool:
    """Whether a value is what the contract's schema of this name describes."""
    contract = json.loads(files("requence_api").joinpath("openapi.json").read_text(encoding="utf-8"))
    schemas = contract["components"]["schemas"]
    validator: Any = Draft202012Validator({**schemas[schema], "components": {"schemas": schemas}})
    return bool(validator.is_valid(value))


EVENT_SCHEMAS = {
    "taskStart": "TaskStartEvent",
    "nodeStart": "NodeStartEvent",
    "nodeUpdate": "NodeUpdateEvent",
    "nodeError": "NodeErrorEvent",
    "nodeEnd": "NodeEndEvent",
    "taskEnd": "TaskEndEvent",
    "taskError": "TaskErrorEvent",
    "taskAborted": "TaskAbortedEvent",
}
