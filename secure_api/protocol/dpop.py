"""DPoP proofs (RFC 9449): who sends an access token also holds the key that it is bound to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from secure_api.errors import InvalidDpopProof, InvalidToken
from secure_api.protocol import base64url
from secure_api.protocol.jwks import embedded_key, thumbprint
from secure_api.protocol.jws import media_type
from secure_api.protocol.jwt import UnverifiedToken, identifier, numeric_date, parse_unverified
from secure_api.protocol.origin import origin_of
from secure_api.protocol.reasons import Reason

PROOF_TYPE: Final = "dpop+jwt"
PROOF_ALGORITHMS: Final = ("ES256", "ES384", "ES512", "Ed25519", "EdDSA", "PS256", "RS256")
MAX_PROOF_BYTES: Final = 4096
MAX_AGE_SECONDS: Final = 60
CLOCK_SKEW_SECONDS: Final = 30

_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True)
class VerifiedProof:
    """A proof that is right for this request. Whether it was used before is not known yet.

    `thumbprint` names the key (RFC 7638); `issued_at` is in seconds since 1970, by the sender's clock.
    """

    thumbprint: str
    proof_id: str
    issued_at: float
    nonce: str | None


def verify_proof(
    headers: Sequence[str], *, method: str, target: str, access_token: str, now: datetime
) -> VerifiedProof:
    """The one proof among `headers`, if its sender made it with its own key for this request and this token.

    Args: `headers` are all DPoP header values of the request; `method` is its method as received;
    `target` its absolute address as callers know it, of which query and fragment are ignored; `now` is
    timezone-aware. A proof is taken for 60 s, and 30 s before its time.
    Raises: `errors.InvalidDpopProof` with a DPOP reason of `protocol.reasons.Reason`.
    Source: RFC 9449 §4.2, §4.3 and §7.1, RFC 8725 §3.
    """
    # A list of values joined by a comma is no JWS: neither holds one.
    if len(headers) != 1:
        raise _refused(Reason.DPOP_HEADERS)
    try:
        proof = parse_unverified(headers[0], max_bytes=MAX_PROOF_BYTES)
    except InvalidToken as error:
        raise _refused(Reason.DPOP_MALFORMED, error.log_detail) from None
    if media_type(proof.type) != PROOF_TYPE:
        raise _refused(Reason.DPOP_TYPE)
    named = _check_signature(proof)
    try:
        return _check_claims(proof.claims, named, method, target, access_token, now)
    except InvalidToken as error:
        if isinstance(error, InvalidDpopProof):
            raise
        raise _refused(Reason.DPOP_CLAIM, error.log_detail) from None


def same_target(one: str, other: str) -> bool:
    """True if both are the same absolute address but for query and fragment, after RFC 3986 normalising.

    The scheme's and host's case, the default port, an empty path, and how unreserved characters and escapes
    are written make no difference. Dot segments do: servers do not agree on them.

    Source: RFC 9449 §4.3 (9), RFC 3986 §6.2.2 and §6.2.3.
    """
    try:
        return _normalised(one) == _normalised(other)
    except ValueError:
        return False


def token_hash(access_token: str) -> str:
    """The `ath` of a proof for `access_token`. Source: RFC 9449 §4.2."""
    return base64url.encode(hashlib.sha256(access_token.encode("utf-8", "surrogatepass")).digest())


def _check_signature(proof: UnverifiedToken) -> str:
    jwk = proof.header.get("jwk")
    if proof.algorithm not in PROOF_ALGORITHMS:
        raise _refused(Reason.DPOP_MALFORMED, "alg")
    if not isinstance(jwk, Mapping):
        raise _refused(Reason.DPOP_KEY, "no jwk")
    try:
        key = embedded_key(jwk, proof.algorithm)
    except ValueError as error:
        raise _refused(Reason.DPOP_KEY, str(error)) from None
    if not key.accepts(proof.signing_input, proof.signature):
        raise _refused(Reason.DPOP_SIGNATURE)
    return thumbprint(jwk)


def _check_claims(
    claims: Mapping[str, Any], named: str, method: str, target: str, access_token: str, now: datetime
) -> VerifiedProof:
    proof_id, htm, ath, nonce = (identifier(claims, name) for name in ("jti", "htm", "ath", "nonce"))
    htu, issued_at = claims.get("htu"), numeric_date(claims, "iat")
    if proof_id is None or htm is None or issued_at is None or not isinstance(htu, str):
        raise _refused(Reason.DPOP_CLAIM, "jti, htm, htu or iat is missing")
    if htm != method:
        raise _refused(Reason.DPOP_METHOD)
    if not same_target(htu, target):
        raise _refused(Reason.DPOP_TARGET)
    age = now.timestamp() - issued_at
    if not -CLOCK_SKEW_SECONDS <= age <= MAX_AGE_SECONDS:
        raise _refused(Reason.DPOP_TIME)
    if ath != token_hash(access_token):
        raise _refused(Reason.DPOP_TOKEN)
    return VerifiedProof(named, proof_id, issued_at, nonce)


def _normalised(url: str) -> tuple[str, str]:
    bare = url.partition("#")[0].partition("?")[0]
    return origin_of(bare), _ESCAPE.sub(_shortest, urlsplit(bare).path) or "/"


def _shortest(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _refused(reason: Reason, what: str = "") -> InvalidDpopProof:
    return InvalidDpopProof(reason, log_detail=f"{reason}: {what}" if what else reason)
