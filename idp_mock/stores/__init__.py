"""What an issuer remembers, one small store per kind of record, in memory or in a database.

Handles that are secrets (codes, tokens, cookies) are keys only through `fingerprint()`: nothing that could be
presented again is kept.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Engine

from idp_mock.clients import Client
from idp_mock.stores.memory import Clock, MemoryStore
from idp_mock.stores.records import (
    AccessToken,
    AuthorizationCode,
    Browser,
    DeviceAuthorization,
    Grant,
    Interaction,
    KeyRingRecord,
    PushedRequest,
    RefreshToken,
)
from idp_mock.stores.sql import SqlStore

SECRET_BYTES = 32
RecordT = TypeVar("RecordT")


def new_secret() -> str:
    """A random handle of 256 bits, safe in URLs and cookies."""
    return secrets.token_urlsafe(SECRET_BYTES)


def new_id() -> str:
    """A random identifier of 128 bits, for what is named and never presented."""
    return secrets.token_urlsafe(SECRET_BYTES // 2)


def fingerprint(secret: str) -> str:
    """The key under which a secret is stored: a digest that does not give the secret away."""
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).rstrip(b"=").decode("ascii")


class Store(Protocol[RecordT]):
    """A map whose entries end after their time. `add`, `change` and `remove` are atomic."""

    def put(self, key: str, record: RecordT, ttl_seconds: float) -> None:
        """Store the record, in place of another with this key."""

    def add(self, key: str, record: RecordT, ttl_seconds: float) -> bool:
        """Store the record only where no live one has the key; True for the one caller whose record it is."""

    def get(self, key: str) -> RecordT | None:
        """The live record."""

    def with_prefix(self, prefix: str) -> list[tuple[str, RecordT]]:
        """The live records whose key begins so."""

    def change(self, key: str, change: Callable[[RecordT], RecordT]) -> RecordT | None:
        """Replace the record by `change(record)`; the answer is the record as it was before."""

    def remove(self, key: str) -> RecordT | None:
        """Take the record out; the answer is given to one caller only."""

    def __len__(self) -> int:
        """How many live records there are."""


class _Maker(Protocol):
    def __call__(self, kind: str, record_type: type[RecordT]) -> Store[RecordT]:
        """The store for one kind of record."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Every record of one issuer; two issuers in one process share none."""

    grants: Store[Grant]
    codes: Store[AuthorizationCode]
    access_tokens: Store[AccessToken]
    refresh_tokens: Store[RefreshToken]
    browsers: Store[Browser]
    interactions: Store[Interaction]
    consents: Store[frozenset[str]]
    pushed: Store[PushedRequest]
    devices: Store[DeviceAuthorization]
    user_codes: Store[str]
    failures: Store[int]
    seen: Store[bool]
    nonce_keys: Store[str]
    clients: Store[Client]
    keys: Store[KeyRingRecord]
    session_clients: Store[bool]

    @classmethod
    def in_memory(cls, clock: Clock) -> Stores:
        def make(kind: str, record_type: type[RecordT]) -> Store[RecordT]:  # noqa: ARG001
            return MemoryStore[RecordT](clock)

        return cls._made_by(make)

    @classmethod
    def in_database(cls, engine: Engine, issuer: str, clock: Clock) -> Stores:
        """The records of `issuer` in the database that `open_database` opened."""

        def make(kind: str, record_type: type[RecordT]) -> Store[RecordT]:
            return SqlStore[RecordT](engine, issuer, kind, record_type, clock)

        return cls._made_by(make)

    @classmethod
    def _made_by(cls, make: _Maker) -> Stores:
        return cls(
            grants=make("grant", Grant),
            codes=make("code", AuthorizationCode),
            access_tokens=make("access_token", AccessToken),
            refresh_tokens=make("refresh_token", RefreshToken),
            browsers=make("browser", Browser),
            interactions=make("interaction", Interaction),
            consents=make("consent", frozenset[str]),
            pushed=make("pushed_request", PushedRequest),
            devices=make("device", DeviceAuthorization),
            user_codes=make("user_code", str),
            failures=make("failure", int),
            seen=make("seen", bool),
            nonce_keys=make("nonce_key", str),
            clients=make("client", Client),
            keys=make("keys", KeyRingRecord),
            session_clients=make("session_client", bool),
        )
