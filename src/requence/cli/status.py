"""With what status a command ends. Scripts and CI depend on these numbers, so they do not change."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Status"]


class Status(IntEnum):
    """The exit statuses of commands that talk to the service."""

    SUCCESS = 0
    REFUSED = 1  # by the service, or since the outcome is not as it should be
    USAGE = 2  # a wrong option, no usable access token, a wrong setting
    UNREACHABLE = 69  # as EX_UNAVAILABLE in sysexits.h: worth another try
    INTERRUPTED = 130  # as shells tell Ctrl-C
