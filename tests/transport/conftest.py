"""Certificates of an authority that only these tests know."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

__all__ = ["Authority"]


class Authority:
    """An authority for certificates.

    Attributes:
        bundle: A file with its own certificate, in PEM form.
    """

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.bundle = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(self.bundle)

    def server(self, *names: str) -> ssl.SSLContext:
        """Returns a server's side of the encryption, for these host names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with self._ca.issue_cert(*names).private_key_and_cert_chain_pem.tempfile() as file:
            context.load_cert_chain(file)
        return context

    def client(self) -> ssl.SSLContext:
        """Returns a client's side that trusts this authority."""
        return ssl.create_default_context(cafile=self.bundle)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one."""
    return Authority(tmp_path_factory.mktemp("other"))
