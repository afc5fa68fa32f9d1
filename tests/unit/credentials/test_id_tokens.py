"""ID tokens of a provider, from their text to checked claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secure_api.credentials.id_tokens import verify_id_token
from secure_api.credentials.issuer_keys import IssuerKeys, issuer_keys_of
from secure_api.credentials.providers import load_providers
from secure_api.errors import InvalidToken, ServiceUnavailable
from secure_api.protocol.id_token import IdTokenClaims
from secure_api.protocol.reasons import Reason
from tests.unit.credentials import token_workshop as shop
from tests.unit.credentials.token_workshop import GOOGLE_CLAIMS, GOOGLE_HEADER, compact, without

VALID = compact(GOOGLE_HEADER, GOOGLE_CLAIMS, "google")


@pytest.fixture
def client() -> shop.DocumentClient:
    return shop.DocumentClient()


@pytest.fixture
def keys(tmp_path: Path, client: Any) -> dict[str, IssuerKeys]:
    path = tmp_path / "providers.toml"
    path.write_text(shop.PROVIDERS)
    return dict(issuer_keys_of(load_providers(path, {}), lambda _: client, lambda: 0.0))


def verify(token: str, keys: IssuerKeys) -> IdTokenClaims:
    return verify_id_token(token, keys, nonce="n-1", now=shop.NOW)


def test_id_token_in_googles_shape_is_accepted(keys: dict[str, IssuerKeys]) -> None:
    """Subject, verified email and hosted domain come out."""
    claims = verify(VALID, keys["google"])
    assert (claims.subject, claims.email, claims.email_verified) == (GOOGLE_CLAIMS["sub"], "alice@example.com", True)
    assert claims.hosted_domain == "example.com"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (compact(GOOGLE_HEADER, GOOGLE_CLAIMS, "attacker"), Reason.BAD_SIGNATURE),
        (compact(GOOGLE_HEADER, {**GOOGLE_CLAIMS, "iss": shop.MOCK}, "google"), Reason.WRONG_ISSUER),
        (compact(GOOGLE_HEADER, {**GOOGLE_CLAIMS, "iss": "accounts.google.com"}, "google"), Reason.WRONG_ISSUER),
        (compact({**GOOGLE_HEADER, "alg": "HS256"}, GOOGLE_CLAIMS, "google"), Reason.ALGORITHM_NOT_ALLOWED),
        (compact({**GOOGLE_HEADER, "alg": "ES256"}, GOOGLE_CLAIMS, "google"), Reason.ALGORITHM_NOT_ALLOWED),
        (compact(without(GOOGLE_HEADER, "kid"), GOOGLE_CLAIMS, "google"), Reason.KEY_ID_MISSING),
        (compact({**GOOGLE_HEADER, "kid": "x"}, GOOGLE_CLAIMS, "google"), Reason.UNKNOWN_KEY),
        (compact({**GOOGLE_HEADER, "typ": "at+jwt"}, GOOGLE_CLAIMS, "google"), Reason.WRONG_TYPE),
        (compact(GOOGLE_HEADER, {**GOOGLE_CLAIMS, "aud": "other"}, "google"), Reason.WRONG_AUDIENCE),
        (compact(GOOGLE_HEADER, {**GOOGLE_CLAIMS, "azp": "other"}, "google"), Reason.WRONG_PARTY),
        (compact(GOOGLE_HEADER, {**GOOGLE_CLAIMS, "nonce": "other"}, "google"), Reason.NONCE_MISMATCH),
        (compact(shop.HEADER, shop.CLAIMS), Reason.WRONG_ISSUER),
        ("ya29.opaque", Reason.MALFORMED),
    ],
)
def test_wrong_id_token_cannot_sign_anyone_in(token: str, reason: Reason, keys: dict[str, IssuerKeys]) -> None:
    """The valid one passes first; an ID token of another trusted issuer is not taken in its place."""
    verify(VALID, keys["google"])
    with pytest.raises(InvalidToken) as refusal:
        verify(token, keys["google"])
    assert refusal.value.reason == reason


def test_id_token_of_a_wrong_algorithm_cannot_cause_a_fetch(
    keys: dict[str, IssuerKeys], client: shop.DocumentClient
) -> None:
    """It is refused before its key is looked up; the valid one fetches metadata and keys."""
    with pytest.raises(InvalidToken):
        verify(compact({**GOOGLE_HEADER, "alg": "ES256"}, GOOGLE_CLAIMS, "google"), keys["google"])
    assert client.fetched == []
    verify(VALID, keys["google"])
    assert len(client.fetched) == 2


def test_access_token_cannot_sign_anyone_in(keys: dict[str, IssuerKeys]) -> None:
    """An access token of the very same issuer, even with our client as audience, is no ID token."""
    claims = {**shop.CLAIMS, "aud": "shop-web", "nonce": "n-1"}
    assert verify(compact({**shop.HEADER, "typ": "JWT"}, claims), keys["mock"]).subject == "alice"
    with pytest.raises(InvalidToken) as refusal:
        verify(compact(shop.HEADER, claims), keys["mock"])
    assert refusal.value.reason == Reason.WRONG_TYPE


def test_provider_without_a_client_takes_no_id_tokens(keys: dict[str, IssuerKeys]) -> None:
    """Nobody could be the audience."""
    verify(VALID, keys["google"])
    with pytest.raises(ServiceUnavailable):
        verify(compact(shop.OKTA_HEADER, shop.OKTA_CLAIMS, "okta"), keys["okta"])
