"""The checks of what callers pass: made before anything is sent, and each naming what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest

from requence.exceptions import ConfigurationError
from requence.task.arguments import (
    check_function,
    check_identifier,
    check_optional_text,
    check_priority,
    check_seconds,
)
from requence.task.order import NO_INPUT, Order

SURROGATE = "a\ud800"


class Urgency(IntEnum):
    HIGH = 8


def message_of(check: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check(*arguments)
    assert isinstance(caught.value, ValueError)
    return caught.value.message


@pytest.mark.parametrize(
    "name", ["my-template", "a/b", "a?b#c", "../abort/x", "...", ". .", "größe 😀", "x" * 5000, "%2e%2e"]
)
def test_identifiers(name: str) -> None:
    """Whatever is encoded as one segment of a path may be a name."""
    assert check_identifier("task_template", name) == name


@pytest.mark.parametrize("name", ["", " ", "\t\n", ".", ".."])
def test_names_that_a_path_would_swallow(name: str) -> None:
    assert message_of(check_identifier, "task_template", name) == f"task_template must not be {name!r}"


@pytest.mark.parametrize("name", [None, 5, b"my-template", ["my-template"], True])
def test_identifiers_are_text(name: object) -> None:
    assert message_of(check_identifier, "task_id", name) == f"task_id must be text, not {type(name).__name__}"


class Converter:
    """An object that can be called."""

    def __call__(self, value: object) -> str:
        return str(value)

    async def later(self, value: object) -> str:
        return str(value)


class Later:
    async def __call__(self, value: object) -> str:
        return str(value)


def test_functions_are_whatever_can_be_called() -> None:
    functions: list[Callable[..., object] | None] = [
        None,
        str,
        len,
        Urgency,
        message_of,
        Converter(),
        Converter().__call__,
    ]
    for function in functions:
        assert check_function("default", function) == function


@pytest.mark.parametrize("value", [5, "str", {}, Converter().later, Later()])
def test_what_gives_no_value_when_it_is_called(value: Any) -> None:
    expected = (
        "must be a plain function: a coroutine function would not be awaited"
        if callable(value)
        else f"must be a function or None, not {type(value).__name__}"
    )
    assert message_of(check_function, "default", value) == f"default {expected}"


@pytest.mark.parametrize("text", [None, "", "Daily import", "größe 😀"])
def test_optional_texts(text: str | None) -> None:
    assert check_optional_text("name", text) == text


@pytest.mark.parametrize("text", [5, b"x", ["x"], False])
def test_optional_texts_are_text(text: object) -> None:
    assert (
        message_of(check_optional_text, "name", text)
        == f"name must be text or None, not {type(text).__name__}"
    )


@pytest.mark.parametrize("check", [check_identifier, check_optional_text])
def test_texts_that_cannot_be_sent(check: Callable[[str, object], object]) -> None:
    assert message_of(check, "name", SURROGATE) == (
        "name has a lone surrogate, which is no character and cannot be sent"
    )


@pytest.mark.parametrize("priority", [*range(11), Urgency.HIGH])
def test_priorities(priority: int) -> None:
    assert check_priority(priority) == priority


@pytest.mark.parametrize("priority", [-1, 11, 10**30])
def test_priorities_out_of_range(priority: int) -> None:
    assert (
        message_of(check_priority, priority) == f"priority must be from 0 (low) to 10 (high), not {priority}"
    )


@pytest.mark.parametrize("priority", [True, False, 2.5, 5.0, math.nan, "5", None, [5]])
def test_priorities_are_whole_numbers(priority: object) -> None:
    assert message_of(check_priority, priority) == (
        f"priority must be a whole number from 0 (low) to 10 (high), not {priority!r}"
    )


@pytest.mark.parametrize(
    ("seconds", "checked"), [(None, None), (0, 0.0), (5, 5.0), (0.25, 0.25), (math.inf, math.inf)]
)
def test_seconds(seconds: float | None, checked: float | None) -> None:
    assert check_seconds("timeout", seconds) == checked


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, True, "5", [5], 1j])
def test_what_is_no_number_of_seconds(seconds: object) -> None:
    assert message_of(check_seconds, "timeout", seconds) == (
        f"timeout must be a number of seconds or None, not {seconds!r}"
    )


@pytest.mark.parametrize(
    ("priority", "sent"),
    [(0, 10), (1, 9), (2, 8), (3, 7), (4, 6), (5, 5), (6, 4), (7, 3), (8, 2), (9, 1), (10, 0)],
)
def test_the_priority_is_sent_upside_down(priority: int, sent: int) -> None:
    order = Order("my-template", {}, None, priority, require_ack=False, suppress_branch_warning=False)
    assert order.wire_priority == sent


def test_no_input_is_an_empty_object_that_nobody_can_fill() -> None:
    assert NO_INPUT == {}
    with pytest.raises(TypeError):
        NO_INPUT["a"] = 1  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
