"""The keys in the URLs of pages: each opens what it names, and nothing else. Pure."""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["LIST", "is_key", "key"]

# What the key of the list is made for; ids of tasks are different.
LIST = "tasks"


def key(secret: str, name: str) -> str:
    """Returns the key that opens the page of a task, by its id, or the list of tasks."""
    return hmac.new(secret.encode(), name.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def is_key(secret: str, name: str, given: str) -> bool:
    """Returns whether this is the key; it takes the same time however much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), key(secret, name).encode())
