"""Which certificates are trusted. `ssl` is imported where it is needed, since it takes its time."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from requence.exceptions import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

__all__ = ["check_ssl_context", "trust_in"]


def check_ssl_context(context: object) -> None:
    """Checks what was given as `ssl_context=`.

    Raises:
        ConfigurationError: It is not an `ssl.SSLContext` for the side of a client.
    """
    import ssl

    hint = "make it with ssl.create_default_context()"
    if not isinstance(context, ssl.SSLContext):
        raise ConfigurationError(
            f"ssl_context must be an ssl.SSLContext, not {type(context).__name__}", hint=hint
        )
    if context.protocol is ssl.PROTOCOL_TLS_SERVER:
        raise ConfigurationError("ssl_context is one for the side of a server", hint=hint)


def trust_in(path: str, *, source: str) -> ssl.SSLContext:
    """Returns a context that trusts the certificates in a PEM file, or in the PEM files of a folder, only.

    It is read now, so that a mistake is told where it was made; and once, however many clients name it.

    Raises:
        ConfigurationError: There are none, or they cannot be read.
    """
    try:
        state = os.stat(path)
        return _trust_in(path, (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns))
    except (OSError, ValueError) as error:  # the latter for a name with a null character
        problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(
            f"{source} {path!r} cannot be used: {problem}",
            hint="name a file with certificates in PEM form, or a folder of such files",
        ) from None


@lru_cache(maxsize=8)
def _trust_in(path: str, _state: tuple[int, ...]) -> ssl.SSLContext:
    import ssl
    from pathlib import Path

    # A path keeps the context from trusting what the system trusts. In a folder OpenSSL looks for hashed names
    # only, which many folders do not have, so its files are read as well.
    if os.path.isdir(path):
        context = ssl.create_default_context(capath=path)
        for file in sorted(Path(path).iterdir()):
            if file.is_file():
                _add(context, file)
    else:
        context = _from_file(path)
    if not context.cert_store_stats()["x509"]:
        raise ValueError("it has no certificate in PEM form")
    context.set_alpn_protocols(["http/1.1"])
    return context


def _from_file(path: str) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError("it has no certificate in PEM form") from None


def _add(context: ssl.SSLContext, file: Path) -> None:
    import ssl

    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError:
        pass  # a key, or a note about the certificates
    except PermissionError as error:
        raise ValueError(f"{file.name}: {error.strerror}") from None
