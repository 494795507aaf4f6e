"""Why the engine refuses what it is asked for; the messages are for people."""

from __future__ import annotations

__all__ = ["NotStartableError", "UnknownKeyError", "UnknownTaskError", "UnknownTemplateError"]


class UnknownTemplateError(LookupError):
    """There is no template of this name; the message lists those that there are."""


class UnknownTaskError(LookupError):
    """There is no task of this id."""


class UnknownKeyError(LookupError):
    """There is no node that could be ended with this key."""


class NotStartableError(Exception):
    """The task was started or aborted before."""
