"""What requests say: their bodies, held against the API's contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

from requence.local.contract import problems_with
from requence.local.events import time_text
from requence.local.json_values import MAX_DEPTH, compact, is_too_deep
from requence.local.refusals import InvalidRequestError
from requence.local.schemas import shortened

__all__ = ["Finalize", "Watch", "read_json"]


@dataclass(frozen=True, slots=True)
class Finalize:
    """The body of finalize.

    Attributes:
        name: The task's name for people, or None.
        input_text: The input as JSON text, as `compact` writes it.
        priority: 0 (most urgent) to 10.
        require_ack: Whether the outcome waits for a confirmation.
    """

    name: str | None
    input_text: str
    priority: int
    require_ack: bool

    @property
    def input(self) -> Any:
        """The input, read anew at each access: what is changed in it, changes nothing here."""
        return json.loads(self.input_text)

    @classmethod
    def from_body(cls, body: bytes, fetch: Callable[[str], bytes]) -> Finalize:
        """Reads the body of a request. A claim check in place of one of its values is resolved first.

        Args:
            body: The body.
            fetch: Returns the JSON text behind the URL of a claim check; raises `InvalidRequestError` if there is
                none.

        Raises:
            InvalidRequestError: It is not what the contract describes.
        """
        value = _checked("FinalizeRequest", _without_claim_checks(read_json(body), fetch))
        return cls(value["name"], compact(value["input"]), int(value["priority"]), value["requireAck"])


@dataclass(frozen=True, slots=True)
class Watch:
    """The body of watch, and of watch-all.

    Attributes:
        after: Only events after this position.
        since: Only events from this time on, written as `time_text` does; empty for all.
    """

    after: int
    since: str

    @classmethod
    def from_body(cls, body: bytes, *, of_all: bool) -> Watch:
        """Reads the body of a request.

        Args:
            body: The body.
            of_all: Whether all tasks are to be watched.

        Raises:
            InvalidRequestError: It is not what the contract describes, or `since` is not a time.
        """
        value = _checked("WatchAllRequest" if of_all else "WatchRequest", read_json(body))
        since = "" if value["since"] is None else time_text(_time(value["since"]))
        if "lastPosition" in value:  # then it alone counts
            return cls(int(value["lastPosition"]), "")
        return cls(0, since)


def read_json(text: bytes, what: str = "The body") -> Any:
    """Reads what may be any JSON.

    Args:
        text: The text.
        what: What it is, for errors.

    Raises:
        InvalidRequestError: It is not JSON, or nested too deeply.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if is_too_deep(value):
            raise InvalidRequestError(f"{what} is nested deeper than {MAX_DEPTH} levels")
        compact(value)  # a number such as 1e999 is read as infinity, which could not be written again
    except InvalidRequestError:
        raise
    except RecursionError:
        raise InvalidRequestError(f"{what} is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise InvalidRequestError(f"{what} is not JSON: {error}") from None
    return value


def _without_claim_checks(value: Any, fetch: Callable[[str], bytes]) -> Any:
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    return {name: _resolved(name, part, fetch) for name, part in fields.items()}


def _resolved(name: str, value: Any, fetch: Callable[[str], bytes]) -> Any:
    match value:
        case {"__REQUENCE_type": "ClaimCheck", "url": str(url)}:
            return read_json(fetch(url), f"The content of the claim check in {name}")
        case _:
            return value


def _checked(schema: str, value: Any) -> dict[str, Any]:
    if problems := problems_with(schema, value):
        raise InvalidRequestError(f"The body is not a {schema}: {problems}")
    checked: dict[str, Any] = value
    return checked


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"since: {shortened(repr(text))} is not a time in ISO 8601") from None
