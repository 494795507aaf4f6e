"""Writes a Python module for each template: the types of its input and result, and a start. Pure.

What a JSON Schema says and a Python type cannot, such as a pattern or a range, is left out: the server checks it.
Nothing out of a schema or a name reaches the text other than as a checked identifier or an escaped literal.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

__all__ = ["Signature", "type_files"]

_MAX_LEVELS = 20
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_IMPORTABLE = ("Any", "Literal", "Never", "NotRequired", "TypeAlias", "TypedDict")
_IN_USE = ("TEMPLATE", "Input", "Result", "Callable", "Client", "Task", "Update")
_STRING = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
# Windows takes no files of these names, whatever follows the dot.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))}

# Pyright looks for modules in `typings` before it looks for those of the same name that Python comes with.
_MODULES = {*sys.stdlib_module_names, "requence", "requence_api"}

_MODULE = '''"""Types of a task template, and a function that starts a task of it. Generated: do not edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import {imports}

from requence import Client
from requence.task import Task, Update

TEMPLATE = {template}

{definitions}
def start(
    input: Input,
    *,
    name: str | None = None,
    priority: int = 5,
    access_token: str | None = None,
    suppress_branch_warning: bool = False,
    require_ack: bool = False,
    client: Client | None = None,
    on_update: Callable[[Update], object] | None = None,
) -> Task[Result]:
    """Starts a task of this template; the arguments are those of `Task`."""
    return Task(
        TEMPLATE,
        input,
        name,
        priority,
        access_token,
        suppress_branch_warning,
        require_ack,
        client=client,
        on_update=on_update,
    )
