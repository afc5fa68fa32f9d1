"""Imitates Google: where its endpoints are, what its tokens look like, and what it does not have.

Access tokens are opaque (`ya29.…`) and for Google's own APIs; ID tokens are RS256 with `azp`, `email_verified` and,
for people of an organisation, `hd`. No groups, no `acr`, `amr`, `auth_time` or `sid`, no end-session, introspection,
registration or pushed requests in the metadata, no scopes but `openid`, `email` and `profile`. A subject is a number
of 21 digits, made here from the users file's `sub`.

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

SCOPES = ("openid", "email", "profile")
# Accounts of these domains belong to nobody's organisation.
_CONSUMER_DOMAINS = frozenset({"gmail.com", "googlemail.com"})
_SUBJECT_START = 10**20
_DOCUMENT_MEMBERS = (
    "issuer",
    "authorization_endpoint",
    "device_authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "revocation_endpoint",
    "jwks_uri",
    "response_types_supported",
    "response_modes_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
    "scopes_supported",
    "token_endpoint_auth_methods_supported",
    "claims_supported",
    "code_challenge_methods_supported",
    "grant_types_supported",
    "authorization_response_iss_parameter_supported",
)
_SECRET_METHODS = ("client_secret_post", "client_secret_basic")
_GRANT_TYPES = ("authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code")


def _id_token_claims(facts: TokenFacts) -> Claims:
    claims: Claims = {
        "iss": facts.issuer,
        "azp": facts.client_id,
        "aud": facts.client_id,
        "sub": facts.person.sub,
        "iat": facts.issued_at,
        "exp": facts.expires_at,
    }
    domain = facts.person.email.rpartition("@")[2].lower()
    return claims if domain in _CONSUMER_DOMAINS else claims | {"hd": domain}


def _user_claims(user: User, scopes: Sequence[str]) -> Claims:
    claims: Claims = {}
    if "email" in scopes:
        claims |= {"email": user.email, "email_verified": user.email_verified}
    if "profile" in scopes:
        given, _, family = user.name.partition(" ")
        claims |= {
            "name": user.name,
            "given_name": given,
            "family_name": family,
            "picture": "https://lh3.googleusercontent.com/a/mock=s96-c",
        }
    return claims


def _person(user: User) -> User:
    digest = hashlib.sha256(f"google {user.sub}".encode()).digest()
    return replace(user, sub=str(_SUBJECT_START + int.from_bytes(digest) % _SUBJECT_START), groups=())


def _client(client: Client) -> Client:
    scopes = tuple(scope for scope in client.scopes if scope in SCOPES)
    return replace(client, scopes=scopes, id_token_alg="RS256")  # noqa: S106  # nosec B106


def _document(document: dict[str, Any]) -> dict[str, Any]:
    methods, grants = document["token_endpoint_auth_methods_supported"], document["grant_types_supported"]
    return {name: document[name] for name in _DOCUMENT_MEMBERS if name in document} | {
        "scopes_supported": list(SCOPES),
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": [name for name in _SECRET_METHODS if name in methods],
        "grant_types_supported": [name for name in _GRANT_TYPES if name in grants],
    }


GOOGLE_PROFILE = replace(
    DEFAULT_PROFILE,
    name="google",
    paths={
        **DEFAULT_PROFILE.paths,
        "authorize": "/o/oauth2/v2/auth",
        "token": "/token",  # nosec B105
        "userinfo": "/v1/userinfo",
        "jwks": "/oauth2/v3/certs",
        "revoke": "/revoke",
        "device_authorization": "/device/code",
    },
    access_token_alg="RS256",  # noqa: S106  # nosec B106
    id_token_claims=_id_token_claims,
    user_claims=_user_claims,
    claims_supported=(
        "aud",
        "email",
        "email_verified",
        "exp",
        "family_name",
        "given_name",
        "iat",
        "iss",
        "name",
        "picture",
        "sub",
    ),
    signing_algorithms=("RS256",),
    opaque_prefix="ya29.",
    person=_person,
    client=_client,
    document=_document,
)
