"""The client: a value that is checked when it is made, and opens nothing."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import os
import pickle
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

import requence
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
    assert client.max_streams == 256
    assert client.shared_stream is False
    assert client.max_event_size == 256 * 1024 * 1024
    assert (client.proxy, client.ssl_context, client.ca_bundle) == (None, None, None)


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
    assert default_client() == before


def test_the_default_client_comes_back_after_an_error() -> None:
    before = default_client()

    def fail() -> None:
        with default_client_set_to(Client(retries=1)):
            raise ValueError("in between")

    with pytest.raises(ValueError, match="in between"):
        fail()
    assert default_client() == before


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
    assert default_client() == before


VARIABLES: list[tuple[str, str, Any]] = [
    ("call_timeout", "2.5", 2.5),
    ("retries", "0", 0),
    ("patience", "60", 60),
    ("patience", "never", None),
    ("patience", " Never ", None),
    ("max_streams", "8", 8),
    ("shared_stream", "true", True),
    ("shared_stream", "1", True),
    ("shared_stream", "False", False),
    ("shared_stream", "0", False),
    ("max_event_size", "1024", 1024),
    ("proxy", "http://user:pass-word@proxy.example:3128", "http://user:pass-word@proxy.example:3128"),
]


@pytest.mark.parametrize(("field", "text", "value"), VARIABLES)
def test_the_variable_of_a_setting(
    monkeypatch: pytest.MonkeyPatch, field: str, text: str, value: object
) -> None:
    monkeypatch.setenv(f"REQUENCE_{field.upper()}", text)
    client = Client()
    assert getattr(client, field) == value
    assert client == make(**{field: value})
    monkeypatch.delenv(f"REQUENCE_{field.upper()}")
    assert Client(**dataclasses.asdict(client)) == client


@pytest.mark.parametrize(
    ("field", "text", "given"),
    [
        ("call_timeout", "2.5", 30.0),
        ("retries", "7", 3),
        ("patience", "60", None),
        ("patience", "never", 900.0),
        ("max_streams", "8", 256),
        ("shared_stream", "true", False),
        ("max_event_size", "1024", 5),
        ("proxy", "http://proxy.example", "http://other.example"),
        ("proxy", "http://proxy.example", ""),
    ],
)
def test_what_is_given_comes_before_the_variable_even_where_it_is_the_default(
    monkeypatch: pytest.MonkeyPatch, field: str, text: str, given: object
) -> None:
    monkeypatch.setenv(f"REQUENCE_{field.upper()}", text)
    assert getattr(make(**{field: given}), field) == given
    assert getattr(dataclasses.replace(make(**{field: given}), access_token="a"), field) == given


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    plain = Client()
    for field in [*dict.fromkeys(field for field, _, _ in VARIABLES), "ca_bundle"]:
        monkeypatch.setenv(f"REQUENCE_{field.upper()}", text)
    assert Client() == plain


@pytest.mark.parametrize(
    ("field", "texts", "must_be"),
    [
        ("call_timeout", ["0", "-1", "nan", "inf", "soon", "never", "1e999"], "a positive number of seconds"),
        ("patience", ["0", "-1", "nan", "inf", "none"], 'a positive number of seconds, or "never"'),
        ("retries", ["-1", "1.5", "many", "1e3"], "a whole number of at least 0"),
        ("max_streams", ["0", "all"], "a whole number of at least 1"),
        ("shared_stream", ["yes", "2", "t"], "true, false, 1 or 0"),
        ("max_event_size", ["0", "1MB"], "a whole number of at least 1"),
    ],
)
def test_a_variable_of_no_use(
    monkeypatch: pytest.MonkeyPatch, field: str, texts: list[str], must_be: str
) -> None:
    variable = f"REQUENCE_{field.upper()}"
    for text in texts:
        monkeypatch.setenv(variable, text)
        with pytest.raises(ConfigurationError) as caught:
            Client()
        assert caught.value.message == f"The environment variable {variable} must be {must_be}, not {text!r}"
        assert caught.value.hint == f"mend or unset it, or give {field}="


@pytest.mark.parametrize("value", ["user:pass-word@proxy.example:3128", "socks5://user:pass-word@p:1080"])
def test_a_proxy_of_no_use_is_told_when_the_client_is_made(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"^The proxy in the argument proxy is ") as given:
        Client(proxy=value)
    monkeypatch.setenv("REQUENCE_PROXY", value)
    with pytest.raises(
        ConfigurationError, match=r"^The proxy in the environment variable REQUENCE_PROXY is "
    ) as set_:
        Client()
    for caught in (given, set_):
        assert "pass-word" not in f"{caught.value!r} {caught.value.hint}"


def test_the_password_of_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUENCE_PROXY", "http://user:pass-word@p:1")
    for client in (Client(), Client(proxy="http://user:pass-word@p:1")):
        assert "pass-word" not in f"{client} {client!r}"


@pytest.mark.parametrize("value", [5, b"http://p:1", True, Path("p")])
def test_a_proxy_is_text(value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"^proxy must be text, not {type(value).__name__}$"):
        make(proxy=value)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A file with the certificate of an authority."""
    file = tmp_path / "authority.pem"
    trustme.CA().cert_pem.write_to_path(file)
    return file


