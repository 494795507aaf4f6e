"""The access token's text form: the published vectors, every fault, and that no fault shows the secret."""

from __future__ import annotations

import pickle
import re
import traceback

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from requence._token import AccessToken, decode_access_token, encode_access_token, pack, unpack
from requence.exceptions import ConfigurationError, RequenceError

SEPARATOR = "\uf6ee"
SOURCE = "the environment variable REQUENCE_ACCESS_TOKEN"

LONG_TOKEN = (
    "AGEAcABp9u4AcwAzAGMAcgAzAHQAXwBUAG8AawBlAG4ALgA0ADL27gBoAHQAdABwAHMAOgAvAC8AcgBlAHEAdQBlAG4AYwBlAC4AZQB4"
    "AGEAbQBwAGwAZQAuAG8AcgBnAC8AYQBwAGk2"
)
VECTORS = [
    (("a",), "AGE2"),
    (("ab",), "AGEAYg4"),
    (("abc",), "AGEAYgBj0"),
    (("a", "b"), "AGH27gBi0"),
    (("é€",), "AOkgrA4"),
    (("api", "t", "http://h"), "AGEAcABp9u4AdPbuAGgAdAB0AHAAOgAvAC8AaA4"),
    (("api", "k", "https://a.b/api"), "AGEAcABp9u4Aa-buAGgAdAB0AHAAcwA6AC8ALwBhAC4AYgAvAGEAcABp0"),
    (
        ("api", "tok-123", "http://127.0.0.1:8080"),
        "AGEAcABp9u4AdABvAGsALQAxADIAM-buAGgAdAB0AHAAOgAvAC8AMQAyADcALgAwAC4AMAAuADEAOgA4ADAAOAAw0",
    ),
    (("api", "s3cr3t_Token.42", "https://requence.example.org/api"), LONG_TOKEN),
]
TOKENS = [(parts[1], parts[2], token) for parts, token in VECTORS if len(parts) == 3]


@pytest.mark.parametrize(("parts", "token"), VECTORS)
def test_the_published_vectors(parts: tuple[str, ...], token: str) -> None:
    assert pack(SEPARATOR.join(parts)) == token
    assert unpack(token).split(SEPARATOR) == list(parts)


@pytest.mark.parametrize(("bearer", "base_url", "token"), TOKENS)
def test_whole_tokens(bearer: str, base_url: str, token: str) -> None:
    assert decode_access_token(token, source=SOURCE) == AccessToken(bearer, base_url)
    assert encode_access_token(bearer, base_url) == token


FAULTS = [
    # Its last character is no digit.
    ("garbage", "last character is not a digit"),
    ("AGE", "last character is not a digit"),
    ("AGE\u0662", "last character is not a digit"),  # a digit, but not an ASCII one
    ("AGE\u00b2", "last character is not a digit"),
    # A character outside of the alphabet; `$` is in the published table, but never produced.
    ("AGEAé2", "character that access tokens do not use"),
    ("AGEA$2", "character that access tokens do not use"),
    ("AGE AYg4", "character that access tokens do not use"),
    ("AGE/2", "character that access tokens do not use"),
    ("AGE=2", "character that access tokens do not use"),
    # The padding does not fit.
    ("AGE1", "does not fit its last digit"),
    ("AGE3", "does not fit its last digit"),
    ("AGE9", "does not fit its last digit"),
    ("AGE6", "does not fit its last digit"),
    ("Zx0", "does not fit its last digit"),
    ("A2", "does not fit its last digit"),
    ("A4", "does not fit its last digit"),
    # Nothing before the digit.
    ("9", "nothing before its last digit"),
    ("0", "nothing before its last digit"),
    # Another kind of token, or parts missing.
    ("AHMAdgBj9u4AdPbuAGgAdAB0AHAAOgAvAC8AaA4", "not an API token"),
    ("AGE2", "not an API token"),
    ("AGEAcABp0", "1 of its 3 parts"),
    ("AGEAcABp9u4AdABvAGs2", "2 of its 3 parts"),
    # A bearer that cannot stand in a header.
    ("AGEAcABp9u727gBoAHQAdABwADoALwAvAGg2", "secret part is empty"),
    # A base URL that cannot be reached.
    ("AGEAcABp9u4AdPbu0", "base URL is not an http or https URL"),
    ("AGEAcABp9u4AdPbuAGgALwBhAHAAaQ4", "base URL is not an http or https URL"),
]


