"""The access token's text form: three parts, packed as 16-bit units into a base-64 alphabet of its own. Pure.

It is an encoding, not a protection: whoever reads a token can use it. So no error of this module repeats the
text, and `AccessToken` leaves the bearer out of its `repr`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from requence.exceptions import ConfigurationError

__all__ = ["AccessToken", "decode_access_token", "encode_access_token"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
_SIXTET_OF = {character: value for value, character in enumerate(_ALPHABET)}
_SEPARATOR = "\uf6ee"
_KIND = "api"
_LONGEST_HOST, _LONGEST_LABEL = 253, 63
_HINT = "copy the whole token again from the Requence UI"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What an access token says.

    Attributes:
        bearer: The secret that authorizes requests.
        base_url: The API's base URL, `http` or `https`, without a trailing slash.
    """

    bearer: str = field(repr=False)
    base_url: str


def encode_access_token(bearer: str, base_url: str) -> str:
    """Returns the token's text for a bearer and a base URL.

    Raises:
        ConfigurationError: The result would not be a valid token.
    """
    text = pack(_SEPARATOR.join((_KIND, bearer, base_url)))
    decode_access_token(text, source="the parts given")
    return text


@lru_cache(maxsize=16)  # a program starts many tasks with one token
def decode_access_token(text: str, *, source: str) -> AccessToken:
    """Reads a token.

    Args:
        text: The token; white space around it is ignored.
        source: Where it came from, for the error's text.

    Raises:
        ConfigurationError: The token is damaged, or of another kind.
    """
    try:
        parts = unpack(text.strip()).split(_SEPARATOR)
        kind, bearer, base_url, *_ = [*parts, "", ""]
        if kind != _KIND:
            raise ValueError("it is not an API token (a token of another kind, for instance of a service)")
        if len(parts) < 3:
            raise ValueError(f"it has {len(parts)} of its 3 parts")
        return AccessToken(_checked_bearer(bearer), _checked_base_url(base_url))
    except ValueError as error:
        # `from None`: a decoding error below could show pieces of the secret.
        raise ConfigurationError(
            f"The access token from {source} is not valid: {error}", hint=_HINT
        ) from None


def pack(text: str) -> str:
    """Returns the text as 16-bit units in 6-bit groups, followed by the number of padding bits.

    Raises:
        ConfigurationError: The text has a character beyond the Basic Multilingual Plane.
    """
    if any(ord(character) > 0xFFFF for character in text):
        raise ConfigurationError("An access token cannot carry characters beyond U+FFFF")
    bits = "".join(f"{ord(character):016b}" for character in text)
    padding = -len(bits) % 6
    bits += "0" * padding
    sixtets = (int(bits[at : at + 6], 2) for at in range(0, len(bits), 6))
    return "".join(_ALPHABET[value] for value in sixtets) + str(padding)


def unpack(packed: str) -> str:
    """Reverses `pack`.

    Raises:
        ValueError: The text was not made by `pack`; its message does not repeat the text.
    """
    body, padding = packed[:-1], packed[-1:]
    if not (padding.isascii() and padding.isdigit()):
        raise ValueError("its last character is not a digit, so it is cut off or not an access token")
    if not body:
        raise ValueError("there is nothing before its last digit")
    try:
        bits = "".join(f"{_SIXTET_OF[character]:06b}" for character in body)
    except KeyError:
        raise ValueError("it contains a character that access tokens do not use") from None
    if padding not in "024" or (len(bits) - int(padding)) % 16:
        raise ValueError("its length does not fit its last digit, so a part of it is missing")
    bits = bits[: len(bits) - int(padding)]
    return "".join(chr(int(bits[at : at + 16], 2)) for at in range(0, len(bits), 16))


def _checked_bearer(bearer: str) -> str:
    if not bearer:
        raise ValueError("its secret part is empty")
    if not (bearer.isascii() and bearer.isprintable()) or bearer != bearer.strip():
        raise ValueError("its secret part has characters that cannot be sent")
    return bearer


def _checked_base_url(base_url: str) -> str:
    url = base_url.rstrip("/")
    parts = _split(url)
    writable = url.isprintable() and " " not in url and "\\" not in url
    if parts is None or not writable or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("its base URL is not an http or https URL with a host")
    if not url.isascii():
        raise ValueError("its base URL has other than ASCII characters; a host is written as xn--… then")
    if len(parts.hostname) > _LONGEST_HOST or any(
        len(label) > _LONGEST_LABEL for label in parts.hostname.split(".")
    ):
        raise ValueError("its base URL has a host that is longer than hosts can be")
    if parts.username is not None or "?" in url or "#" in url:
        raise ValueError("its base URL has parts (user, query, fragment) that a base URL cannot have")
    return url


def _split(url: str) -> SplitResult | None:
    # Raises nothing: the library's own errors repeat parts of the URL.
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return None
    return parts
