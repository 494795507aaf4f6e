"""Which proxy the environment has for a URL, and what counts as the URL of a proxy."""

from __future__ import annotations

import html
import json
import traceback

import pytest

from requence._proxy import environment_proxy, is_loopback, read_proxy
from requence.exceptions import ConfigurationError


def chosen(url: str, **environ: str) -> str | None:
    found = environment_proxy(url, environ)
    return None if found is None else found.url


def test_by_the_scheme_of_the_url() -> None:
    environ = {"HTTPS_PROXY": "http://s:1", "HTTP_PROXY": "http://h:2", "ALL_PROXY": "http://a:3"}
    assert chosen("https://x/", **environ) == "http://s:1"
    assert chosen("http://x/", **environ) == "http://h:2"
    assert chosen("https://x/", HTTP_PROXY="http://h:2") is None
    assert chosen("https://x/", HTTP_PROXY="http://h:2", ALL_PROXY="http://a:3") == "http://a:3"
    assert chosen("https://x/") is None


def test_lower_case_comes_first() -> None:
    assert (
        chosen("https://x/", HTTPS_PROXY="http://upper:1", https_proxy="http://lower:2") == "http://lower:2"
    )
    assert chosen("https://x/", HTTPS_PROXY="http://upper:1", https_proxy="") is None
    assert chosen("https://x/", HTTPS_PROXY="http://p:1", NO_PROXY="x", no_proxy="y") == "http://p:1"
    assert chosen("https://x/", HTTPS_PROXY="  ", ALL_PROXY="http://a:3") == "http://a:3"


def test_a_cgi_script_does_not_take_its_proxy_from_whoever_calls_it() -> None:
    assert chosen("http://x/", REQUEST_METHOD="GET", HTTP_PROXY="http://evil:1") is None
    assert chosen("http://x/", REQUEST_METHOD="GET", http_proxy="http://good:1") == "http://good:1"
    assert chosen("https://x/", REQUEST_METHOD="GET", HTTPS_PROXY="http://good:1") == "http://good:1"


def test_the_scheme_may_be_left_out() -> None:
    found = environment_proxy("https://x/", {"HTTPS_PROXY": "user:word@p.example:3128"})
    assert found is not None
    assert (found.url, found.authorization) == ("http://p.example:3128", "Basic dXNlcjp3b3Jk")


SPARED = [
    ("api.example.com", "*"),
    ("api.example.com", "api.example.com"),
    ("API.Example.COM.", "api.example.com"),
    ("api.example.com", "other, .example.com"),
    ("api.example.com", "other example.com"),
    ("api.example.com", "*.example.com"),
    ("api.example.com:8443", "example.com:8443"),
    ("api.example.com", "example.com:443"),
    ("10.1.2.3", "10.1.2.3"),
    ("10.1.2.3", "10.0.0.0/8"),
    ("10.1.2.3:8080", "10.1.2.3:8080"),
    ("[fd00::1]", "fd00::1"),
    ("[fd00::1]", "[fd00::1]"),
    ("[fd00::1]:444", "[fd00::1]:444"),
    ("[fd00::1]", "fd00::/8"),
]
NOT_SPARED = [
    ("api.example.com", ""),
    ("api.example.com", "api"),
    ("api.example.com", "ample.com"),
    ("notexample.com", "example.com"),
    ("api.example.com", "example.com:8443"),
    ("api.example.com", "."),
    ("10.1.2.3", "10.1.2"),
    ("10.1.2.3", "11.0.0.0/8"),
    ("10.1.2.3", "fd00::/8"),
    ("[fd00::1]", "[fd00::1]:444"),
]


@pytest.mark.parametrize(("host", "no_proxy"), SPARED)
def test_hosts_that_no_proxy_spares(host: str, no_proxy: str) -> None:
    assert chosen(f"https://{host}/x", HTTPS_PROXY="http://p:1", NO_PROXY=no_proxy) is None


@pytest.mark.parametrize(("host", "no_proxy"), NOT_SPARED)
def test_hosts_that_no_proxy_does_not_spare(host: str, no_proxy: str) -> None:
    assert chosen(f"https://{host}/x", HTTPS_PROXY="http://p:1", NO_PROXY=no_proxy) == "http://p:1"


LOOPBACK = ["localhost", "LOCALHOST", "localhost.", "api.localhost", "127.0.0.1", "127.9.8.7", "::1"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_this_machine_is_spared(host: str) -> None:
    assert is_loopback(host)
    url = f"http://[{host}]:8080/" if ":" in host else f"http://{host}:8080/"
    assert chosen(url, HTTP_PROXY="http://p:1", ALL_PROXY="http://p:1") is None


@pytest.mark.parametrize(
    "host", ["localhost.example.com", "notlocalhost", "128.0.0.1", "127.0.0.1.nip.io", "::2", ""]
)
def test_other_machines_are_not_this_one(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("text", "url", "authorization"),
    [
        ("http://p:3128", "http://p:3128", None),
        (" HTTPS://Proxy.Example/ ", "https://proxy.example", None),
        ("http://[::1]:8080", "http://[::1]:8080", None),
        ("http://user@p:1", "http://p:1", "Basic dXNlcjo="),
        ("http://us%40er:p%2Fw@p:1", "http://p:1", "Basic dXNAZXI6cC93"),
    ],
)
def test_the_url_of_a_proxy(text: str, url: str, authorization: str | None) -> None:
    found = read_proxy(text, place="here")
    assert (found.url, found.authorization) == (url, authorization)
    assert "dX" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "p:3128",
        "user:pass-word@p:3128",
        "ftp://pass-word@p",
        "http://",
        "http://:3128",
        "http://p:port",
        "http://p:0",
        "http://p:99999",
        "http://p/path",
        "http://p?query",
        "http://p#fragment",
        "http://user:pass-word/x@p:1",
        "http://p p",
        "http://a,b:1",
        "http://p\n:1",
        "http://[::1",
        "\\\\p",
        "pass-word",
    ],
)
def test_what_is_not_the_url_of_a_proxy(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_proxy(text, place="the drawer")
    assert caught.value.message == "The proxy in the drawer is not the URL of an HTTP proxy"
    assert "http://HOST:PORT" in (caught.value.hint or "")
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "pass-word" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("scheme", ["socks", "socks4", "socks5", "SOCKS5h"])
def test_socks_is_not_supported(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match="is a SOCKS proxy, which is not supported") as caught:
        read_proxy(f"{scheme}://user:pass-word@p:1080", place="the drawer")
    assert "HTTP proxy" in (caught.value.hint or "")
    assert "pass-word" not in f"{caught.value!r} {caught.value.hint}"


TRICKY = 'pass/w"rd<€'


@pytest.mark.parametrize(
    "written",
    [
        TRICKY,
        json.dumps(TRICKY),
        json.dumps(TRICKY).replace("/", "\\/"),
        json.dumps(TRICKY, ensure_ascii=False),
        html.escape(TRICKY),
    ],
)
def test_a_password_is_taken_out_however_it_is_written(written: str) -> None:
    proxy = read_proxy("http://user:pass%2Fw%22rd%3C%E2%82%AC@proxy:3128", place="the argument proxy")
    cleaned = proxy.without_secrets(f"no: {written}".encode())
    assert b"[proxy password]" in cleaned
    assert b"rd" not in cleaned.replace(b"password", b"")
