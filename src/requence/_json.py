"""What type checkers cannot know of decoded JSON."""

from __future__ import annotations

from typing import Any, TypeGuard, cast

__all__ = ["as_list", "as_object", "places_in"]


def as_object(value: object) -> dict[str, Any] | None:
    """Returns decoded JSON if it is an object, else None."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[Any] | None:
    """Returns decoded JSON if it is an array, else None."""
    return value if _is_list(value) else None


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def places_in(container: object) -> list[tuple[Any, Any]]:
    """Returns the keys or indexes of an object or array with what is there; nothing for other values."""
    fields, items = as_object(container), as_list(container)
    if fields is not None:
        return list(fields.items())
    return [] if items is None else list(enumerate(items))
