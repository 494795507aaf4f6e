"""The contract as data: what the page shows of it, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from protocol.markdown import plain, sections, slug

__all__ = ["OPERATIONS_OF", "SCHEMAS", "Contract", "Operation", "Part", "checked"]

# What JSON holds may be anything; what the page needs of it is looked at where it is shown.
Part = dict[str, Any]

SCHEMAS = "Schemas"
OPERATIONS_OF = "Operations: "

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True)
class Operation:
    """An operation of the contract.

    Attributes:
        method: Its HTTP method, in capitals.
        path: Its path.
        described: All that the contract says of it.
        token: Whether the access token is wanted.
    """

    method: str
    path: str
    described: Part
    token: bool

    @property
    def title(self) -> str:
        """Its heading, as Markdown."""
        return plain(self.described["summary"])


class Contract:
    """A contract.

    Args:
        document: The OpenAPI document.
    """

    def __init__(self, document: Part) -> None:
        self.document = document
        self.info: Part = document["info"]
        self.schemas: dict[str, Part] = document["components"]["schemas"]

    def resolved(self, part: Part) -> Part:
        """Returns what a part refers to, or the part itself."""
        while "$ref" in part:
            found: Any = self.document
            for step in part["$ref"].removeprefix("#/").split("/"):
                found = found[step.replace("~1", "/").replace("~0", "~")]
            part = found
        return part

    def operations(self, tag: str | None = None) -> list[Operation]:
        """Returns the operations, or those with a tag."""
        return [each for each in self._operations() if tag is None or tag in each.described["tags"]]

    def tags(self) -> list[Part]:
        """Returns the tags, also those that only operations name."""
        described = {tag["name"]: tag for tag in self.document.get("tags", [])}
        used = {name: {"name": name} for each in self.operations() for name in each.described["tags"]}
        return (
            list({**used, **described}.values()) if set(used) - set(described) else list(described.values())
        )

    def answers(self, operation: Operation) -> dict[str, Part]:
        """Returns the answers of an operation by status."""
        return {
            str(status): self.resolved(answer) for status, answer in operation.described["responses"].items()
        }

    def events(self) -> dict[str, str]:
        """Returns the schema of each kind of event.

        Raises:
            ValueError: One kind has two schemas.
        """
        found: dict[str, str] = {}
        for operation in self.operations():
            for answer in self.answers(operation).values():
                for kind, reference in answer.get("x-events", {}).items():
                    schema = name_of(reference)
                    if found.setdefault(kind, schema) != schema:
                        raise ValueError(
                            f"events named {kind!r} are described by {found[kind]} and by {schema}"
                        )
        return found

    def anchors(self) -> dict[str, str]:
        """Returns where names that descriptions use are explained: tags, headings, operations, events, schemas."""
        parts = sections(self.info.get("description", ""))
        named = {title.lower(): slug(title) for title, _ in parts}
        # A word of ours is explained in the first section that uses it.
        for title, text in reversed(parts):
            named.update({word: slug(title) for word in ("`x-absolute-url`",) if word in text})
        named |= {tag["name"].lower(): slug(OPERATIONS_OF + tag["name"]) for tag in self.tags()}
        named |= {f"`{each.method} {each.path}`": slug(each.title) for each in self.operations()}
        named |= {f"`{name}`": anchor for name, anchor in self.schema_anchors().items()}
        named |= {f"`{kind}`": slug(kind) for kind in self.events()}
        return named | ({"`x-events`": slug("Events")} if self.events() else {})

    def schema_anchors(self) -> dict[str, str]:
        """Returns where each schema is shown: that of an event under the event's name."""
        of_events = {schema: slug(kind) for kind, schema in self.events().items()}
        return {name: of_events.get(name) or slug(name) for name in self.schemas}

    def _operations(self) -> Iterator[Operation]:
        everywhere = self.document.get("security", [])
        for path, methods in self.document["paths"].items():
            checked(f"the path {path}", methods, _METHODS)
            for method, described in methods.items():
                token = bool(described.get("security", everywhere))
                yield Operation(method.upper(), path, described, token)


def name_of(reference: Part) -> str:
    """Returns the name of the component that is referred to."""
    name: str = reference["$ref"].rpartition("/")[2]
    return name


def checked(where: str, part: Part, shown: tuple[str, ...]) -> Part:
    """Returns a part, if the page shows all of it but extensions (`x-…`).

    Raises:
        ValueError: Something of it would be missing on the page.
    """
    missing = [key for key in part if key not in shown and not key.startswith("x-")]
    if missing:
        raise ValueError(
            f"{where}: the page does not show {', '.join(missing)}; scripts/protocol has to learn it"
        )
    return part