def test_a_bundle_is_a_path_in_any_form(bundle: Path) -> None:
    client = Client(ca_bundle=bundle)
    assert client == Client(ca_bundle=str(bundle))
    assert client.ca_bundle == str(bundle)
    assert dataclasses.replace(client, retries=1) == Client(ca_bundle=bundle, retries=1)


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_bundle_of_no_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool) -> None:
    (empty := tmp_path / "empty").mkdir()
    (notes := tmp_path / "notes").mkdir()
    (no_pem := notes / "note.pem").write_text("no certificate")
    key = tmp_path / "key.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(key)
    for path, problem in [
        (tmp_path / "missing.pem", os.strerror(2)),
        (no_pem, "it has no certificate in PEM form"),
        (key, "it has no certificate in PEM form"),
        (empty, "it has no certificate in PEM form"),
        (notes, "it has no certificate in PEM form"),
    ]:
        if by_variable:
            monkeypatch.setenv("REQUENCE_CA_BUNDLE", str(path))
        with pytest.raises(ConfigurationError) as caught:
            Client(ca_bundle=None if by_variable else path)
        source = "The environment variable REQUENCE_CA_BUNDLE:" if by_variable else "ca_bundle"
        assert caught.value.message == f"{source} {str(path)!r} cannot be used: {problem}"
        assert "PEM" in (caught.value.hint or "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_bundle_that_may_not_be_read(bundle: Path) -> None:
    bundle.chmod(0)
    with pytest.raises(ConfigurationError, match=os.strerror(13)):
        Client(ca_bundle=bundle)


@pytest.mark.parametrize("value", [5, b"ca.pem", ["ca.pem"]])
def test_a_bundle_is_a_path(value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"^ca_bundle must be a path, not {type(value).__name__}$"):
        make(ca_bundle=value)


def test_a_context_comes_before_the_variable_and_excludes_a_bundle(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context()
    monkeypatch.setenv("REQUENCE_CA_BUNDLE", "missing.pem")
    client = Client(ssl_context=context)
    assert (client.ssl_context, client.ca_bundle) == (context, None)
    assert client == dataclasses.replace(client)
    assert client != Client(ssl_context=ssl.create_default_context())
    with pytest.raises(ConfigurationError, match=r"^ssl_context and ca_bundle exclude each other\n"):
        Client(ssl_context=context, ca_bundle=bundle)


@pytest.mark.parametrize("value", [True, "context", ssl.SSLContext])
def test_a_context_is_one(value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"^ssl_context must be an ssl\.SSLContext, not "):
        make(ssl_context=value)


def test_a_context_is_for_the_side_of_a_client() -> None:
    with pytest.raises(ConfigurationError, match="side of a server"):
        Client(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


def test_configure_takes_what_a_client_takes() -> None:
    assert inspect.signature(requence.configure).parameters == inspect.signature(Client).parameters
    assert {"Client", "configure"} <= set(requence.__all__)
