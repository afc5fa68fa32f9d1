"""Mints the token response of a grant: access token, ID token and refresh token, each remembered for revocation.

RFC 9068, OIDC Core §2 and §3.1.3.6, RFC 6749 §5.1.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from idp_mock.clients import Client
from idp_mock.issuer import Issuer
from idp_mock.profiles import TokenFacts
from idp_mock.stores import fingerprint, new_secret
from idp_mock.stores.records import AccessToken, Grant, RefreshToken
from idp_mock.users import User

BEARER = "Bearer"
ID_TOKEN_TYP = "JWT"  # noqa: S105  # nosec B105


def issue_tokens(
    issuer: Issuer,
    *,
    grant: Grant,
    client: Client,
    user: User,
    scopes: tuple[str, ...],
    resources: tuple[str, ...],
    nonce: str | None = None,
    refresh_scopes: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """The body of a successful token response. `refresh_scopes` is what a new refresh token may ask for; None: none."""
    now = issuer.now()
    lifetimes = issuer.lifetimes
    token_id = new_secret()
    facts = TokenFacts(
        issuer=issuer.url,
        client_id=client.client_id,
        user=user,
        scopes=scopes,
        audience=resources,
        authentication=grant.authentication,
        issued_at=now,
        expires_at=now + lifetimes.access_token,
        token_id=token_id,
    )
    profile = issuer.profile
    access_token = issuer.keys.sign(
        profile.access_token_claims(facts), profile.access_token_alg, profile.access_token_typ
    )
    record = AccessToken(grant.grant_id, client.client_id, user.sub, scopes)
    issuer.stores.access_tokens.put(fingerprint(token_id), record, lifetimes.access_token)
    body: dict[str, Any] = {
        "access_token": access_token,
        "token_type": BEARER,
        "expires_in": lifetimes.access_token,
        "scope": " ".join(scopes),
    }
    if "openid" in scopes:
        body["id_token"] = _id_token(issuer, facts, client, access_token, nonce)
    if refresh_scopes is not None:
        body["refresh_token"] = _refresh_token(issuer, grant, refresh_scopes)
    return body


def grant_is_live(issuer: Issuer, grant_id: str) -> Grant | None:
    """The grant, unless it has ended or was revoked."""
    grant = issuer.stores.grants.get(grant_id)
    return grant if grant is not None and not grant.revoked else None


def _id_token(issuer: Issuer, facts: TokenFacts, client: Client, access_token: str, nonce: str | None) -> str:
    claims = issuer.profile.id_token_claims(facts) | issuer.profile.user_claims(facts.user, facts.scopes)
    claims["exp"] = facts.issued_at + issuer.lifetimes.id_token
    claims["at_hash"] = _half_hash(access_token)
    if nonce is not None:
        claims["nonce"] = nonce
    return issuer.keys.sign(claims, client.id_token_alg, ID_TOKEN_TYP)


def _half_hash(value: str) -> str:
    # Both signing algorithms use SHA-256 (OIDC Core §3.1.3.6).
    digest = hashlib.sha256(value.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode("ascii")


def _refresh_token(issuer: Issuer, grant: Grant, scopes: tuple[str, ...]) -> str:
    token = new_secret()
    remaining = grant.ends_at - issuer.clock()
    issuer.stores.refresh_tokens.put(
        fingerprint(token),
        RefreshToken(grant.grant_id, grant.client_id, scopes),
        min(issuer.lifetimes.refresh_idle, remaining),
    )
    return token
