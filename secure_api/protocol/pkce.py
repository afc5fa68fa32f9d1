"""Proof Key for Code Exchange (RFC 7636), S256 only: `plain` protects nothing once the request leaks."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

from secure_api.protocol import base64url

_VERIFIER: Final = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


def new_verifier() -> str:
    """A fresh code verifier with 256 random bits, 43 characters long.

    Source: RFC 7636 §4.1 and §7.1, ASVS v5.0.0-10.2.1.
    """
    return secrets.token_urlsafe(32)


def challenge_s256(verifier: str) -> str:
    """The S256 code challenge of `verifier`.

    Raises ValueError where `verifier` is not 43 to 128 unreserved characters.
    Source: RFC 7636 §4.1 and §4.2.
    """
    if not _VERIFIER.fullmatch(verifier):
        raise ValueError("a code verifier is 43 to 128 unreserved characters")
    return base64url.encode(hashlib.sha256(verifier.encode("ascii")).digest())
