"""Mints the token response of a grant: access token, ID token and refresh token, each remembered for revocation.

RFC 9068, OIDC Core §2 and §3.1.3.6, RFC 6749 §5.1, RFC 9449 §6, RFC 9396 §7.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

from idp_mock.clients import Client
from idp_mock.issuer import Issuer
from idp_mock.profiles import Claims, TokenFacts
from idp_mock.stores import fingerprint, new_id, new_secret
from idp_mock.stores.records import AccessToken, Authentication, Grant, RefreshToken
from idp_mock.users import User

BEARER = "Bearer"
DPOP = "DPoP"
ID_TOKEN_TYP = "JWT"  # noqa: S105  # nosec B105


def issue_tokens(
    issuer: Issuer,
    *,
    grant: Grant,
    client: Client,
    user: User | None,
    scopes: tuple[str, ...],
    resources: tuple[str, ...],
    nonce: str | None = None,
    refresh_scopes: tuple[str, ...] | None = None,
    dpop_jkt: str | None = None,
    actors: tuple[str, ...] = (),
    ends_at: int | None = None,
    authorization_details: str | None = None,
) -> dict[str, Any]:
    """The body of a successful token response.

    `user` is None for a client that acts for itself. `refresh_scopes` is what a new refresh token may ask for;
    None: none. `dpop_jkt` binds the tokens to a key. `ends_at` shortens the access token's life, and
    `authorization_details` narrows what was granted in detail.
    """
    now, profile = issuer.now(), issuer.profile
    expires_at = min(now + issuer.lifetimes.access_token, ends_at or now + issuer.lifetimes.access_token)
    facts = TokenFacts(
        issuer=issuer.url,
        client_id=client.client_id,
        subject=user.sub if user else client.client_id,
        user=user,
        scopes=scopes,
        audience=resources,
        authentication=grant.authentication,
        issued_at=now,
        expires_at=expires_at,
        token_id=f"{profile.opaque_prefix or profile.token_id_prefix}{new_secret()}",
    )
    record = AccessToken(
        grant_id=grant.grant_id,
        client_id=client.client_id,
        sub=facts.subject,
        scopes=scopes,
        resources=resources,
        issued_at=now,
        expires_at=expires_at,
        dpop_jkt=dpop_jkt,
        actors=actors,
        authorization_details=grant.authorization_details if authorization_details is None else authorization_details,
    )
    body: dict[str, Any] = {
        "access_token": _access_token(issuer, facts, record),
        "token_type": DPOP if dpop_jkt else BEARER,
        "expires_in": expires_at - now,
        "scope": " ".join(scopes),
    }
    if record.authorization_details:
        body["authorization_details"] = json.loads(record.authorization_details)
    if "openid" in scopes and user is not None and not actors:
        body["id_token"] = _id_token(issuer, facts, user, client, body["access_token"], nonce)
    if refresh_scopes is not None:
        # A confidential client authenticates at each refresh; a public one proves its key instead (RFC 9449 §5).
        bound_to = None if client.confidential else dpop_jkt
        body["refresh_token"] = _refresh_token(issuer, grant, refresh_scopes, bound_to)
    return body


def start_grant(
    issuer: Issuer,
    client: Client,
    *,
    scopes: tuple[str, ...],
    resources: tuple[str, ...],
    authentication: Authentication | None,
    lifetime_seconds: float,
    authorization_details: str = "",
) -> Grant:
    """Remember what a person allowed a client, or what a client may do for itself."""
    grant = Grant(
        grant_id=new_id(),
        client_id=client.client_id,
        scopes=scopes,
        resources=resources,
        authentication=authentication,
        ends_at=issuer.clock() + lifetime_seconds,
        authorization_details=authorization_details,
    )
    issuer.stores.grants.put(grant.grant_id, grant, lifetime_seconds)
    return grant


def grant_is_live(issuer: Issuer, grant_id: str) -> Grant | None:
    """The grant, unless it has ended or was revoked."""
    grant = issuer.stores.grants.get(grant_id)
    return grant if grant is not None and not grant.revoked else None


def revoke_grant(issuer: Issuer, grant_id: str) -> None:
    """Everything that was issued from the grant is dead from now on."""
    issuer.stores.grants.change(grant_id, lambda grant: replace(grant, revoked=True))


def user_of(issuer: Issuer, grant: Grant) -> User | None:
    """The person who gave the grant, if there is one and the users file still has them."""
    return issuer.users.by_sub(grant.authentication.sub) if grant.authentication else None


def live_access_token(issuer: Issuer, token: str) -> AccessToken | None:
    """What this issuer remembers of an access token that it issued, that has not expired and is not revoked."""
    handle: object = token
    if issuer.profile.opaque_prefix is None:
        claims = issuer.keys.verify(token, issuer.profile.access_token_typ)
        if claims is None or claims.get("iss") != issuer.url:
            return None
        handle = claims.get("jti")
    record = issuer.stores.access_tokens.get(fingerprint(str(handle)))
    if record is None or record.expires_at <= issuer.now() or grant_is_live(issuer, record.grant_id) is None:
        return None
    return record


def live_refresh_token(issuer: Issuer, token: str) -> RefreshToken | None:
    """The record of a refresh token that can still be used."""
    record = issuer.stores.refresh_tokens.get(fingerprint(token))
    if record is None or record.used or grant_is_live(issuer, record.grant_id) is None:
        return None
    return record


def bound_claims(record: AccessToken) -> Claims:
    """The claims that say more than whose token it is: its key, its actors, its details (RFC 9449, 8693, 9396)."""
    claims: Claims = {}
    if record.dpop_jkt:
        claims["cnf"] = {"jkt": record.dpop_jkt}
    for actor in reversed(record.actors):
        claims["act"] = {"sub": actor, **({"act": claims["act"]} if "act" in claims else {})}
    if record.authorization_details:
        claims["authorization_details"] = json.loads(record.authorization_details)
    return claims


def _access_token(issuer: Issuer, facts: TokenFacts, record: AccessToken) -> str:
    profile = issuer.profile
    lifetime = max(facts.expires_at - facts.issued_at, 1)
    issuer.stores.access_tokens.put(fingerprint(facts.token_id), record, lifetime)
    if profile.opaque_prefix is not None:
        return facts.token_id
    claims = profile.access_token_claims(facts) | bound_claims(record)
    return issuer.keys.sign(claims, profile.access_token_alg, profile.access_token_typ)


def _id_token(
    issuer: Issuer, facts: TokenFacts, user: User, client: Client, access_token: str, nonce: str | None
) -> str:
    claims = issuer.profile.id_token_claims(facts) | issuer.profile.user_claims(user, facts.scopes)
    claims["exp"] = facts.issued_at + issuer.lifetimes.id_token
    claims["at_hash"] = _half_hash(access_token, client.id_token_alg)
    if nonce is not None:
        claims["nonce"] = nonce
    return issuer.keys.sign(claims, client.id_token_alg, ID_TOKEN_TYP)


def _half_hash(value: str, alg: str) -> str:
    # ES256 and RS256 use SHA-256, Ed25519 signatures SHA-512 (OIDC Core §3.1.3.6).
    hashed = hashlib.sha512 if alg == "EdDSA" else hashlib.sha256
    digest = hashed(value.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")


def _refresh_token(issuer: Issuer, grant: Grant, scopes: tuple[str, ...], dpop_jkt: str | None) -> str:
    token = new_secret()
    lifetime = min(issuer.lifetimes.refresh_idle, grant.ends_at - issuer.clock())
    record = RefreshToken(
        grant.grant_id, grant.client_id, scopes, dpop_jkt=dpop_jkt, expires_at=int(issuer.clock() + lifetime)
    )
    issuer.stores.refresh_tokens.put(fingerprint(token), record, lifetime)
    return token
