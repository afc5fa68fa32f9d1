"""Opaque access tokens over HTTP: the issuer is asked (RFC 7662), and its "no", its silence and its `exp` count."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy.orm import Session

from secure_api.credentials.revocation import revoke_token, text_reference
from secure_api.db import utc_now
from tests.support.issuers import add_account, provider_table, shop_with
from tests.support.shop import Shop
from tests.unit.credentials.token_workshop import compact
from tests.unit.outbound.loopback_server import LoopbackServer, answer_json, running_server

ORDERS = "/api/v1/orders"
TOKEN = "opaque-token-of-alice"


@dataclass
class OpaqueIssuer:
    """An issuer that knows what the test puts into `tokens`, and a shop that asks it."""

    shop: Shop
    server: LoopbackServer
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def state(self, **changes: Any) -> dict[str, Any]:
        """What the issuer says of a good token of Alice; None leaves a member out."""
        now = int(time.time())
        said = {
            "active": True,
            "sub": "alice",
            "aud": self.shop.api,
            "client_id": "cli",
            "scope": "orders:read",
            "iat": now,
            "exp": now + 300,
            **changes,
        }
        return {name: value for name, value in said.items() if value is not None}

    def answer(self, handler: Any) -> None:
        form = parse_qs(self.server.received[-1][1].decode())
        answer_json(self.tokens.get(form["token"][0], {"active": False}))(handler)

    def ask(self, token: str = TOKEN) -> Any:
        return self.shop.call("GET", ORDERS, token)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpaqueIssuer]:
    with running_server() as server, running_server() as google:
        secret = 'client_secret = "s3cret"\n'
        tables = provider_table("opaque", server.url, "introspection", f"{secret}introspection_cache_seconds = 2\n")
        tables += provider_table(
            "google", google.url, "login-only", 'display_name = "Google"\nopaque_token_prefixes = ["ya29."]\n'
        )
        with shop_with(tmp_path_factory.mktemp("opaque"), tables) as shop:
            add_account(shop.engine, server.url, "alice")
            yield OpaqueIssuer(shop, server)


@pytest.fixture
def issuer(running: OpaqueIssuer) -> OpaqueIssuer:
    """The issuer as it should be, with one good token that the API has seen to work."""
    url = running.server.url
    running.server.answers["/.well-known/openid-configuration"] = answer_json(
        {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/keys",
            "introspection_endpoint": f"{url}/introspect",
        }
    )
    running.server.answers["/introspect"] = running.answer
    running.tokens.clear()
    good = f"good-{time.time_ns()}"
    running.tokens[good] = running.state()
    answer = running.ask(good)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]
    return running


def test_the_issuer_is_asked_once_and_knows_who_asks(issuer: OpaqueIssuer) -> None:
    """With the client's own credentials, and not again while the answer is fresh."""
    issuer.tokens["asked-once"] = issuer.state()
    before = issuer.server.asked["/introspect"]
    assert [issuer.ask("asked-once").status_code for _ in range(3)] == [200, 200, 200]
    assert issuer.server.asked["/introspect"] == before + 1
    headers, body = issuer.server.received[-1]
    assert headers["Authorization"].startswith("Basic ")
    assert parse_qs(body.decode()) == {"token": ["asked-once"], "token_type_hint": ["access_token"]}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "not active": ({"active": False}, "inactive"),
    "active as a text": ({"active": "true"}, "inactive"),
    "no active": ({"active": None}, "inactive"),
    "for another API": ({"aud": "https://other.example"}, "wrong_audience"),
    "for nobody": ({"aud": None}, "claim_missing"),
    "of another issuer": ({"iss": "https://other.example"}, "wrong_issuer"),
    "expired": ({"exp": 1}, "expired"),
    "without end": ({"exp": None}, "claim_missing"),
    "without subject": ({"sub": None}, "claim_missing"),
    "without client": ({"client_id": None}, "claim_missing"),
    "not yet valid": ({"nbf": int(time.time()) + 10_000}, "not_yet_valid"),
    "bound to a key": ({"cnf": {"jkt": "x"}}, "sender_constrained"),
}


