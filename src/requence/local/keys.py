"""Keys that stand in URLs: each opens one thing, for one purpose, and cannot be guessed. Pure.

A key says what it opens and proves that the server made it, so keys need not be kept, and comparing the proof
takes the same time however much of it is right.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

__all__ = ["Keys"]

_PROOF_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """Makes and reads the keys of one server.

    Args:
        secret: What the proofs are made with.
    """

    secret: str = field(repr=False)

    def make(self, purpose: str, name: str) -> str:
        """Returns the key that opens this for this purpose.

        Args:
            purpose: What it may be used for.
            name: What it opens: letters, digits, `-` and `_`.
        """
        return f"{name}.{self._proof(purpose, name)}"

    def opened(self, purpose: str, key: str) -> str | None:
        """Returns what a key opens for this purpose, or None if it opens nothing."""
        name, _, proof = key.rpartition(".")
        right = hmac.compare_digest(proof.encode("utf-8", "replace"), self._proof(purpose, name).encode())
        return name if right else None

    def _proof(self, purpose: str, name: str) -> str:
        signed = f"{purpose}\0{name}".encode("utf-8", "replace")
        return hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()[:_PROOF_DIGITS]
