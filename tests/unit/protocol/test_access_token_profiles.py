"""Access-token claims checked by themselves: what a profile can leave out, and what stays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from secure_api.errors import InvalidToken
from secure_api.protocol.reasons import Reason
from secure_api.protocol.rfc9068 import AccessTokenClaims, AccessTokenProfile, validate_access_token_claims

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
BARE = AccessTokenProfile(required_claims=frozenset({"sub"}), max_lifetime_seconds=3600)
CLAIMS: dict[str, Any] = {"iss": "https://idp.example", "aud": "api", "sub": "alice", "exp": SECONDS + 600}


def validate(claims: dict[str, Any], profile: AccessTokenProfile = BARE) -> AccessTokenClaims:
    return validate_access_token_claims(
        {"typ": "at+jwt"}, claims, profile=profile, issuer="https://idp.example", audience={"api", "api2"}, now=NOW
    )


def test_least_that_a_profile_can_ask_for() -> None:
    """Without `iat`, client, scope and groups the rest is None or empty, never made up."""
    found = validate(CLAIMS)
    assert (found.subject, found.client_id, found.issued_at, found.token_id) == ("alice", None, None, None)
    assert (found.scopes, found.groups, found.amr, found.confirmation) == (frozenset(), (), (), None)
    assert found.expires_at == datetime(2026, 11, 22, 12, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iss": "https://other.example"}, Reason.WRONG_ISSUER),
        ({"aud": "api3"}, Reason.WRONG_AUDIENCE),
        ({"exp": SECONDS + 3631}, Reason.LIFETIME_TOO_LONG),
        ({"iat": SECONDS + 30, "exp": SECONDS + 3631}, Reason.LIFETIME_TOO_LONG),
        ({"sub": None}, Reason.CLAIM_INVALID),
    ],
)
def test_profile_cannot_waive_the_rest(change: dict[str, Any], reason: Reason) -> None:
    """Issuer, audience, expiry and lifetime hold under every profile, without `iat` as well."""
    validate({**CLAIMS, "exp": SECONDS + 3630})
    with pytest.raises(InvalidToken) as refusal:
        validate({**CLAIMS, **change})
    assert refusal.value.reason == reason


def test_subject_is_demanded_even_where_no_profile_does() -> None:
    """A token about nobody is of no use."""
    profile = AccessTokenProfile(required_claims=frozenset())
    validate(CLAIMS, profile)
    with pytest.raises(InvalidToken) as refusal:
        validate({name: value for name, value in CLAIMS.items() if name != "sub"}, profile)
    assert refusal.value.reason == Reason.CLAIM_MISSING


@pytest.mark.parametrize(("subject", "for_itself"), [("cli@clients", True), ("cli", False), ("alice", False)])
def test_client_subject_of_another_dialect_is_recognised(subject: str, *, for_itself: bool) -> None:
    """Auth0 writes `<client id>@clients` where RFC 9068 writes the client id."""
    profile = AccessTokenProfile(
        required_claims=frozenset({"sub"}), client_id_claim="azp", client_subject="{client_id}@clients"
    )
    assert validate({**CLAIMS, "azp": "cli", "sub": subject}, profile).acts_as_client is for_itself


def test_groups_are_found_along_a_path() -> None:
    """Keycloak nests them; a missing step is no group, a step that is no object is an error."""
    profile = AccessTokenProfile(required_claims=frozenset({"sub"}), groups_claim=("realm_access", "roles"))
    assert validate({**CLAIMS, "realm_access": {"roles": ["a", "b"]}}, profile).groups == ("a", "b")
    assert validate(CLAIMS, profile).groups == ()
    assert validate({**CLAIMS, "realm_access": {}}, profile).groups == ()
    with pytest.raises(InvalidToken):
        validate({**CLAIMS, "realm_access": ["roles"]}, profile)
