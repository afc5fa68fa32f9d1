"""ID tokens (OIDC Core 1.0 §2 and §3.1.3.7): proof to us, the client, that a person signed in."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from secure_api.protocol import base64url
from secure_api.protocol.jws import media_type
from secure_api.protocol.jwt import audiences, check_times, identifier, instant, text_list
from secure_api.protocol.reasons import Reason, refused
from secure_api.protocol.rfc9068 import past_auth_time

# No registered type for ID tokens exists; anything but these is another kind of token.
_TOKEN_TYPES: Final = frozenset({"", "jwt"})

_HASHES: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class IdTokenClaims:
    """What a valid ID token says about a sign-in. Users are keyed by issuer and subject, never by email.

    `claims` holds every claim, for group mapping and display; nothing in it but the named attributes
    has a checked type. `email` may serve for linking only where `email_verified` is True and the
    provider's table trusts it.
    """

    issuer: str
    subject: str
    audiences: tuple[str, ...]
    expires_at: datetime
    issued_at: datetime
    auth_time: datetime | None
    acr: str | None
    amr: tuple[str, ...]
    session_id: str | None
    email: str | None
    email_verified: bool
    name: str | None
    preferred_username: str | None
    hosted_domain: str | None
    claims: Mapping[str, Any]


def validate_id_token(
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    *,
    issuer: str,
    client_id: str,
    nonce: str | None,
    now: datetime,
    access_token: str | None = None,
    max_age_seconds: int | None = None,
    authorized_parties: Collection[str] = (),
    clock_skew_seconds: int = 30,
    max_lifetime_seconds: int = 86_400,
) -> IdTokenClaims:
    """The claims of an ID token that `issuer` made for this client, in answer to this very request.

    The caller has checked the signature. `aud` must be exactly our client: no other audience is
    trusted, so a token that names one is refused.

    Args: `nonce` is what the authorization request carried; None only where there was no such request
    (token exchange, refresh). `access_token` came in the same response and must match `at_hash` where
    the token has one. `max_age_seconds` is what was asked for: then `auth_time` must be there and
    recent. `authorized_parties` are further clients that `azp` may name (native apps of the same
    owner). `now` is timezone-aware.
    Raises: `errors.InvalidToken` with reason WRONG_TYPE, WRONG_ISSUER, WRONG_AUDIENCE, WRONG_PARTY,
    CLAIM_MISSING, CLAIM_INVALID, EXPIRED, NOT_YET_VALID, LIFETIME_TOO_LONG, NONCE_MISMATCH,
    AT_HASH_MISMATCH or AUTHENTICATION_TOO_OLD.
    Source: OIDC Core §3.1.3.7 and §3.1.3.8, ASVS v5.0.0-10.5.1 to 10.5.4.
    """
    if media_type(header.get("typ")) not in _TOKEN_TYPES or "events" in claims:
        raise refused(Reason.WRONG_TYPE)
    if claims.get("iss") != issuer:
        raise refused(Reason.WRONG_ISSUER)
    audience = audiences(claims)
    if set(audience) != {client_id}:
        raise refused(Reason.WRONG_AUDIENCE)
    party = identifier(claims, "azp")
    if party is not None and party != client_id and party not in authorized_parties:
        raise refused(Reason.WRONG_PARTY)
    expires_at, issued_at = check_times(
        claims,
        now=now,
        clock_skew_seconds=clock_skew_seconds,
        max_lifetime_seconds=max_lifetime_seconds,
        required={"iat"},
    )
    subject = identifier(claims, "sub")
    if subject is None:
        raise refused(Reason.CLAIM_MISSING, "sub")
    _check_nonce(claims, nonce)
    if access_token is not None and "at_hash" in claims:
        _check_access_token_hash(header, claims["at_hash"], access_token)
    auth_time = past_auth_time(claims, now, clock_skew_seconds)
    if max_age_seconds is not None:
        if auth_time is None:
            raise refused(Reason.CLAIM_MISSING, "auth_time")
        if now.timestamp() - auth_time > max_age_seconds + clock_skew_seconds:
            raise refused(Reason.AUTHENTICATION_TOO_OLD)
    return IdTokenClaims(
        issuer=issuer,
        subject=subject,
        audiences=audience,
        expires_at=datetime.fromtimestamp(expires_at, UTC),
        issued_at=datetime.fromtimestamp(issued_at or 0, UTC),
        auth_time=instant(auth_time),
        acr=identifier(claims, "acr"),
        amr=text_list(claims["amr"], "amr") if "amr" in claims else (),
        session_id=identifier(claims, "sid"),
        email=_display_text(claims, "email"),
        # Only the JSON value true counts: the text "false" is true for Python.
        email_verified=claims.get("email_verified") is True,
        name=_display_text(claims, "name"),
        preferred_username=_display_text(claims, "preferred_username"),
        hosted_domain=_display_text(claims, "hd"),
        claims=MappingProxyType(dict(claims)),
    )


def access_token_hash(access_token: str, algorithm: str) -> str:
    """The `at_hash` of `access_token`: the left half of its digest, with the hash of `algorithm`.

    Args: `algorithm` is the JWA name in the ID token's header; Ed25519 signs with SHA-512.
    Source: OIDC Core §3.1.3.6.
    """
    digest = _HASHES.get(algorithm[-3:], hashlib.sha512)(access_token.encode("ascii", "replace")).digest()
    return base64url.encode(digest[: len(digest) // 2])


def _check_nonce(claims: Mapping[str, Any], expected: str | None) -> None:
    """Stops an ID token from another sign-in (replayed or injected) from ending this one."""
    if expected is None:
        return
    if "nonce" not in claims:
        raise refused(Reason.CLAIM_MISSING, "nonce")
    found = claims["nonce"]
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), expected.encode()):
        raise refused(Reason.NONCE_MISMATCH)


def _check_access_token_hash(header: Mapping[str, Any], found: object, access_token: str) -> None:
    """Stops an access token of another person from being put beside this ID token."""
    if not isinstance(found, str) or not hmac.compare_digest(
        found.encode(), access_token_hash(access_token, str(header.get("alg"))).encode()
    ):
        raise refused(Reason.AT_HASH_MISMATCH)


def _display_text(claims: Mapping[str, Any], name: str) -> str | None:
    """A claim that is only shown or matched: an odd value is dropped, since it must not end a sign-in."""
    value = claims.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable() else None
