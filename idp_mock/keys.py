"""Signing keys of one issuer, each pending, active or retired; only public members ever leave.

A pending key is published before it signs, so that clients which cache the JWKS know it in time; a retired one stays
published until the last token that it signed has expired. RFC 7517, RFC 7638 (key ids are thumbprints), RFC 8037,
OIDC Core §10.1.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from idp_mock.jose import Algorithms
from idp_mock.stores import Store
from idp_mock.stores.memory import Clock, MemoryStore
from idp_mock.stores.records import KeyRecord, KeyRingRecord

SIGNING_ALGORITHMS = ("ES256", "RS256", "EdDSA")
PENDING, ACTIVE, RETIRED = "pending", "active", "retired"
OVERLAP_SECONDS = 3_600
_RSA_BITS = 2048
_RING = "ring"
_FOREVER_SECONDS = 100 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One private key and the single algorithm it signs with."""

    alg: str
    kid: str
    jwk: ECKey | RSAKey | OKPKey

    @classmethod
    def generate(cls, alg: str) -> SigningKey:
        jwk = _GENERATORS[alg]()
        return cls(alg, jwk.thumbprint(), jwk)

    def public_jwk(self) -> dict[str, Any]:
        return {**self.jwk.as_dict(private=False), "kid": self.kid, "alg": self.alg, "use": "sig"}


_GENERATORS: Mapping[str, Callable[[], ECKey | RSAKey | OKPKey]] = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "RS256": lambda: RSAKey.generate_key(_RSA_BITS),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
}


class KeyRing:
    """Signs with the active keys and verifies with every published one.

    `rotate_seconds` (0: never by itself) is how long a key signs; its successor is published half that time
    before. Whoever uses the ring first after a step is due takes the step, so no thread has to wait for it.
    """

    def __init__(
        self,
        algorithms: tuple[str, ...] = SIGNING_ALGORITHMS,
        store: Store[KeyRingRecord] | None = None,
        clock: Clock = time.time,
        rotate_seconds: int = 0,
        overlap_seconds: int = OVERLAP_SECONDS,
    ) -> None:
        self._algorithms = algorithms
        self._store: Store[KeyRingRecord] = MemoryStore(clock) if store is None else store
        self._clock = clock
        self._rotate_seconds = rotate_seconds
        self._overlap_seconds = overlap_seconds
        if self._store.get(_RING) is None:
            first = KeyRingRecord(tuple(self._made(alg, ACTIVE) for alg in algorithms))
            # Another process may have been first: its keys are the issuer's then.
            self._store.add(_RING, first, _FOREVER_SECONDS)

    def current(self, alg: str) -> SigningKey:
        """The key that signs with `alg` now."""
        return next(_parsed(record) for record in self._records() if (record.alg, record.state) == (alg, ACTIVE))

    def public_jwks(self) -> list[dict[str, Any]]:
        """Every published key: pending, active and retired ones in their overlap."""
        return [_parsed(record).public_jwk() for record in self._records()]

    def states(self) -> list[tuple[str, str, str, int]]:
        """Algorithm, key id, state and since when, of every published key."""
        return [(record.alg, record.kid, record.state, int(record.since)) for record in self._records()]

    def announce(self) -> None:
        """Publish a pending key for each algorithm that has none."""
        self._step(lambda records: records + self._missing(records))

    def rotate(self) -> None:
        """The pending keys sign from now on (published now, if they were not), the active ones retire."""
        self._step(lambda records: self._rotated(records + self._missing(records)))

    def sign(self, claims: Mapping[str, Any], alg: str, typ: str | None) -> str:
        """A compact JWS with `alg`, `kid` and, unless it is None, `typ` in its header."""
        key = self.current(alg)
        header = {"alg": alg, "typ": typ, "kid": key.kid} if typ else {"alg": alg, "kid": key.kid}
        return jwt.encode(header, dict(claims), key.jwk, registry=Algorithms([alg]), default_type=None)

    def verify(self, token: str, typ: str | None) -> dict[str, Any] | None:
        """The claims of a token that this issuer signed as a `typ` (None: without one), or None.

        Its times are not looked at.
        """
        try:
            verified = jwt.decode(token, _verifying(self._records()), registry=Algorithms(self._algorithms))
        except (JoseError, ValueError):
            return None
        if verified.header.get("typ") != typ or "kid" not in verified.header:
            return None
        return dict(verified.claims)

    def _records(self) -> tuple[KeyRecord, ...]:
        records = self._stored()
        now = self._clock()
        if any(self._is_over(record, now) for record in records):
            self._step(lambda kept: tuple(record for record in kept if not self._is_over(record, now)))
        if self._rotate_seconds:
            # Each step looks again at what it changes, so that of several processes one takes it.
            age = now - min(record.since for record in self._stored() if record.state == ACTIVE)
            if age >= self._rotate_seconds:
                self._step(lambda kept: self._rotated(kept + self._missing(kept)) if self._is_due(kept, now) else kept)
            elif age >= self._rotate_seconds / 2:
                self.announce()
        return self._stored()

    def _stored(self) -> tuple[KeyRecord, ...]:
        ring = self._store.get(_RING)
        if ring is None:
            raise LookupError("the issuer's keys have left the store")
        return ring.keys

    def _step(self, step: Callable[[tuple[KeyRecord, ...]], tuple[KeyRecord, ...]]) -> None:
        self._store.change(_RING, lambda ring: KeyRingRecord(step(ring.keys)))

    def _is_over(self, record: KeyRecord, now: float) -> bool:
        return record.state == RETIRED and record.since + self._overlap_seconds <= now

    def _is_due(self, records: tuple[KeyRecord, ...], now: float) -> bool:
        return min(record.since for record in records if record.state == ACTIVE) + self._rotate_seconds <= now

    def _missing(self, records: tuple[KeyRecord, ...]) -> tuple[KeyRecord, ...]:
        pending = {record.alg for record in records if record.state == PENDING}
        return tuple(self._made(alg, PENDING) for alg in self._algorithms if alg not in pending)

    def _rotated(self, records: tuple[KeyRecord, ...]) -> tuple[KeyRecord, ...]:
        following = {PENDING: ACTIVE, ACTIVE: RETIRED}
        now = self._clock()
        return tuple(
            replace(record, state=following[record.state], since=now) if record.state in following else record
            for record in records
        )

    def _made(self, alg: str, state: str) -> KeyRecord:
        key = SigningKey.generate(alg)
        return KeyRecord(alg, key.kid, state, self._clock(), json.dumps(key.jwk.as_dict(private=True)))


_JWK_TYPES: Mapping[str, type[ECKey] | type[RSAKey] | type[OKPKey]] = {"ES256": ECKey, "RS256": RSAKey, "EdDSA": OKPKey}


@lru_cache(maxsize=256)
def _parsed(record: KeyRecord) -> SigningKey:
    return SigningKey(record.alg, record.kid, _JWK_TYPES[record.alg].import_key(json.loads(record.jwk)))


@lru_cache(maxsize=64)
def _verifying(records: tuple[KeyRecord, ...]) -> KeySet:
    return KeySet.import_key_set({"keys": [_parsed(record).public_jwk() for record in records]})


def signature(key: SigningKey, signing_input: bytes) -> bytes:
    """The bare signature, for tokens that a test wants to be wrong: joserfc would refuse an odd header."""
    algorithm = JWSRegistry.algorithms[key.alg]
    return algorithm.sign(signing_input, key.jwk)
