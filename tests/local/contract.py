"""The contract that the local server's answers and events are held against."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

_CONTRACT = json.loads(files("requence_api").joinpath("openapi.json").read_text(encoding="utf-8"))


def fits(schema: str, value: object) -> bool:
    """Whether a value is what the contract's schema of this name describes."""
    schemas = _CONTRACT["components"]["schemas"]
    validator: Any = Draft202012Validator({**schemas[schema], "components": {"schemas": schemas}})
    return bool(validator.is_valid(value))


# By the kind of event, the name of the schema of its payload.
EVENT_SCHEMAS: dict[str, str] = {
    kind: schema["$ref"].rpartition("/")[2]
    for kind, schema in _CONTRACT["components"]["responses"]["EventStream"]["x-events"].items()
}
