"""Schemas as tables: field, type, required, meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from protocol.document import Contract, Part, checked, name_of
from protocol.markdown import cell, code, fence, link, linked, table

__all__ = ["Shown", "json_text"]

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "object",
    "array": "list",
}
_KEYWORDS = (
    "type",
    "format",
    "description",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "enum",
    "const",
    "default",
    "allOf",
    "anyOf",
    "oneOf",
    "$ref",
    "examples",
)
_ONE_LINE = 100


@dataclass(frozen=True)
class Shown:
    """Shows schemas of one contract.

    Attributes:
        contract: The contract.
        anchors: Where names that descriptions use are explained.
        places: Where each schema is shown.
    """

    contract: Contract
    anchors: Mapping[str, str]
    places: Mapping[str, str]

    def text(self, description: str | None) -> str:
        """Returns a description with links to what it names."""
        return linked((description or "").strip(), self.anchors)

    def blocks(self, name: str) -> Iterator[str]:
        """Yields what is to be said of a schema, below its heading."""
        schema = self.contract.schemas[name]
        if "description" in schema:
            yield self.text(schema["description"])
        own, bases = self._taken_apart(name, schema)
        if rows := [row for part in own for row in self._rows(name, part, "")]:
            yield table(("field", "type", "required", "meaning"), rows)
        elif not bases:
            yield f"It is: {self.words(name, schema)}."
        if bases:
            yield self._inherited(bases, also=bool(rows))
        for example in schema.get("examples", []):
            yield fence("json", json_text(example))

    def words(self, where: str, schema: Part) -> str:
        """Returns the type of a value, in words."""
        checked(where, schema, _KEYWORDS)
        if "$ref" in schema:
            name = name_of(schema)
            return link(code(name), self.places[name])
        for keyword, between in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
            if keyword in schema:
                return between.join(self.words(where, part) for part in schema[keyword])
        kinds = schema.get("type", [])
        said = [self._kind(where, kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
        return ", ".join([" or ".join(said) or "any JSON", *_limits(schema)])

    def meaning(self, schema: Part) -> str:
        """Returns what a value means, for a table; of a reference alone, what is said of the schema."""
        described = schema if "description" in schema else self.contract.resolved(schema)
        return cell(self.text(described.get("description")))

    def _kind(self, where: str, kind: str, schema: Part) -> str:
        if kind == "array" and "items" in schema:
            return f"list of {self.words(f'{where}[]', schema['items'])}"
        extra: Part | bool = schema.get("additionalProperties", True)
        if kind == "object" and not isinstance(extra, bool):
            return f"object that holds, under any name, {self.words(f'{where}.*', extra)}"
        if kind == "string" and schema.get("format") == "binary":
            return "bytes"
        return f"text ({schema['format']})" if kind == "string" and "format" in schema else _WORDS[kind]

    def _taken_apart(self, name: str, schema: Part) -> tuple[list[Part], list[str]]:
        """The parts of a schema that are its own, and the names of the schemas that it adds to."""
        checked(name, schema, _KEYWORDS)
        parts: list[Part] = schema.get("allOf", [schema])
        own = [part for part in parts if "$ref" not in part]
        return own, [name_of(part) for part in parts if "$ref" in part]

    def _rows(self, where: str, schema: Part, prefix: str) -> Iterator[tuple[str, str, str, str]]:
        checked(where, schema, _KEYWORDS)
        for name, field in schema.get("properties", {}).items():
            required = "yes" if name in schema.get("required", []) else "no"
            words = self.words(f"{where}.{name}", field)
            yield code(prefix + name), words, required, self.meaning(field)
            yield from self._rows(f"{where}.{name}", field, f"{prefix}{name}.")
            yield from self._rows(f"{where}.{name}[]", field.get("items", {}), f"{prefix}{name}[].")

    def _inherited(self, bases: list[str], *, also: bool) -> str:
        """What a schema has of others, by name: the fields are explained there."""
        names = [name for base in bases for name in self._all_fields(base)]
        links = " and ".join(link(code(base), self.places[base]) for base in bases)
        return f"It {'also ' if also else ''}has the fields of {links}: {', '.join(map(code, names))}."

    def _all_fields(self, name: str) -> list[str]:
        own, bases = self._taken_apart(name, self.contract.schemas[name])
        names = [field for part in own for field in part.get("properties", {})]
        return names + [field for base in bases for field in self._all_fields(base)]


def json_text(value: object) -> str:
    """Returns a value as JSON, on one line if it is short."""
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= _ONE_LINE else json.dumps(value, ensure_ascii=False, indent=2)


def _limits(schema: Part) -> Iterator[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        yield f"{low} to {high}"
    elif low is not None:
        yield f"{low} or more"
    elif high is not None:
        yield f"{high} or less"
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
    if longest == 0:
        yield "empty"
    elif longest is not None:
        yield f"{shortest} to {longest} characters"
    elif shortest:
        yield "not empty" if shortest == 1 else f"{shortest} characters or more"
    if schema.get("additionalProperties") is False:
        yield "without other fields"
    if "pattern" in schema:
        yield f"like {code(schema['pattern'])}"
    if "enum" in schema:
        yield f"one of {', '.join(code(json.dumps(value, ensure_ascii=False)) for value in schema['enum'])}"
    if "const" in schema:
        yield f"always {code(json.dumps(schema['const'], ensure_ascii=False))}"
    if "default" in schema:
        yield f"{code(json.dumps(schema['default'], ensure_ascii=False))} if missing"
