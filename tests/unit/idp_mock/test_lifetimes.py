"""Codes, tokens, sessions and refresh tokens end when they should, on a clock that the test turns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from idp_mock.app import create_app
from idp_mock.config import Config, Lifetimes
from idp_mock.testing import CLI_REDIRECT, pkce_pair

ISSUER = "http://localhost:9000"
DAY = 86_400
OFFLINE = "openid orders:read offline_access"


@dataclass
class World:
    """One provider in this process, with a clock."""

    now: float = 1_800_000_000.0
    verifier: str = ""
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        config = Config(
            issuers=(ISSUER,),
            environment={"SHOP_WEB_CLIENT_SECRET": "s" * 40},
            auto_login=True,
            clock=lambda: self.now,
            lifetimes=Lifetimes(refresh_idle=7 * DAY, refresh_absolute=30 * DAY),
        )
        self.client = create_app(config).test_client()

    def authorize(self, **changes: str) -> dict[str, str]:
        self.verifier, challenge = pkce_pair()
        usual = {
            "client_id": "example-cli",
            "redirect_uri": CLI_REDIRECT,
            "response_type": "code",
            "scope": "openid orders:read",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        response = self.client.get("/authorize", query_string={**usual, **changes})
        query = parse_qs(urlsplit(response.headers["Location"]).query)
        return {name: values[0] for name, values in query.items()}

    def token(self, **form: str) -> TestResponse:
        return self.client.post("/token", data={"client_id": "example-cli", **form})

    def redeem(self, code: str) -> TestResponse:
        return self.token(
            grant_type="authorization_code", code=code, redirect_uri=CLI_REDIRECT, code_verifier=self.verifier
        )

    def tokens(self, **changes: str) -> dict[str, Any]:
        response = self.redeem(self.authorize(login_hint="alice", **changes)["code"])
        assert response.status_code == 200
        body: dict[str, Any] = response.get_json()
        return body

    def refresh(self, token: str) -> TestResponse:
        return self.token(grant_type="refresh_token", refresh_token=token)

    def userinfo(self, token: str) -> int:
        return self.client.get("/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code


@pytest.fixture
def world() -> World:
    return World()


def test_a_code_lives_sixty_seconds(world: World) -> None:
    """Checklist 32: redeemed at 59 seconds, refused at 60."""
    code = world.authorize(login_hint="alice")["code"]
    world.now += 59
    assert world.redeem(code).status_code == 200
    code = world.authorize(login_hint="alice")["code"]
    world.now += 60
    assert world.redeem(code).get_json()["error"] == "invalid_grant"


def test_a_late_second_use_of_a_code_still_revokes(world: World) -> None:
    """Checklist 31: after the code's minute, while its tokens live."""
    code = world.authorize(login_hint="alice", scope=OFFLINE)["code"]
    body = world.redeem(code).get_json()
    world.now += 200
    assert world.userinfo(body["access_token"]) == 200
    assert world.redeem(code).status_code == 400
    assert world.userinfo(body["access_token"]) == 401
    assert world.refresh(body["refresh_token"]).get_json()["error"] == "invalid_grant"


def test_an_access_token_lives_five_minutes(world: World) -> None:
    body = world.tokens()
    world.now += 299
    assert world.userinfo(body["access_token"]) == 200
    world.now += 1
    assert world.userinfo(body["access_token"]) == 401


def test_an_unused_refresh_token_ends(world: World) -> None:
    """Checklist 39: idle expiry; each use starts the time anew."""
    token = world.tokens(scope=OFFLINE)["refresh_token"]
    world.now += 7 * DAY - 1
    token = world.refresh(token).get_json()["refresh_token"]
    world.now += 7 * DAY
    assert world.refresh(token).get_json()["error"] == "invalid_grant"


def test_a_family_ends_however_busy_it_is(world: World) -> None:
    """Checklist 39: absolute expiry, 30 days after the grant."""
    token = world.tokens(scope=OFFLINE)["refresh_token"]
    for _ in range(5):
        world.now += 6 * DAY - 1
        response = world.refresh(token)
        assert response.status_code == 200
        token = response.get_json()["refresh_token"]
    world.now += 5
    assert world.refresh(token).get_json()["error"] == "invalid_grant"


def test_a_session_ends_after_eight_hours(world: World) -> None:
    """ASVS v5.0.0-7.3.2: an absolute session lifetime."""
    world.authorize(client_id="example-cli", login_hint="alice")
    assert world.authorize(prompt="none")["error"] == "consent_required"
    world.now += 8 * 3600 - 1
    assert world.authorize(prompt="none")["error"] == "consent_required"
    world.now += 1
    assert world.authorize(prompt="none")["error"] == "login_required"


def test_a_page_left_open_too_long_is_refused(world: World) -> None:
    """A waiting request ends after ten minutes; a second one does not end the first one's page."""
    query = {
        "client_id": "example-cli",
        "redirect_uri": CLI_REDIRECT,
        "response_type": "code",
        "scope": "openid",
        "code_challenge": pkce_pair()[1],
        "code_challenge_method": "S256",
    }
    first = world.client.get("/authorize", query_string=query).headers["Location"]
    world.now += 300
    second = world.client.get("/authorize", query_string=query).headers["Location"]
    assert world.client.get(first).status_code == 200
    world.now += 300
    assert world.client.get(first).status_code == 400
    assert world.client.get(second).status_code == 200
    world.now += 300
    assert world.client.get(second).status_code == 400