@pytest.mark.parametrize("name", BAD)
def test_client_cannot_use_an_opaque_token_that_is(issuer: OpaqueIssuer, name: str) -> None:
    changes, reason = BAD[name]
    token = f"bad-{time.time_ns()}"
    issuer.tokens[token] = issuer.state(**changes)
    answer = issuer.ask(token)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert [event["reason"] for event in issuer.shop.events_of(answer)] == [reason]


def test_client_cannot_use_a_token_that_its_issuer_revoked(issuer: OpaqueIssuer) -> None:
    """RFC 7009 at the provider is seen as soon as the kept answer is too old (here 2 s)."""
    issuer.tokens["revoked-there"] = issuer.state()
    assert issuer.ask("revoked-there").status_code == 200
    issuer.tokens["revoked-there"] = {"active": False}
    time.sleep(2.1)
    assert issuer.ask("revoked-there").status_code == 401


def test_client_cannot_use_an_opaque_token_that_was_revoked_here(issuer: OpaqueIssuer) -> None:
    """At once, kept answer or not."""
    issuer.tokens["revoked-here"] = issuer.state()
    assert issuer.ask("revoked-here").status_code == 200
    with Session(issuer.shop.engine) as session:
        revoke_token(session, text_reference("revoked-here"), until=utc_now() + timedelta(hours=1))
        session.commit()
    assert issuer.ask("revoked-here").status_code == 401


def test_a_kept_answer_ends_with_the_token(issuer: OpaqueIssuer) -> None:
    issuer.tokens["short"] = issuer.state(exp=int(time.time()) + 1)
    assert issuer.ask("short").status_code == 200
    before = issuer.server.asked["/introspect"]
    time.sleep(1.1)
    issuer.ask("short")
    assert issuer.server.asked["/introspect"] == before + 1


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_a_provider_that_does_not_answer_is_503(issuer: OpaqueIssuer, status: int) -> None:
    """Also where it refuses us: the token has not been judged, so the caller is not told that it is bad."""
    issuer.server.answers["/introspect"] = answer_json({"error": "invalid_client"}, status=status)
    answer = issuer.ask("unjudged")
    assert answer.status_code == 503
    assert "WWW-Authenticate" not in answer.headers


def test_a_token_in_the_form_of_a_jwt_is_asked_about_as_well(issuer: OpaqueIssuer) -> None:
    """Okta's org server sends such tokens. Their own claims are not believed, only what the issuer says."""
    header = {"alg": "RS256", "kid": "x"}
    mine = compact(header, {"iss": issuer.server.url, "sub": "alice", "jti": str(time.time_ns())})
    issuer.tokens[mine] = issuer.state()
    assert issuer.ask(mine).status_code == 200
    forged = compact(header, {"iss": issuer.server.url, "sub": "alice", "active": True})
    assert issuer.ask(forged).status_code == 401


@pytest.mark.parametrize("token", ["a b", "a\tb", "päss", json.dumps({"a": 1}).replace(" ", ""), "x" * 7000 + "%"])
def test_a_text_that_is_no_token_is_not_sent_on(issuer: OpaqueIssuer, token: str) -> None:
    before = issuer.server.asked["/introspect"]
    answer = issuer.shop.call("GET", ORDERS, headers={"Authorization": f"Bearer {token}".encode("latin-1")})
    assert answer.status_code == 401
    assert issuer.server.asked["/introspect"] == before


def test_google_access_token_is_refused_with_advice(issuer: OpaqueIssuer) -> None:
    """It is made for Google's own services: nobody is asked, and the caller learns what to do."""
    before = issuer.server.asked["/introspect"]
    answer = issuer.ask("ya29.a0AfH6SMBx-something")
    assert answer.status_code == 401
    problem = answer.json()
    assert problem["type"].endswith("/problems/foreign-token")
    assert "services of Google itself" in problem["detail"]
    assert "Sign in to this service with a browser" in problem["detail"]
    assert issuer.shop.call("GET", "/problems/foreign-token").status_code == 200
    assert issuer.server.asked["/introspect"] == before
