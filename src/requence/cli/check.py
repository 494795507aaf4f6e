"""What `requence doctor` finds: one value for each thing that it looks at. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from requence.cli.status import Status

__all__ = ["Check", "Verdict"]


class Verdict(Enum):
    """How a check has come out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"  # what it stands on has failed


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: What was looked at.
        verdict: How it has come out.
        says: What was found.
        hint: What to do about it, None if there is nothing to do.
        status: With what status the command ends, if this is the first check that fails.
    """

    name: str
    verdict: Verdict
    says: str
    hint: str | None = None
    status: Status = Status.SUCCESS
