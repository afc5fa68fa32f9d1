"""Introspection responses in the shape of Okta's org server, and the profiles that read them."""

from __future__ import annotations

from typing import Any

import pytest

from secure_api.credentials.profiles import PROFILES
from secure_api.errors import InvalidToken
from secure_api.protocol.introspection import require_token_form, validate_introspection
from secure_api.protocol.reasons import Reason
from secure_api.protocol.rfc9068 import AccessTokenClaims
from tests.unit.credentials.token_workshop import NOW, SECONDS, without

ORG = "https://example.okta.com"
# Shape: developer.okta.com, "OpenID Connect & OAuth 2.0 API", `/introspect`, example response.
OKTA_ORG: dict[str, Any] = {
    "active": True,
    "token_type": "Bearer",
    "scope": "openid profile",
    "client_id": "a9VpZDRCeFh3Nkk2VdYa",
    "username": "john.doe@example.com",
    "exp": SECONDS + 3600,
    "iat": SECONDS,
    "sub": "john.doe@example.com",
    "aud": ORG,
    "iss": ORG,
    "jti": "AT.7P4KlczBYVcWLkxduEuKeZfeiNYkZIC9uGJ28Cc-YaI",
    "uid": "00uid4BxXw6I6TV4m0g3",
}


def read(response: dict[str, Any], profile: str = "okta-org") -> AccessTokenClaims:
    chosen = PROFILES[profile]
    assert chosen is not None
    return validate_introspection(response, profile=chosen, issuer=ORG, audience=[ORG], now=NOW)


def test_okta_org_answer_names_the_user_by_its_stable_id() -> None:
    claims = read(OKTA_ORG)
    assert (claims.subject, claims.client_id) == ("00uid4BxXw6I6TV4m0g3", "a9VpZDRCeFh3Nkk2VdYa")
    assert claims.scopes == {"openid", "profile"}
    assert not claims.acts_as_client


def test_generic_answer_names_the_user_by_sub() -> None:
    """RFC 7662 §2.2: `iss` may be missing, since the issuer itself answers."""
    assert read(without(OKTA_ORG, "iss", "uid", "jti"), "introspection").subject == "john.doe@example.com"


@pytest.mark.parametrize("active", [False, None, 1, "true", [True]])
def test_only_true_is_active(active: object) -> None:
    assert read(OKTA_ORG)
    with pytest.raises(InvalidToken) as refusal:
        read({**OKTA_ORG, "active": active})
    assert refusal.value.reason == Reason.INACTIVE


@pytest.mark.parametrize("token", ["", " ", "a b", "a\\b", "a\nb", "=a", "ü", "a,b"])
def test_a_text_that_is_no_token_has_no_token_form(token: str) -> None:
    require_token_form("abc-._~+/==")
    with pytest.raises(InvalidToken):
        require_token_form(token)


def test_a_token_that_is_too_long_is_not_sent_on() -> None:
    require_token_form("x" * 8192)
    with pytest.raises(InvalidToken) as refusal:
        require_token_form("x" * 8193)
    assert refusal.value.reason == Reason.TOO_LARGE
