"""Access tokens that must not work, each beside one that does (checklist lines 1, 8, 9, 11, 15, 16)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from secure_api.seed import demo_id
from tests.support.shop import ALICE, Shop

ALICE_SUBJECT = "usr_01J9ALICE7Q2M"


def claims(shop: Shop, **changes: Any) -> dict[str, Any]:
    """The claims of a good access token of Alice; the mock takes away those that are None."""
    now = int(time.time())
    good = {
        "iss": shop.idp.issuer,
        "sub": ALICE_SUBJECT,
        "aud": shop.api,
        "client_id": "example-cli",
        "scope": "orders:read",
        "iat": now,
        "exp": now + 300,
        "jti": f"jti-{demo_id('jti', str(time.time_ns()))}",
    }
    return {**good, **changes}


def good_token(shop: Shop) -> str:
    return shop.idp.mint(claims(shop), header={"typ": "at+jwt"})


BAD_TOKENS: dict[str, Callable[[Shop], str]] = {
    "expired": lambda s: s.idp.mint(claims(s, exp=int(time.time()) - 120), header={"typ": "at+jwt"}),
    "not yet valid": lambda s: s.idp.mint(claims(s, nbf=int(time.time()) + 600), header={"typ": "at+jwt"}),
    "issued in the future": lambda s: s.idp.mint(claims(s, iat=int(time.time()) + 600), header={"typ": "at+jwt"}),
    "ten years long": lambda s: s.idp.mint(claims(s, exp=int(time.time()) + 315360000), header={"typ": "at+jwt"}),
    "unsigned": lambda s: s.idp.mint(claims(s), header={"typ": "at+jwt", "alg": "none"}, key="none"),
    "another key": lambda s: s.idp.mint(claims(s), header={"typ": "at+jwt"}, key="unknown"),
    "another audience": lambda s: s.idp.mint(claims(s, aud="https://other.example"), header={"typ": "at+jwt"}),
    "no audience": lambda s: s.idp.mint(claims(s, aud=None), header={"typ": "at+jwt"}),
    "another issuer": lambda s: s.idp.mint(claims(s, iss="https://evil.example"), header={"typ": "at+jwt"}),
    "an ID token": lambda s: s.code_flow(ALICE, "openid profile orders:read")["id_token"],
    "typ JWT": lambda s: s.idp.mint(claims(s), header={"typ": "JWT"}),
    "no subject": lambda s: s.idp.mint(claims(s, sub=None), header={"typ": "at+jwt"}),
    "no expiry": lambda s: s.idp.mint(claims(s, exp=None), header={"typ": "at+jwt"}),
    "no client": lambda s: s.idp.mint(claims(s, client_id=None), header={"typ": "at+jwt"}),
    "bound to a key": lambda s: s.idp.mint(claims(s, cnf={"jkt": "x" * 43}), header={"typ": "at+jwt"}),
    "no token at all": lambda _: "garbage",
    "empty": lambda _: "",
    "7,000 characters": lambda _: "e" * 7000,
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_client_cannot_use_a_token_that_is(shop: Shop, name: str) -> None:
    """401 `invalid_token` with a link to the metadata; one event names the reason, the answer does not."""
    assert shop.call("GET", "/api/v1/orders", good_token(shop)).status_code == 200
    answer = shop.call("GET", "/api/v1/orders", BAD_TOKENS[name](shop))
    assert answer.status_code == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert 'error="invalid_token"' in challenge
    assert f'resource_metadata="{shop.api}/.well-known/oauth-protected-resource"' in challenge
    [event] = shop.events_of(answer)
    assert event["event"] == "authn_token_refused"
    assert event["reason"]
    told = {name: value for name, value in answer.json().items() if name != "request_id"}
    assert told == {
        "type": f"{shop.api}/problems/invalid-token",
        "title": "Invalid token",
        "status": 401,
        "detail": "The access token is malformed, expired, revoked or not meant for this API.",
    }


def test_caller_without_a_token_gets_a_challenge_without_an_error(shop: Shop) -> None:
    """RFC 6750 §3.1: no error code where no credential was sent."""
    answer = shop.call("GET", "/api/v1/orders")
    assert answer.status_code == 401
    assert "error" not in answer.headers["WWW-Authenticate"].replace("resource_metadata", "")


def test_unknown_person_gets_account_required(shop: Shop) -> None:
    """A valid token of a subject without an account is 403: the token is good, the person is not known here."""
    assert shop.call("GET", "/api/v1/orders", good_token(shop)).status_code == 200
    token = shop.idp.mint(claims(shop, sub="usr_nobody"), header={"typ": "at+jwt"})
    answer = shop.call("GET", "/api/v1/orders", token)
    assert answer.status_code == 403
    assert answer.json()["type"].endswith("/problems/account-required")


def test_client_cannot_act_as_a_user_with_its_own_token(shop: Shop) -> None:
    """Client credentials (`sub` is the client) carry no person's rights (RFC 9700 §4.15)."""
    assert shop.call("GET", "/api/v1/orders", good_token(shop)).status_code == 200
    token = shop.idp.mint(claims(shop, sub="example-cli"), header={"typ": "at+jwt"})
    assert shop.call("GET", "/api/v1/orders", token).status_code == 403


def test_token_in_the_query_is_refused(shop: Shop) -> None:
    """A token in the address ends in logs and histories: it is not taken (RFC 6750 §2.3 is not implemented)."""
    token = good_token(shop)
    assert shop.call("GET", "/api/v1/orders", token).status_code == 200
    assert shop.call("GET", f"/api/v1/orders?access_token={token}").status_code == 401
