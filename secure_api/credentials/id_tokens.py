"""ID tokens of trusted issuers, as a sign-in or a token exchange brings them."""

from __future__ import annotations

from datetime import datetime

from secure_api.credentials.issuer_keys import IssuerKeys
from secure_api.errors import ServiceUnavailable
from secure_api.protocol.id_token import IdTokenClaims, validate_id_token
from secure_api.protocol.jws import verify_signature
from secure_api.protocol.jwt import parse_unverified
from secure_api.protocol.reasons import Reason, refused


def verify_id_token(
    token: str,
    issuer_keys: IssuerKeys,
    *,
    nonce: str | None,
    now: datetime,
    access_token: str | None = None,
    max_age_seconds: int | None = None,
) -> IdTokenClaims:
    """The claims of an ID token that this very provider signed for our client, in answer to our request.

    The provider is the one that the sign-in was started with, never one that the token names: an ID
    token of another trusted issuer is refused.

    Args: as `protocol.id_token.validate_id_token`.
    Raises: `errors.InvalidToken` with any of `protocol.reasons.Reason`; `errors.ServiceUnavailable`
    where the issuer's keys cannot be had, or the provider has no client configured.
    Source: OIDC Core §3.1.3.7, RFC 9207 §2.4, ASVS v5.0.0-10.5.1 to 10.5.4.
    """
    provider = issuer_keys.provider
    if provider.client_id is None:
        raise ServiceUnavailable(log_detail=f"{provider.name} has no client_id, so no ID token can be for us")
    unverified = parse_unverified(token)
    if unverified.claims.get("iss") != provider.issuer:
        raise refused(Reason.WRONG_ISSUER)
    if unverified.algorithm not in provider.id_token_algorithms:
        raise refused(Reason.ALGORITHM_NOT_ALLOWED)
    if unverified.key_id is None:
        raise refused(Reason.KEY_ID_MISSING)
    verify_signature(unverified, issuer_keys.key_for(unverified.key_id), provider.id_token_algorithms)
    return validate_id_token(
        unverified.header,
        unverified.claims,
        issuer=provider.issuer,
        client_id=provider.client_id,
        nonce=nonce,
        now=now,
        access_token=access_token,
        max_age_seconds=max_age_seconds,
        authorized_parties=provider.authorized_parties,
        clock_skew_seconds=provider.clock_skew_seconds,
        max_lifetime_seconds=provider.id_token_max_lifetime_seconds,
    )
