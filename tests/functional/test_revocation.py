"""Revocation over HTTP: what was revoked is refused by every worker on the very next request."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from secure_api.credentials.accounts import User, revoke_user_tokens
from secure_api.credentials.revocation import revoke_token, session_reference, text_reference, token_id_reference
from secure_api.db import utc_now
from secure_api.seed import demo_id
from tests.security.test_token_refusals import claims
from tests.support.shop import BOB, CUSTOMER_NAMES, Shop

BOB_SUBJECT = "usr_01J9BOBBB4X8K"
UNTIL = timedelta(hours=1)
REQUESTS = 12  # each on a connection of its own, so that both workers answer some


def token_for(shop: Shop, **changes: Any) -> str:
    return shop.idp.mint(claims(shop, **changes), header={"typ": "at+jwt"})


def statuses(shop: Shop, token: str) -> set[int]:
    return {shop.call("GET", "/api/v1/orders", token).status_code for _ in range(REQUESTS)}


def reasons(shop: Shop, token: str) -> list[Any]:
    answer = shop.call("GET", "/api/v1/orders", token)
    assert "revoked" not in answer.headers["WWW-Authenticate"]
    assert answer.json()["detail"].startswith("The access token is malformed, expired, revoked")
    return [event["reason"] for event in shop.events_of(answer)]


@pytest.mark.parametrize("name", ["jti", "sid", "text"])
def test_client_cannot_use_a_revoked_token(shop: Shop, name: str) -> None:
    """By its id, by its session or by its text: it worked on every worker, and now works on none."""
    ids = [{"jti": f"{name}-{number}-{time.time_ns()}", "sid": f"sid-{time.time_ns()}"} for number in (1, 2)]
    mine, other = (token_for(shop, **one) for one in ids)
    assert statuses(shop, mine) == {200}
    assert statuses(shop, other) == {200}
    reference = {
        "jti": token_id_reference(shop.idp.issuer, ids[0]["jti"]),
        "sid": session_reference(shop.idp.issuer, ids[0]["sid"]),
        "text": text_reference(mine),
    }[name]
    with Session(shop.engine) as session:
        revoke_token(session, reference, until=utc_now() + UNTIL)
        session.commit()
    assert statuses(shop, mine) == {401}
    assert reasons(shop, mine) == ["revoked"]
    assert statuses(shop, other) == {200}


def test_client_cannot_use_its_own_revoked_token(shop: Shop) -> None:
    """Client credentials have no user record; the revocation counts all the same."""
    jti = f"client-{time.time_ns()}"
    token = token_for(shop, sub="example-cli", jti=jti)
    assert statuses(shop, token) == {403}  # known, and allowed nothing here
    with Session(shop.engine) as session:
        revoke_token(session, token_id_reference(shop.idp.issuer, jti), until=utc_now() + UNTIL)
        session.commit()
    assert statuses(shop, token) == {401}


def test_client_cannot_use_any_token_of_a_user_from_before_the_revocation(shop: Shop) -> None:
    """All tokens of Bob end at once; one that is issued later works, and Alice's never stop."""
    bob = {"sub": BOB_SUBJECT}
    early, late = (token_for(shop, **bob, iat=int(time.time()) + shift) for shift in (-5, 5))
    alice = token_for(shop)
    assert [statuses(shop, token) for token in (early, late, alice)] == [{200}, {200}, {200}]
    user_id = demo_id("user", CUSTOMER_NAMES[BOB])
    try:
        with Session(shop.engine) as session:
            revoke_user_tokens(session, user_id)
            session.commit()
        assert [statuses(shop, token) for token in (early, late, alice)] == [{401}, {200}, {200}]
        assert reasons(shop, early) == ["revoked"]
    finally:
        change_user(shop, tokens_not_before=None)
    assert statuses(shop, early) == {200}


def test_disabled_user_cannot_use_a_token_that_just_worked(shop: Shop) -> None:
    token = token_for(shop, sub=BOB_SUBJECT)
    assert statuses(shop, token) == {200}
    try:
        change_user(shop, disabled=True)
        assert statuses(shop, token) == {401}
    finally:
        change_user(shop, disabled=False)
    assert statuses(shop, token) == {200}


def change_user(shop: Shop, **values: Any) -> None:
    with Session(shop.engine) as session:
        session.execute(update(User).where(User.id == demo_id("user", CUSTOMER_NAMES[BOB])).values(**values))
        session.commit()
