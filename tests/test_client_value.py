"""The client: a value that is checked when it is made, and opens nothing."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from requence import Client
from requence._client import default_client, default_client_set_to
from requence.exceptions import ConfigurationError, UsageError

make: Callable[..., Client] = Client
"""The constructor without its types, to be called wrongly."""


def test_the_defaults() -> None:
    client = Client()
    assert client.access_token is None
    assert client.call_timeout == 30
    assert client.retries == 3
    assert client.patience == 900
    assert client.max_event_size == 256 * 1024 * 1024


def test_equal_values_are_equal() -> None:
    assert Client(patience=5) == Client(patience=5.0)
    assert Client(patience=5) != Client(patience=6)
    assert len({Client("a"), Client("a"), Client("b")}) == 2
    assert dataclasses.replace(Client("a"), retries=0) == Client("a", retries=0)


def test_a_client_cannot_be_changed() -> None:
    client: Any = Client()
    with pytest.raises(dataclasses.FrozenInstanceError):
        client.retries = 5
    with pytest.raises((AttributeError, TypeError)):
        client.something = 5


def test_the_token_is_not_shown() -> None:
    client = Client("AGEAsecret0")
    assert "secret" not in repr(client)
    assert "secret" not in str(client)
    assert "secret" not in f"{client}"


def test_only_the_token_may_be_given_by_position() -> None:
    with pytest.raises(TypeError):
        make("AGEA", 30)


@pytest.mark.parametrize("seconds", [0.001, 1, 30, 10**9, 1e9])
def test_seconds(seconds: float) -> None:
    assert Client(call_timeout=seconds, patience=seconds).call_timeout == seconds


def test_patience_without_end() -> None:
    assert Client(patience=None).patience is None


@pytest.mark.parametrize("field", ["call_timeout", "patience"])
@pytest.mark.parametrize("value", [0, -1, -0.5, math.inf, -math.inf, math.nan, True, "30", b"30", [30], 1j])
def test_what_is_no_number_of_seconds(field: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{field} must be a positive number of seconds, not "):
        make(**{field: value})


def test_a_request_always_has_a_limit() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^call_timeout must be a positive number of seconds, not None$"
    ):
        make(call_timeout=None)


@pytest.mark.parametrize(("field", "least"), [("retries", 0), ("max_event_size", 1)])
def test_counts(field: str, least: int) -> None:
    for value in (least, least + 1, 10**12):
        assert getattr(make(**{field: value}), field) == value
    for wrong in (least - 1, -5, True, 2.5, 3.0, "3", None, math.inf, math.nan):
        with pytest.raises(
            ConfigurationError, match=rf"^{field} must be a whole number of at least {least}, not "
        ):
            make(**{field: wrong})


@pytest.mark.parametrize("token", [5, b"AGEA", ["AGEA"], True])
def test_a_token_is_text(token: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make(token)
    assert caught.value.message == f"access_token must be text, not {type(token).__name__}"


def test_the_default_client_for_a_while() -> None:
    before = default_client()
    outer, inner = Client(retries=1), Client(retries=2)
    with default_client_set_to(outer):
        assert default_client() is outer
        with default_client_set_to(inner):
            assert default_client() is inner
        assert default_client() is outer
    assert default_client() is before


def test_the_default_client_comes_back_after_an_error() -> None:
    before = default_client()

    def fail() -> None:
        with default_client_set_to(Client(retries=1)):
            raise ValueError("in between")

    with pytest.raises(ValueError, match="in between"):
        fail()
    assert default_client() is before


def test_a_client_is_not_pickled_but_can_be_copied() -> None:
    """The token must not end up in a file or a queue; a frozen value is its own copy."""
    client = Client("a token that must not leave")
    with pytest.raises(UsageError, match="access token would be in the pickle") as caught:
        pickle.dumps(client)
    assert "must not leave" not in repr(caught.value)
    assert copy.copy(client) is client
    assert copy.deepcopy({"client": client})["client"] is client


def test_overlapping_defaults_end_in_any_order() -> None:
    before = default_client()
    first, second = Client(retries=1), Client(retries=2)
    one, two = default_client_set_to(first), default_client_set_to(second)
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert default_client() is second
    two.__exit__(None, None, None)
    assert default_client() is before
