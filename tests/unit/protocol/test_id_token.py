"""ID tokens: each step of OIDC Core §3.1.3.7, with a token that passes beside each that does not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from secure_api.errors import InvalidToken
from secure_api.protocol.id_token import IdTokenClaims, access_token_hash, validate_id_token
from secure_api.protocol.reasons import Reason

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISSUER = "https://idp.example"
# The example of OIDC Core 1.0, Appendix A.3.
ACCESS_TOKEN, AT_HASH = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"
HEADER: dict[str, Any] = {"alg": "RS256", "kid": "k"}
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": "web",
    "nonce": "n-0S6_WzA2Mj",
    "iat": SECONDS - 5,
    "exp": SECONDS + 300,
    "auth_time": SECONDS - 100,
    "at_hash": AT_HASH,
    "email": "alice@example.com",
    "email_verified": True,
    "name": "Alice",
}


def validate(header: dict[str, Any], claims: dict[str, Any], **changes: Any) -> IdTokenClaims:
    arguments: dict[str, Any] = {
        "issuer": ISSUER,
        "client_id": "web",
        "nonce": "n-0S6_WzA2Mj",
        "now": NOW,
        "access_token": ACCESS_TOKEN,
        "max_age_seconds": 300,
    }
    return validate_id_token(header, claims, **{**arguments, **changes})


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in CLAIMS.items() if name not in names}


def test_valid_id_token_is_read() -> None:
    """Subject, times and the claims of the profile come out typed."""
    found = validate(HEADER, CLAIMS)
    assert (found.subject, found.email, found.email_verified, found.name) == (
        "alice",
        "alice@example.com",
        True,
        "Alice",
    )
    assert found.auth_time is not None
    assert found.auth_time.timestamp() == SECONDS - 100
    assert found.claims["nonce"] == "n-0S6_WzA2Mj"


@pytest.mark.parametrize(
    ("header", "claims", "changes"),
    [
        ({**HEADER, "typ": "JWT"}, CLAIMS, {}),
        (HEADER, {**CLAIMS, "aud": ["web"]}, {}),
        (HEADER, {**CLAIMS, "azp": "web"}, {}),
        (HEADER, {**CLAIMS, "azp": "android"}, {"authorized_parties": {"android"}}),
        (HEADER, {**CLAIMS, "exp": SECONDS - 10, "iat": SECONDS - 300}, {}),
        (HEADER, {**CLAIMS, "iat": SECONDS + 10}, {}),
        (HEADER, without("nonce"), {"nonce": None}),
        (HEADER, without("at_hash"), {}),
        (HEADER, CLAIMS, {"access_token": None}),
        (HEADER, without("auth_time"), {"max_age_seconds": None}),
        (HEADER, {**CLAIMS, "auth_time": SECONDS - 330}, {}),
        (HEADER, {**CLAIMS, "name": 7, "email": ["x"]}, {}),
    ],
)
def test_variant_passes(header: dict[str, Any], claims: dict[str, Any], changes: dict[str, Any]) -> None:
    """What the specification leaves open is accepted."""
    assert validate(header, claims, **changes).subject == "alice"


@pytest.mark.parametrize(
    ("header", "claims", "reason"),
    [
        ({**HEADER, "typ": "at+jwt"}, CLAIMS, Reason.WRONG_TYPE),
        ({**HEADER, "typ": "application/at+jwt"}, CLAIMS, Reason.WRONG_TYPE),
        ({**HEADER, "typ": "logout+jwt"}, CLAIMS, Reason.WRONG_TYPE),
        (HEADER, {**CLAIMS, "events": {}}, Reason.WRONG_TYPE),
        (HEADER, without("iss"), Reason.WRONG_ISSUER),
        (HEADER, {**CLAIMS, "iss": f"{ISSUER}/"}, Reason.WRONG_ISSUER),
        (HEADER, {**CLAIMS, "iss": [ISSUER]}, Reason.WRONG_ISSUER),
        (HEADER, without("aud"), Reason.CLAIM_MISSING),
        (HEADER, {**CLAIMS, "aud": "other"}, Reason.WRONG_AUDIENCE),
        (HEADER, {**CLAIMS, "aud": ["web", "other"]}, Reason.WRONG_AUDIENCE),
        (HEADER, {**CLAIMS, "aud": ["web", "other"], "azp": "web"}, Reason.WRONG_AUDIENCE),
        (HEADER, {**CLAIMS, "azp": "other"}, Reason.WRONG_PARTY),
        (HEADER, {**CLAIMS, "azp": 7}, Reason.CLAIM_INVALID),
        (HEADER, without("exp"), Reason.CLAIM_MISSING),
        (HEADER, {**CLAIMS, "exp": SECONDS - 31, "iat": SECONDS - 300}, Reason.EXPIRED),
        (HEADER, without("iat"), Reason.CLAIM_MISSING),
        (HEADER, {**CLAIMS, "iat": SECONDS + 61}, Reason.NOT_YET_VALID),
        (HEADER, {**CLAIMS, "exp": SECONDS + 86_400}, Reason.LIFETIME_TOO_LONG),
        (HEADER, without("sub"), Reason.CLAIM_MISSING),
        (HEADER, {**CLAIMS, "sub": 7}, Reason.CLAIM_INVALID),
        (HEADER, {**CLAIMS, "sub": "a" * 256}, Reason.CLAIM_INVALID),
        (HEADER, without("nonce"), Reason.CLAIM_MISSING),
        (HEADER, {**CLAIMS, "nonce": "other"}, Reason.NONCE_MISMATCH),
        (HEADER, {**CLAIMS, "nonce": None}, Reason.NONCE_MISMATCH),
        (HEADER, {**CLAIMS, "at_hash": "77QmUPtjPfzWtF2AnpK9RR"}, Reason.AT_HASH_MISMATCH),
        (HEADER, {**CLAIMS, "at_hash": None}, Reason.AT_HASH_MISMATCH),
        ({**HEADER, "alg": "RS384"}, CLAIMS, Reason.AT_HASH_MISMATCH),
        (HEADER, without("auth_time"), Reason.CLAIM_MISSING),
        (HEADER, {**CLAIMS, "auth_time": SECONDS - 331}, Reason.AUTHENTICATION_TOO_OLD),
        (HEADER, {**CLAIMS, "auth_time": SECONDS + 61}, Reason.NOT_YET_VALID),
        (HEADER, {**CLAIMS, "amr": "pwd"}, Reason.CLAIM_INVALID),
    ],
)
def test_wrong_id_token_cannot_sign_anyone_in(header: dict[str, Any], claims: dict[str, Any], reason: Reason) -> None:
    """The unchanged token passes; with one thing wrong it is refused for that reason."""
    validate(HEADER, CLAIMS)
    with pytest.raises(InvalidToken) as refusal:
        validate(header, claims)
    assert refusal.value.reason == reason


@pytest.mark.parametrize("value", ["true", "false", 1, None, ["x"]])
def test_email_counts_as_verified_only_by_the_value_true(value: object) -> None:
    """The text "false" is true for Python; no such value may lead to linking by email."""
    assert validate(HEADER, CLAIMS).email_verified
    assert not validate(HEADER, {**CLAIMS, "email_verified": value}).email_verified


@pytest.mark.parametrize(
    ("algorithm", "length"), [("ES256", 22), ("PS384", 32), ("RS512", 43), ("Ed25519", 43), ("EdDSA", 43)]
)
def test_access_token_hash_follows_the_signature_algorithm(algorithm: str, length: int) -> None:
    """Half of SHA-256, SHA-384 or SHA-512 in base64url."""
    assert len(access_token_hash("x", algorithm)) == length
