"""The public keys a client registered, and JWTs signed with them: client assertions and request objects.

RFC 7523 §3, RFC 9101 §6.2, RFC 8725 §3.1 and §3.2: the algorithm comes from this list and has to suit the key.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from idp_mock.jose import Algorithms

CLIENT_ALGORITHMS = ("ES256", "PS256", "RS256", "EdDSA", "Ed25519")
_MIN_RSA_BITS = 2048
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KINDS = {("RSA", None), ("EC", "P-256"), ("OKP", "Ed25519")}


@dataclass(frozen=True, slots=True)
class ClientJwt:
    """A JWT whose signature is right; what it says is still to be checked."""

    typ: str | None
    claims: Mapping[str, Any]


def jwks_fault(text: str) -> str | None:
    """Why the text is no JWK set a client may register, or None when it is one."""
    try:
        keys = json.loads(text)["keys"]
        if not keys:
            return "must hold at least one key"
        if len({key.get("kid") for key in keys}) != len(keys):
            return "needs a different 'kid' for each key"
        if fault := next(filter(None, map(jwk_fault, keys)), None):
            return fault
        _key_set(text)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return "is not a JWK set"
    return None


def jwk_fault(key: Mapping[str, Any]) -> str | None:
    """Why a JWK is no public key to verify with; looked at before the library reads it, which only warns."""
    if _PRIVATE_MEMBERS & set(key):
        return "must hold public members only"
    if (key.get("kty"), key.get("crv")) not in _KINDS:
        return "holds a key that is neither RSA, P-256 nor Ed25519"
    if key["kty"] == "RSA":
        modulus = base64.urlsafe_b64decode(str(key.get("n")) + "==")
        if int.from_bytes(modulus).bit_length() < _MIN_RSA_BITS:
            return f"holds an RSA key of fewer than {_MIN_RSA_BITS} bits"
    return None


def verified_jwt(jwks: str | None, token: str) -> ClientJwt | None:
    """The JWT, if one of the keys signed it with an allowed algorithm; None for any other."""
    if jwks is None:
        return None
    try:
        verified = jwt.decode(token, _key_set(jwks), registry=Algorithms(CLIENT_ALGORITHMS))
    except (JoseError, ValueError):
        return None
    typ = verified.header.get("typ")
    return ClientJwt(typ if isinstance(typ, str) else None, dict(verified.claims))


@lru_cache(maxsize=128)
def _key_set(text: str) -> KeySet:
    return KeySet.import_key_set(json.loads(text))
