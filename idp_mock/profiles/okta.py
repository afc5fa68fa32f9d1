"""Imitates Okta: a custom authorization server (`/oauth2/default`) and an org server.

Access tokens of the custom server are RS256 JWTs without a `typ`, with `ver`, `cid`, `uid`, `scp` as an array and
`groups`; their `sub` is the login name, which can change, and `uid` is the stable id that ID tokens carry as `sub`.
Those of the org server are for Okta's own APIs: strings to everybody else, who asks its introspection. User ids
(`00u…`) are made here from the users file's `sub`.

Stricter than the original on purpose: PKCE S256 is required, lifetimes are short, and every response carries `iss`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from idp_mock.clients import Client
from idp_mock.profiles import Claims, TokenFacts
from idp_mock.profiles.default import DEFAULT_PROFILE
from idp_mock.users import User

_VERSION = 1
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 17
_IDENTITY_PROVIDER = "00oMockOktaOrg0000d7"
_CLAIMS_SUPPORTED = (
    "iss",
    "ver",
    "sub",
    "aud",
    "iat",
    "exp",
    "jti",
    "auth_time",
    "amr",
    "idp",
    "nonce",
    "name",
    "preferred_username",
    "email",
    "email_verified",
    "groups",
    "at_hash",
    "sid",
)


def _access_token_claims(facts: TokenFacts) -> Claims:
    claims: Claims = {
        "ver": _VERSION,
        "jti": facts.token_id,
        "iss": facts.issuer,
        "aud": facts.audience[0] if len(facts.audience) == 1 else list(facts.audience),
        "iat": facts.issued_at,
        "exp": facts.expires_at,
        "cid": facts.client_id,
        "scp": list(facts.scopes),
        "sub": facts.client_id,
    }
    if facts.user is None:
        return claims
    return claims | {
        "uid": facts.subject,
        "auth_time": facts.sign_in.auth_time,
        "sub": facts.user.email,
        "groups": list(facts.user.groups),
    }


def _id_token_claims(facts: TokenFacts) -> Claims:
    return {
        "sub": facts.subject,
        "ver": _VERSION,
        "iss": facts.issuer,
        "aud": facts.client_id,
        "iat": facts.issued_at,
        "exp": facts.expires_at,
        # Of its own, and not derivable back: an org server's access token is nothing but its id.
        "jti": "ID." + hashlib.sha256(facts.token_id.encode()).hexdigest()[:43],
        "amr": list(facts.sign_in.amr),
        "idp": _IDENTITY_PROVIDER,
        "auth_time": facts.sign_in.auth_time,
        "sid": facts.sign_in.sid,
    }


def _user_claims(user: User, scopes: Sequence[str]) -> Claims:
    claims: Claims = {}
    if "profile" in scopes:
        given, _, family = user.name.partition(" ")
        claims |= {
            "name": user.name,
            "given_name": given,
            "family_name": family,
            "preferred_username": user.email,
            "locale": "en-US",
            "zoneinfo": "UTC",
        }
    if "email" in scopes:
        claims |= {"email": user.email, "email_verified": user.email_verified}
    if "groups" in scopes:
        claims["groups"] = list(user.groups)
    return claims


def _person(user: User) -> User:
    number = int.from_bytes(hashlib.sha256(f"okta {user.sub}".encode()).digest())
    letters = []
    for _ in range(_ID_LENGTH):
        number, index = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[index])
    return replace(user, sub="00u" + "".join(letters))


def _client(client: Client) -> Client:
    return replace(client, id_token_alg="RS256")  # noqa: S106  # nosec B106


def _document(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"id_token_signing_alg_values_supported": ["RS256"]}


def _paths(prefix: str) -> dict[str, str]:
    return {
        **DEFAULT_PROFILE.paths,
        "authorize": f"{prefix}/v1/authorize",
        "token": f"{prefix}/v1/token",
        "userinfo": f"{prefix}/v1/userinfo",
        "jwks": f"{prefix}/v1/keys",
        "logout": f"{prefix}/v1/logout",
        "introspect": f"{prefix}/v1/introspect",
        "revoke": f"{prefix}/v1/revoke",
        "par": f"{prefix}/v1/par",
        "register": f"{prefix}/v1/clients",
        "device_authorization": f"{prefix}/v1/device/authorize",
    }


OKTA_PROFILE = replace(
    DEFAULT_PROFILE,
    name="okta",
    paths=_paths(""),
    access_token_typ=None,
    access_token_alg="RS256",  # noqa: S106  # nosec B106
    access_token_claims=_access_token_claims,
    id_token_claims=_id_token_claims,
    user_claims=_user_claims,
    claims_supported=_CLAIMS_SUPPORTED,
    signing_algorithms=("RS256",),
    token_id_prefix="AT.",  # noqa: S106  # nosec B106
    person=_person,
    client=_client,
    document=_document,
)
OKTA_ORG_PROFILE = replace(OKTA_PROFILE, name="okta-org", paths=_paths("/oauth2"), opaque_prefix="")
