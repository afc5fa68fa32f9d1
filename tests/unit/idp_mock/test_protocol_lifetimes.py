"""Device codes, pushed requests, proofs and their limits, on a clock that the test turns; and growth of the memory."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from idp_mock.app import create_app
from idp_mock.config import Config
from idp_mock.toml_file import ConfigError
from tests.support.client_keys import ClientKey
from tests.unit.idp_mock.test_lifetimes import World

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
MEGABYTE = 1_000_000


@pytest.fixture
def world() -> World:
    return World()


def start(world: World) -> dict[str, Any]:
    body: dict[str, Any] = world.client.post("/device_authorization", data={"client_id": "example-cli"}).get_json()
    return body


def poll(world: World, started: dict[str, Any]) -> str:
    response = world.token(grant_type=DEVICE, device_code=started["device_code"])
    return str(response.get_json().get("error", "tokens"))


def enter(world: World, user_code: str) -> TestResponse:
    page = world.client.get("/device").get_data(as_text=True)
    hidden = dict(re.findall(r'name="(interaction|csrf_token)" value="([^"]+)"', page))
    return world.client.post("/device", data={**hidden, "user_code": user_code})


def test_a_device_that_polls_too_fast_is_slowed_down(world: World) -> None:
    """Checklist 49: slow_down adds five seconds each time, for good [RFC 8628 §3.5]."""
    started = start(world)
    assert poll(world, started) == "authorization_pending"
    world.now += 5
    assert poll(world, started) == "authorization_pending"
    world.now += 4
    assert poll(world, started) == "slow_down"
    world.now += 9
    assert poll(world, started) == "slow_down"
    world.now += 15
    assert poll(world, started) == "authorization_pending"


def test_a_device_code_expires(world: World) -> None:
    """Checklist 49: expired_token after ten minutes, and the page knows the code no more."""
    started = start(world)
    world.now += 599
    assert enter(world, started["user_code"]).status_code == 303
    assert poll(world, started) == "authorization_pending"
    world.now += 1
    assert enter(world, started["user_code"]).status_code == 400
    assert poll(world, started) == "expired_token"


def test_guessing_user_codes_ends(world: World) -> None:
    """Checklist 49: user_code throttling for an address, whatever browser; the right code helps no more either."""
    started = start(world)
    assert enter(world, started["user_code"]).status_code == 303
    assert [enter(world, "BBBB-BBBB").status_code for _ in range(21)] == [400] * 20 + [429]
    assert enter(world, started["user_code"]).status_code == 429
    world.now += 601
    assert enter(world, start(world)["user_code"]).status_code == 303


def test_guessing_in_one_form_ends_after_five_attempts(world: World) -> None:
    """Checklist 49: each form is good for five."""
    page = world.client.get("/device").get_data(as_text=True)
    hidden = dict(re.findall(r'name="(interaction|csrf_token)" value="([^"]+)"', page))
    answers = [world.client.post("/device", data={**hidden, "user_code": "x"}).status_code for _ in range(6)]
    assert answers == [400] * 4 + [429, 400]


def test_a_pushed_request_ends_after_ninety_seconds(world: World) -> None:
    """Checklist 44: under 600 s."""
    form = {
        "client_id": "example-cli",
        "redirect_uri": "http://127.0.0.1:51234/callback",
        "response_type": "code",
        "scope": "openid",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    for seconds, status in ((89, 303), (90, 400)):
        request_uri = world.client.post("/par", data=form).get_json()["request_uri"]
        world.now += seconds
        query = {"client_id": "example-cli", "request_uri": request_uri}
        assert world.client.get("/authorize", query_string=query).status_code == status


def test_a_proof_and_its_nonce_grow_old(world: World) -> None:
    """RFC 9449 §11.1: a proof of 60 seconds is refused, a nonce of four minutes is challenged again."""
    key, url = ClientKey(), "http://localhost:9000/token"
    code = world.authorize(login_hint="alice")["code"]
    form = {
        "grant_type": "authorization_code",
        "client_id": "example-cli",
        "code": code,
        "redirect_uri": "http://127.0.0.1:51234/callback",
        "code_verifier": world.verifier,
    }

    def send(**changes: Any) -> TestResponse:
        headers = {"DPoP": key.proof("POST", url, **{"iat": int(world.now), **changes})}
        return world.client.post("/token", data=form, headers=headers)

    nonce = send().headers["DPoP-Nonce"]
    assert send(nonce=nonce, iat=int(world.now) - 61).get_json()["error"] == "invalid_dpop_proof"
    assert send(nonce=nonce, iat=float("nan")).get_json()["error"] == "invalid_dpop_proof"
    world.now += 241
    assert send(nonce=nonce).get_json()["error"] == "use_dpop_nonce"
    world.now -= 241
    assert send(nonce=nonce).status_code == 200


def test_a_client_cannot_have_the_name_of_a_person(tmp_path: Path) -> None:
    """RFC 9700 §4.15: `sub` of a client's own token is the client id, so no user may have it."""
    users, clients = tmp_path / "users.toml", tmp_path / "clients.toml"
    clients.write_text(
        'default_resource = "https://api.example"\n[[clients]]\nclient_id = "service"\ntype = "confidential"\n'
        f'client_secret = "{"s" * 40}"\nscopes = []\ngrant_types = ["client_credentials"]\n'
    )
    for sub, fits in (("other", True), ("service", False)):
        users.write_text(f'[[users]]\nusername = "pat"\nsub = "{sub}"\nemail = "pat@example.org"\n')
        config = Config(issuers=("http://localhost:9000",), environment={}, users_file=users, clients_file=clients)
        if fits:
            create_app(config)
        else:
            with pytest.raises(ConfigError, match="'service' is also the sub of a user"):
                create_app(config)


def test_code_flows_in_a_row_do_not_fill_the_memory() -> None:
    """10,000 in a row stay under 20 MB: a tenth of that here, each tenth of a second, after a minute's settling in."""
    world = World()

    def flow() -> None:
        world.now += 0.1
        client = world.client
        world.client = client.application.test_client(use_cookies=False)
        query = world.authorize(login_hint="alice")
        assert parse_qs(urlsplit(f"?code={query['code']}").query)["code"]
        assert world.redeem(query["code"]).status_code == 200

    for _ in range(100):
        flow()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(1_000):
        flow()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 2 * MEGABYTE
