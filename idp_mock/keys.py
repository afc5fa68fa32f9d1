"""Signing keys of one issuer: one current key for each algorithm; only public members ever leave.

RFC 7517, RFC 7638 (key ids are thumbprints), OIDC Core §10.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jws import JWSRegistry

SIGNING_ALGORITHMS = ("ES256", "RS256")
_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One private key and the single algorithm it signs with."""

    alg: str
    kid: str
    jwk: ECKey | RSAKey

    @classmethod
    def generate(cls, alg: str) -> SigningKey:
        jwk = ECKey.generate_key("P-256") if alg == "ES256" else RSAKey.generate_key(_RSA_BITS)
        return cls(alg, jwk.thumbprint(), jwk)

    def public_jwk(self) -> dict[str, Any]:
        return {**self.jwk.as_dict(private=False), "kid": self.kid, "alg": self.alg, "use": "sig"}


class KeyRing:
    """Signs with the current keys and verifies what this issuer signed."""

    def __init__(self) -> None:
        self._current = {alg: SigningKey.generate(alg) for alg in SIGNING_ALGORITHMS}
        self._verifying = KeySet.import_key_set({"keys": self.public_jwks()})

    def current(self, alg: str) -> SigningKey:
        return self._current[alg]

    def public_jwks(self) -> list[dict[str, Any]]:
        return [key.public_jwk() for key in self._current.values()]

    def sign(self, claims: Mapping[str, Any], alg: str, typ: str) -> str:
        """A compact JWS with `alg`, `typ` and `kid` in its header."""
        key = self._current[alg]
        return jwt.encode({"alg": alg, "typ": typ, "kid": key.kid}, dict(claims), key.jwk, [alg])

    def verify(self, token: str, typ: str) -> dict[str, Any] | None:
        """The claims of a token that this issuer signed as a `typ`, whatever its times; None for any other."""
        try:
            verified = jwt.decode(token, self._verifying, list(SIGNING_ALGORITHMS))
        except (JoseError, ValueError):
            return None
        if verified.header.get("typ") != typ or "kid" not in verified.header:
            return None
        return dict(verified.claims)


def signature(key: SigningKey, signing_input: bytes) -> bytes:
    """The bare signature, for tokens that a test wants to be wrong: joserfc would refuse an odd header."""
    algorithm = JWSRegistry.algorithms[key.alg]
    return algorithm.sign(signing_input, key.jwk)
