"""What type checkers cannot know of decoded JSON."""

from __future__ import annotations

from typing import Any, cast

__all__ = ["as_object"]


def as_object(value: object) -> dict[str, Any] | None:
    """Returns decoded JSON if it is an object, else None."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
