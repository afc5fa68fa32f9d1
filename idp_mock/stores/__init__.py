"""What an issuer remembers, one small store per kind of record.

Handles that are secrets (codes, tokens, cookies) are keys only through `fingerprint()`: nothing that could be
presented again is kept.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from idp_mock.stores.memory import Clock, MemoryStore
from idp_mock.stores.records import (
    AccessToken,
    AuthorizationCode,
    Browser,
    Grant,
    Interaction,
    RefreshToken,
)

SECRET_BYTES = 32


def new_secret() -> str:
    """A random handle of 256 bits, safe in URLs and cookies."""
    return secrets.token_urlsafe(SECRET_BYTES)


def fingerprint(secret: str) -> str:
    """The key under which a secret is stored: a digest that does not give the secret away."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Stores:
    """Every record of one issuer; two issuers in one process share none."""

    grants: MemoryStore[Grant]
    codes: MemoryStore[AuthorizationCode]
    access_tokens: MemoryStore[AccessToken]
    refresh_tokens: MemoryStore[RefreshToken]
    browsers: MemoryStore[Browser]
    interactions: MemoryStore[Interaction]
    consents: MemoryStore[frozenset[str]]

    @classmethod
    def in_memory(cls, clock: Clock) -> Stores:
        return cls(
            grants=MemoryStore(clock),
            codes=MemoryStore(clock),
            access_tokens=MemoryStore(clock),
            refresh_tokens=MemoryStore(clock),
            browsers=MemoryStore(clock),
            interactions=MemoryStore(clock),
            consents=MemoryStore(clock),
        )
