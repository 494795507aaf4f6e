"""Reads the events that schemathesis writes down: what it has sent, what came back, and what it minds. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Exchange", "Failure", "Report", "report_of"]


@dataclass(frozen=True)
class Exchange:
    """A request and what came of it.

    Attributes:
        phase: The phase of schemathesis in which it was sent.
        label: Method and path of the contract that it was made for, or tries with another method.
        method: The method that was sent.
        is_valid: Whether schemathesis means the request to be valid.
        body: The body as it was made: any JSON, text, or None for none.
        status: The status of the answer; None if there was none.
        text: The body of the answer.
        link: The link that gave the request its id or key, as "operation -> [status] name -> operation".
    """

    phase: str
    label: str
    method: str
    is_valid: bool
    body: Any
    status: int | None
    text: str
    link: str | None


@dataclass(frozen=True)
class Failure:
    """Something that a check minds."""

    check: str
    label: str
    status: int | None
    message: str


@dataclass(frozen=True)
class Report:
    """All of one run.

    Attributes:
        exchanges: What was sent and received.
        failures: What the checks mind.
        phases: The phases, with how their rounds ended.
        errors: What kept schemathesis from testing something.
    """

    exchanges: list[Exchange]
    failures: list[Failure]
    phases: dict[str, set[str]]
    errors: list[str]


def report_of(lines: Iterable[str]) -> Report:
    """Returns what the lines of a report in ndjson say."""
    exchanges: list[Exchange] = []
    failures: list[Failure] = []
    phases: dict[str, set[str]] = {}
    errors: list[str] = []
    for line in lines:
        [(kind, event)] = json.loads(line).items()
        if kind == "ScenarioFinished":
            exchanges += _exchanges(event["phase"], event["recorder"])
            failures += _failures(event["recorder"])
        elif kind == "PhaseFinished":
            phases.setdefault(event["phase"]["name"], set()).add(event["status"])
        elif kind in ("NonFatalError", "FatalError", "Interrupted"):
            errors.append(line)
    return Report(exchanges, failures, phases, errors)


def _exchanges(phase: str, recorder: dict[str, Any]) -> Iterator[Exchange]:
    for key, interaction in recorder.get("interactions", {}).items():
        case = recorder["cases"][key]
        value = case["value"]
        applied = case["transition"]["id"] if case.get("is_transition_applied") else None
        answer = interaction.get("response")
        yield Exchange(
            phase=phase,
            label=f"{value['method']} {value['path']}",
            method=interaction["request"]["method"],
            is_valid=value.get("meta", {}).get("generation", {}).get("mode") == "positive",
            body=value.get("body"),
            status=answer["status_code"] if answer else None,
            text=_decoded(answer.get("content")) if answer else "",
            link=applied,
        )


def _failures(recorder: dict[str, Any]) -> Iterator[Failure]:
    for key, checks in recorder.get("checks", {}).items():
        for check in checks:
            if check["status"] != "success":
                failure = check["failure_info"]["failure"]
                answer = recorder["interactions"].get(key, {}).get("response")
                yield Failure(
                    check["name"],
                    failure["operation"],
                    answer["status_code"] if answer else None,
                    failure["message"],
                )


def _decoded(content: Any) -> str:
    match content:
        case {"$base64": str(encoded)}:
            return base64.b64decode(encoded).decode("utf-8", "replace")
        case _:
            return ""