'''


@dataclass(frozen=True, slots=True)
class Signature:
    """What a template takes and gives.

    Attributes:
        name: Its name.
        input_schema: The JSON Schema of its input; None for any input.
        output_schemas: Those of its exits; None for one that gives anything.
    """

    name: str
    input_schema: Mapping[str, object] | None
    output_schemas: Sequence[Mapping[str, object] | None]


def type_files(signatures: Iterable[Signature]) -> dict[str, str]:
    """Returns the modules by file name; names are plain and differ also where case does not count."""
    files: dict[str, str] = {}
    for signature in signatures:
        stem = _stem(signature.name)
        name, count = stem, 1
        while f"{name}.py" in files:
            count += 1
            name = f"{stem}_{count}"
        files[f"{name}.py"] = _module(signature)
    return files


def _stem(template: str) -> str:
    words = re.findall("[a-z0-9]+", template.lower())
    stem = "_".join(words)[:80] or "template"
    known = keyword.iskeyword(stem) or keyword.issoftkeyword(stem) or stem in _DEVICES or stem in _MODULES
    if known or not stem[0].isalpha():
        return f"task_{stem}"
    return stem


@dataclass(frozen=True, slots=True)
class _Module:
    """What is to stand in a module.

    Attributes:
        definitions: The texts of classes and aliases, each after those that it needs at run time.
        types: The types in them, before anything was quoted.
        taken: The names that are in use.
    """

    definitions: list[str]
    types: list[str]
    taken: set[str]

    def imports(self) -> list[str]:
        """Returns what of `typing` it needs."""
        text = re.sub(_STRING, "", " ".join(self.types))
        return [name for name in _IMPORTABLE if re.search(rf"\b{name}\b", text)]


def _module(signature: Signature) -> str:
    module = _Module([], [], {*_IN_USE, *_IMPORTABLE})
    _define("Input", [signature.input_schema], module)
    _define("Result", signature.output_schemas or [None], module)
    return _MODULE.format(
        imports=", ".join(module.imports()),
        template=ascii(signature.name),
        definitions="\n".join(module.definitions),
    )


def _define(name: str, schemas: Sequence[Mapping[str, object] | None], module: _Module) -> None:
    """Defines a name as what any of these schemas describes."""
    types: list[str] = []
    for number, schema in enumerate(schemas, 1):
        own = name if len(schemas) == 1 else f"{name}{number}"
        module.taken.add(own)
        types.append("Any" if schema is None else _Writer(schema, module).type_of(schema, own))
    if types != [name]:
        whole = _union(types)
        module.types.extend(["TypeAlias", whole])
        module.definitions.append(f"{name}: TypeAlias = {whole!r}\n")


class _Writer:
    """Writes the types of one schema document."""

    def __init__(self, root: Mapping[str, object], module: _Module) -> None:
        self._root = root
        self._module = module
        # By identity of the schema: its class, or None while it is not known whether it becomes one.
        self._names: dict[int, str | None] = {}

    def type_of(self, schema: object, name: str, level: int = 0) -> str:
        """Returns the type that a schema describes; `name` is what a class for it would be called."""
        if schema is False:
            return "Never"
        if not isinstance(schema, Mapping) or level > _MAX_LEVELS:
            return "Any"
        schema = cast("Mapping[str, Any]", schema)
        if id(schema) in self._names:
            return self._names[id(schema)] or "Any"
        self._names[id(schema)] = None
        found = self._written(schema, name, level)
        if self._names[id(schema)] is None:
            del self._names[id(schema)]
        return found

    def _written(self, schema: Mapping[str, Any], name: str, level: int) -> str:
        if "$ref" in schema:
            target, own = self._target(schema["$ref"])
            return self.type_of(target, self._free(own), level + 1)
        if "const" in schema:
            return _literal([schema["const"]])
        if "enum" in schema:
            return _literal(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if key in schema:
                branches = enumerate(schema[key], 1)
                return _union(
                    [self.type_of(each, self._free(f"{name}{n}"), level + 1) for n, each in branches]
                )
        if len(schema.get("allOf", ())) == 1 and "properties" not in schema:
            return self.type_of(schema["allOf"][0], name, level + 1)
        kind = schema.get("type", "object" if "properties" in schema else None)
        kinds = cast("list[object]", kind if isinstance(kind, list) else [kind])
        return _union([self._of_kind(each, schema, name, level) for each in kinds])

    def _of_kind(self, kind: object, schema: Mapping[str, Any], name: str, level: int) -> str:
        if kind == "object":
            # Pyright takes no class with a key that is empty.
            if "properties" in schema and "allOf" not in schema and "" not in schema["properties"]:
                return self._class(schema, name, level)
            rest = None if "properties" in schema else schema.get("additionalProperties")
            value = self.type_of(rest, self._free(f"{name}Value"), level + 1)
            return f"dict[str, {'Any' if value == 'Never' else value}]"
        if kind == "array":
            item = "Any" if "prefixItems" in schema else schema.get("items")
            return f"list[{self.type_of(item, self._free(f'{name}Item'), level + 1)}]"
        return _PLAIN.get(str(kind), "Any")

    def _class(self, schema: Mapping[str, Any], name: str, level: int) -> str:
        self._module.taken.add(name)
        self._names[id(schema)] = name
        required = schema.get("required", [])
        fields: dict[str, str] = {}
        for key, each in schema["properties"].items():
            own = self._free(name + "".join(word.capitalize() for word in re.findall("[A-Za-z0-9]+", key)))
            found = self.type_of(each, own, level + 1)
            fields[key] = found if key in required else f"NotRequired[{found}]"
        self._module.types.extend(["TypedDict", *fields.values()])
        self._module.definitions.append(_typed_dict(name, fields))
        return name

    def _free(self, name: str) -> str:
        """Returns a name for a class that no other has; it is only taken once a class is written."""
        free, count = name, 1
        while free in self._module.taken:
            count += 1
            free = f"{name}_{count}"
        return free

    def _target(self, reference: object) -> tuple[object, str]:
        """Returns what a reference into this document refers to, and a name for it."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return True, "Referred"
        steps = [step.replace("~1", "/").replace("~0", "~") for step in reference[1:].split("/")[1:]]
        target: object = self._root
        for step in steps:
            target = _member(target, step)
        words = re.findall("[A-Za-z0-9]+", steps[-1]) if steps else []
        name = "".join(word[0].upper() + word[1:] for word in words)
        return target, name if name[:1].isalpha() and not keyword.iskeyword(name) else f"Def{name}"


def _member(schema: object, name: str) -> object:
    """Returns what a schema has under a name; True, which is anything, if it has nothing there."""
    return cast("Mapping[str, object]", schema).get(name, True) if isinstance(schema, Mapping) else True


def _typed_dict(name: str, fields: Mapping[str, str]) -> str:
    if all(_is_field(key) for key in fields):
        lines = [f"    {key}: {found}" for key, found in fields.items()] or ["    pass"]
        return "\n".join([f"class {name}(TypedDict):", *lines, ""]) + "\n"
    # Keys that are no names of Python need the other form, whose types are evaluated: hence the quotes.
    lines = [f"        {key!a}: {_in_quotes(found)}," for key, found in fields.items()]
    return "\n".join([f"{name} = TypedDict(", f"    {name!r},", "    {", *lines, "    },", ")", ""]) + "\n"


def _is_field(key: str) -> bool:
    return key.isascii() and key.isidentifier() and not keyword.iskeyword(key) and not key.startswith("__")


def _in_quotes(found: str) -> str:
    if found.startswith("NotRequired["):
        return f"NotRequired[{found[12:-1]!r}]"
    return repr(found)


def _literal(values: Sequence[object]) -> str:
    known: list[str] = []
    for value in values:
        # There are whole numbers of so many digits that Python does not write them.
        if value is None or isinstance(value, str) or (isinstance(value, int) and abs(value) < 2**64):
            known.append(ascii(value))
        else:
            return "Any"
    return f"Literal[{', '.join(dict.fromkeys(known))}]" if known else "Never"


def _union(types: Sequence[str]) -> str:
    different = list(dict.fromkeys(types))
    if "Any" in different or not different:
        return "Any"
    return " | ".join(found for found in different if found != "Never") or "Never"
