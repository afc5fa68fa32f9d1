"""Encryption at rest for the few secrets that must be read back, such as an upstream ID token."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class Sealer:
    """Seals and unseals bytes with AES-256-GCM under a key derived from the secret key for one purpose."""

    def __init__(self, secret_key: str, purpose: str) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(secret_key.encode())
        self._cipher = AESGCM(key)

    def seal(self, plain: str, *, bound_to: bytes) -> bytes:
        """`plain` encrypted; only `unseal` with the same `bound_to` gives it back, so rows cannot be swapped."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain.encode(), bound_to)

    def unseal(self, sealed: bytes, *, bound_to: bytes) -> str | None:
        """The text that was sealed, or None if it was altered, moved, or sealed under another key."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to).decode()
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
            return None