@pytest.mark.parametrize(("token", "problem"), FAULTS)
def test_every_fault_is_named_with_its_source(token: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        decode_access_token(token, source=SOURCE)
    error = caught.value
    assert isinstance(error, ValueError)
    assert isinstance(error, RequenceError)
    assert problem in error.message
    assert SOURCE in error.message
    assert str(error) == error.message
    assert error.hint


@pytest.mark.parametrize(
    "bearer",
    [
        "bad\nline",
        "bad\rline",
        "nul\0",
        "tab\there",
        "\x7f",
        "schlüssel",
        "\u2026",
        " led",
        "trailed ",
    ],
)
def test_a_bearer_that_cannot_stand_in_a_header(bearer: str) -> None:
    with pytest.raises(ConfigurationError, match="secret part has characters that cannot be sent"):
        decode_access_token(pack(SEPARATOR.join(("api", bearer, "http://h"))), source=SOURCE)


@pytest.mark.parametrize(
    "base_url",
    ["", "/", "h", "h/api", "//h/api", "ftp://h", "file:///h", "http://", "http:///api", "https://:80", "http://h:x",
     "http://h:70000", "http://[::1", "http://h a", "http://h\n", "http://h/\x00", "javascript:alert(1)"],
)  # fmt: skip
def test_a_base_url_that_cannot_be_reached(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL is not an http or https URL with a host"):
        decode_access_token(pack(SEPARATOR.join(("api", "t", base_url))), source=SOURCE)


@pytest.mark.parametrize(
    ("base_url", "problem"),
    [
        ("https://bücher.example/api", "other than ASCII characters; a host is written as xn--"),
        ("https://h/ä", "other than ASCII characters"),
        (f"http://{'a' * 64}.example", "a host that is longer than hosts can be"),
        (f"http://{'a.' * 127}example", "a host that is longer than hosts can be"),
    ],
)
def test_a_base_url_that_no_request_can_be_sent_to(base_url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"its base URL .*{problem}"):
        decode_access_token(pack(SEPARATOR.join(("api", "t", base_url))), source=SOURCE)


@pytest.mark.parametrize(
    "base_url",
    ["http://u@h", "http://u:p@h", "http://h?a=b", "http://h#f", "http://@h", "http://h?", "http://h/#"],
)
def test_a_base_url_with_more_than_a_base(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="parts \\(user, query, fragment\\)"):
        decode_access_token(pack(SEPARATOR.join(("api", "t", base_url))), source=SOURCE)


class TestWhatIsNoFault:
    @pytest.mark.parametrize("token", [" {} ", "\n{}\n", "\t{}\r\n", "\u00a0{}\u2003"])
    def test_white_space_around_it(self, token: str) -> None:
        bearer, base_url, text = TOKENS[1]
        assert decode_access_token(token.format(text), source=SOURCE) == AccessToken(bearer, base_url)

    def test_a_slash_at_the_end_of_the_base_url(self) -> None:
        token = decode_access_token("AGEAcABp9u4AdPbuAGgAdAB0AHAAOgAvAC8AaAAv0", source=SOURCE)
        assert token == AccessToken("t", "http://h")
        assert (
            decode_access_token(encode_access_token("t", "http://h/api//"), source=SOURCE).base_url
            == "http://h/api"
        )

    def test_more_parts_than_three(self) -> None:
        token = pack(SEPARATOR.join(("api", "t", "http://h", "what", "", "ever")))
        assert decode_access_token(token, source=SOURCE) == AccessToken("t", "http://h")

    def test_padding_bits_that_are_not_zero(self) -> None:
        assert unpack("AGF2") == unpack("AGE2") == "a"

    @pytest.mark.parametrize(
        "base_url",
        [
            "https://h",
            "http://h:80/api",
            "http://[::1]:8080",
            "HTTP://h",
            "https://xn--bcher-kva.example/a%20b",
        ],
    )
    def test_other_base_urls(self, base_url: str) -> None:
        assert decode_access_token(encode_access_token("t", base_url), source=SOURCE).base_url == base_url


BEARERS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
BASE_URLS = st.from_regex(r"https?://[a-z][a-z0-9]{0,9}(\.[a-z]{2,5})?(:[1-9][0-9]{0,3})?(/[a-z0-9._~%-]{1,8}){0,3}",
                          fullmatch=True)  # fmt: skip
IN_16_BITS = st.characters(max_codepoint=0xFFFF, exclude_categories=())


@given(st.text(IN_16_BITS, min_size=1, max_size=60))
@example("\ud800")
@example("\uffff\0")
def test_any_text_of_16_bit_characters_round_trips(text: str) -> None:
    packed = pack(text)
    assert unpack(packed) == text
    assert re.fullmatch(r"[A-Za-z0-9+-]+[024]", packed)


@given(BEARERS, BASE_URLS)
def test_any_token_round_trips(bearer: str, base_url: str) -> None:
    text = encode_access_token(bearer, base_url)
    assert decode_access_token(text, source=SOURCE) == AccessToken(bearer, base_url)


def read(text: str) -> AccessToken | ConfigurationError:
    try:
        return decode_access_token(text, source=SOURCE)
    except ConfigurationError as error:
        return error


@given(BEARERS, BASE_URLS, st.data())
def test_a_token_that_was_cut_is_refused_or_short(bearer: str, base_url: str, data: st.DataObject) -> None:
    text = encode_access_token(bearer, base_url)
    token = read(text[: data.draw(st.integers(0, len(text) - 1))])
    if isinstance(token, AccessToken):
        # The last character that was left may be a digit by chance: nothing can tell that it is not the whole.
        assert token.bearer == bearer
        assert base_url.startswith(token.base_url)


@given(st.text(max_size=40))
@example("")
@example("\ud8000")
def test_any_text_is_a_token_or_a_configuration_error(text: str) -> None:
    assert isinstance(read(text), AccessToken | ConfigurationError)


def test_what_cannot_be_carried_is_refused_when_encoding() -> None:
    with pytest.raises(ConfigurationError, match="beyond U\\+FFFF"):
        pack("\U0001f511")
    with pytest.raises(ConfigurationError, match="the parts given"):
        encode_access_token("", "http://h")
    with pytest.raises(ConfigurationError, match="the parts given"):
        encode_access_token("t", "no-url")
    with pytest.raises(ConfigurationError, match="the parts given"):
        encode_access_token(f"t{SEPARATOR}x", "http://h")


# No secret in any form of an error. The bearer, and the base URL, stand for every part of the token.
BEARER = "s3cr3tBEARER"
HOST = "h0st.example"


def shown(error: BaseException) -> str:
    """Returns everything an error can show: texts, notes, attributes, pickle, traceback, and its whole chain."""
    seen: list[str] = []
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is not None:
            seen += [str(each), repr(each), repr(each.args), repr(each.__dict__)]
            todo += [each.__cause__, each.__context__]
    seen.append(pickle.dumps(error).decode("latin-1"))
    seen += traceback.format_exception(error)
    return "\n".join(seen)


GOOD = encode_access_token(BEARER, f"http://{HOST}")
BROKEN = [
    GOOD[:-1],
    GOOD[:-1] + "1",
    GOOD[:40] + "$" + GOOD[41:],
    GOOD[:40] + "é" + GOOD[41:],
    GOOD[:40] + "\U0001f511" + GOOD[41:],
    GOOD + "x",
    GOOD[:-4] + GOOD[-1],
    pack(SEPARATOR.join(("svc", BEARER, f"http://{HOST}"))),
    pack(SEPARATOR.join(("api", BEARER))),
    pack(SEPARATOR.join((BEARER, "t", f"http://{HOST}"))),
    pack(SEPARATOR.join(("api", f"{BEARER}\n", f"http://{HOST}"))),
    pack(SEPARATOR.join(("api", BEARER, f"ftp://{HOST}"))),
    pack(SEPARATOR.join(("api", BEARER, f"http://{HOST}:{BEARER}"))),
    pack(SEPARATOR.join(("api", BEARER, f"http://[{BEARER}"))),
    pack(SEPARATOR.join(("api", BEARER, f"http://{BEARER}@{HOST}"))),
    pack(SEPARATOR.join(("api", "", f"http://{BEARER}"))),
    f"{BEARER}",
    f"{BEARER}2",
]


@pytest.mark.parametrize("token", BROKEN)
def test_an_error_shows_neither_the_token_nor_what_is_in_it(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        decode_access_token(token, source=SOURCE)
    text = shown(caught.value)
    for length in (len(token), 12):
        assert token[:length] not in text
        assert token[-length:] not in text
    assert BEARER not in text
    assert HOST not in text
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, ConfigurationError)
    assert (again.message, again.hint) == (caught.value.message, caught.value.hint)


def test_neither_does_an_error_of_encoding() -> None:
    for bearer, base_url in [
        (f"{BEARER}\U0001f511", "http://h"),
        (f"{BEARER}\n", "http://h"),
        (BEARER, "nowhere"),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            encode_access_token(bearer, base_url)
        assert BEARER not in shown(caught.value)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_no_damaged_text_is_shown(text: str) -> None:
    text = f"~9{text}"  # makes it damaged, and unlike anything that a traceback shows of the source
    error = read(text)
    assert isinstance(error, ConfigurationError)
    assert text not in shown(error)


def test_the_value_shows_its_base_url_only() -> None:
    token = decode_access_token(GOOD, source=SOURCE)
    assert repr(token) == f"AccessToken(base_url='http://{HOST}')"
    assert BEARER not in str(token)
    assert BEARER not in f"{token}"
