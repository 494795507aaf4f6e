"""Why the server refuses what it is asked for; the messages are for people."""

from __future__ import annotations

__all__ = [
    "InvalidRequestError",
    "NotNowError",
    "NotStartableError",
    "UnknownKeyError",
    "UnknownTaskError",
    "UnknownTemplateError",
]


class InvalidRequestError(ValueError):
    """A request cannot be accepted; the message tells people why."""


class UnknownTemplateError(LookupError):
    """There is no template of this name; the message lists those that there are."""


class UnknownTaskError(LookupError):
    """There is no task of this id."""


class UnknownKeyError(LookupError):
    """This key opens nothing, or what it opened is gone."""


class NotStartableError(Exception):
    """The task was started or aborted before."""


class NotNowError(Exception):
    """What was asked cannot be done at the moment; later it can, with another start of the server for instance."""
