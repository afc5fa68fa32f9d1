"""The plain profile: no provider's quirks, every claim under its standard name.

Access tokens per RFC 9068 §2.2, ID tokens per OIDC Core §2, scope claims per OIDC Core §5.4.
"""

from __future__ import annotations

from collections.abc import Sequence

from idp_mock.profiles import Claims, Profile, TokenFacts
from idp_mock.users import User

_ENDPOINTS = (
    "authorize",
    "token",
    "userinfo",
    "jwks",
    "logout",
    "login",
    "consent",
    "consents",
    "par",
    "device_authorization",
    "device",
    "introspect",
    "revoke",
    "register",
)


def _access_token_claims(facts: TokenFacts) -> Claims:
    claims: Claims = {
        "iss": facts.issuer,
        "sub": facts.subject,
        "aud": facts.audience[0] if len(facts.audience) == 1 else list(facts.audience),
        "exp": facts.expires_at,
        "iat": facts.issued_at,
        "jti": facts.token_id,
        "client_id": facts.client_id,
        "scope": " ".join(facts.scopes),
    }
    return claims | _how_signed_in(facts)


def _id_token_claims(facts: TokenFacts) -> Claims:
    claims: Claims = {
        "iss": facts.issuer,
        "sub": facts.subject,
        "aud": facts.client_id,
        "exp": facts.expires_at,
        "iat": facts.issued_at,
        "sid": facts.authentication.sid if facts.authentication else None,
    }
    return claims | _how_signed_in(facts)


def _how_signed_in(facts: TokenFacts) -> Claims:
    authentication = facts.authentication
    if authentication is None:
        return {}
    return {"auth_time": authentication.auth_time, "acr": authentication.acr, "amr": list(authentication.amr)}


def _user_claims(user: User, scopes: Sequence[str]) -> Claims:
    claims: Claims = {}
    if "profile" in scopes:
        claims |= {"name": user.name, "preferred_username": user.username}
    if "email" in scopes:
        claims |= {"email": user.email, "email_verified": user.email_verified}
    if "groups" in scopes:
        claims["groups"] = list(user.groups)
    return claims


DEFAULT_PROFILE = Profile(
    name="default",
    paths={name: f"/{name}" for name in _ENDPOINTS},
    access_token_typ="at+jwt",  # noqa: S106  # nosec B106
    access_token_alg="ES256",  # noqa: S106  # nosec B106
    access_token_claims=_access_token_claims,
    id_token_claims=_id_token_claims,
    user_claims=_user_claims,
    claims_supported=(
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "acr",
        "amr",
        "at_hash",
        "sid",
        "name",
        "preferred_username",
        "email",
        "email_verified",
        "groups",
    ),
)
