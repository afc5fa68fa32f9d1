"""The access-token profiles that a provider's table can name. A table may override single members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from secure_api.protocol.rfc9068 import AccessTokenProfile

_INTROSPECTED: Final = AccessTokenProfile(
    token_types=frozenset({""}), required_claims=frozenset({"sub", "client_id"}), max_lifetime_seconds=86_400
)

# None: the provider's access tokens are opaque to us, so no JWT of this issuer is ever one of them.
PROFILES: Final[Mapping[str, AccessTokenProfile | None]] = MappingProxyType(
    {
        # RFC 9068 to the letter.
        "rfc9068": AccessTokenProfile(),
        # Any other OIDC server with JWT access tokens: no `typ` of their own, so the audience, the claims
        # that only ID tokens carry, and the client claim tell them from ID tokens.
        "oidc": AccessTokenProfile(
            token_types=frozenset({"at+jwt", "jwt", ""}),
            client_id_claim="azp",
            required_claims=frozenset({"sub", "azp", "iat"}),
            max_lifetime_seconds=86_400,
        ),
        # Okta, custom authorization server: `sub` is the login name (it changes when a person marries),
        # `uid` the stable id that ID tokens carry as `sub`; `uid` is absent in client-credentials tokens.
        "okta": AccessTokenProfile(
            token_types=frozenset({"at+jwt", "jwt", ""}),
            algorithms=("RS256",),
            subject_claim="uid",
            client_id_claim="cid",
            scope_claim="scp",
            scope_form="list",
            required_claims=frozenset({"sub", "cid", "scp", "iat", "jti"}),
            max_lifetime_seconds=86_400,
        ),
        # Opaque tokens, about which the issuer is asked (RFC 7662). Its answer has the names of RFC 7662 §2.2.
        "introspection": _INTROSPECTED,
        # Okta's org server: its tokens look like JWTs, but their keys are not published and only Okta may
        # read them. `sub` is the login name, `uid` the stable id; `aud` is the org's own address.
        "okta-org": replace(_INTROSPECTED, subject_claim="uid"),
        # Sign-in and ID tokens only: Google.
        "login-only": None,
    }
)

# Profiles whose tokens are never checked here: the issuer is asked.
INTROSPECTED: Final = frozenset({"introspection", "okta-org"})
