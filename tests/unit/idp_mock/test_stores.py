"""The stores in memory, on SQLite and on PostgreSQL keep the same promises, between processes too."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from idp_mock.app import create_app
from idp_mock.config import Config
from idp_mock.stores import Store, Stores, new_secret
from idp_mock.stores.records import Authentication, Grant
from idp_mock.stores.sql import open_database
from idp_mock.testing import CLI_REDIRECT, pkce_pair
from idp_mock.toml_file import ConfigError
from tests.support.machine import POSTGRESQL_URL

ISSUER = "http://localhost:9000"
ENVIRONMENT = {"SHOP_WEB_CLIENT_SECRET": "s" * 40, "IDP_MOCK_REGISTRATION_TOKEN": "r" * 40}
GRANT = Grant("g", "c", ("openid",), ("https://api.example",), Authentication("u", 1, "pwd", ("pwd",), "s"), 9.5)
KINDS = ["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.requires("postgresql"))]


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Stores]:
    if request.param == "memory":
        yield Stores.in_memory(clock)
        return
    url = f"sqlite:///{tmp_path / 'idp.db'}" if request.param == "sqlite" else POSTGRESQL_URL
    engine = open_database(url)
    issuer = f"https://idp.example/{new_secret()}"
    yield Stores.in_database(engine, issuer, clock)
    clean(engine, issuer)


def clean(engine: Engine, issuer: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM idp_records WHERE issuer LIKE :issuer"), {"issuer": f"{issuer}%"})
    engine.dispose()


def test_a_record_comes_back_as_it_was_until_its_time(stores: Stores, clock: Clock) -> None:
    """Checklist 32: nested records and tuples survive; at the end nothing is found, changed or taken."""
    stores.grants.put("g", GRANT, 60)
    clock.now += 59.9
    assert stores.grants.get("g") == GRANT
    assert len(stores.grants) == 1
    clock.now += 0.1
    assert stores.grants.get("g") is None
    assert stores.grants.change("g", lambda grant: grant) is None
    assert stores.grants.remove("g") is None
    assert len(stores.grants) == 0


def test_kinds_do_not_meet(stores: Stores) -> None:
    stores.user_codes.put("k", "x", 60)
    stores.consents.put("k", frozenset({"a", "b"}), 60)
    assert (stores.user_codes.get("k"), stores.consents.get("k")) == ("x", frozenset({"a", "b"}))
    assert stores.user_codes.remove("k") == "x"
    assert stores.consents.get("k") is not None


def test_a_prefix_finds_live_records_only(stores: Stores, clock: Clock) -> None:
    """A wildcard of SQL in a key is a letter like any other."""
    store = stores.user_codes
    for key, ttl in (("a_1", 60), ("a_2", 5), ("ab3", 60), ("A_4", 60)):
        store.put(key, key, ttl)
    clock.now += 10
    assert store.with_prefix("a_") == [("a_1", "a_1")]


def test_an_ended_record_makes_room(stores: Stores, clock: Clock) -> None:
    """Checklist 24, 42: a replay within the time is refused, the same value after it is new."""
    assert stores.seen.add("jti", True, 60)
    assert not stores.seen.add("jti", True, 60)
    clock.now += 60
    assert stores.seen.add("jti", True, 60)


@pytest.mark.parametrize("call", ["add", "change", "remove"])
def test_of_sixteen_at_once_one_wins(stores: Stores, call: str) -> None:
    """Checklist 31, 38, 44: single use is decided by the store, whichever it is."""
    store: Store[int] = stores.failures
    if call != "add":
        store.put("k", 0, 60)
    calls: dict[str, Any] = {
        "add": lambda _: store.add("k", 1, 60),
        "change": lambda _: store.change("k", lambda count: count + 1) == 0,
        "remove": lambda _: store.remove("k") is not None,
    }
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(calls[call], range(48))) == 1
    if call == "change":
        assert store.get("k") == 48


# --- the whole provider on a database ---


def app_on(url: str, issuer: str) -> Flask:
    return create_app(Config(issuers=(issuer,), environment=ENVIRONMENT, auto_login=True, store=url))


def tokens_of(app: Flask) -> dict[str, str]:
    verifier, challenge = pkce_pair()
    query = {
        "client_id": "example-cli",
        "redirect_uri": CLI_REDIRECT,
        "response_type": "code",
        "scope": "openid offline_access",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "login_hint": "alice",
    }
    issuer = next(iter(app.extensions["idp_mock"].values()))
    location = app.test_client().get(f"{issuer.path}/authorize", query_string=query).headers["Location"]
    code = parse_qs(urlsplit(location).query)["code"][0]
    form = {
        "grant_type": "authorization_code",
        "client_id": "example-cli",
        "code": code,
        "redirect_uri": CLI_REDIRECT,
        "code_verifier": verifier,
    }
    body: dict[str, str] = app.test_client().post(f"{issuer.path}/token", data=form).get_json()
    return {**body, "code": code}


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_second_process_knows_what_the_first_one_did(kind: str, tmp_path: Path) -> None:
    """Tokens, keys, refresh families and registered clients survive a restart and are shared between processes."""
    url = f"sqlite:///{tmp_path / 'idp.db'}" if kind == "sqlite" else POSTGRESQL_URL
    issuer = f"{ISSUER}/{new_secret()}"
    path = urlsplit(issuer).path
    first, second = app_on(url, issuer), app_on(url, issuer)
    body = tokens_of(first)
    userinfo = {"headers": {"Authorization": f"Bearer {body['access_token']}"}}
    assert second.test_client().get(f"{path}/userinfo", **userinfo).status_code == 200
    wish = {"redirect_uris": ["https://new.example/cb"]}
    headers = {"Authorization": f"Bearer {'r' * 40}"}
    made = first.test_client().post(f"{path}/register", json=wish, headers=headers).get_json()
    assert made["client_id"] in second.extensions["idp_mock"][issuer].registry.clients
    form = {"grant_type": "refresh_token", "client_id": "example-cli", "refresh_token": body["refresh_token"]}
    with ThreadPoolExecutor(16) as pool:
        apps = [first, second] * 8
        answers = list(pool.map(lambda app: app.test_client().post(f"{path}/token", data=form), apps))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 15
    assert second.test_client().get(f"{path}/userinfo", **userinfo).status_code == 401
    clean(open_database(url), issuer)


def test_nothing_in_the_database_can_be_presented(tmp_path: Path) -> None:
    """Checklist 43, 62: no code, token, cookie or secret is stored, only digests."""
    file = tmp_path / "idp.db"
    app = app_on(f"sqlite:///{file}", ISSUER)
    body = tokens_of(app)
    headers = {"Authorization": f"Bearer {'r' * 40}"}
    wish = {"redirect_uris": ["https://new.example/cb"]}
    made = app.test_client().post("/register", json=wish, headers=headers).get_json()
    rows = sqlite3.connect(file).execute("SELECT key || ' ' || record FROM idp_records WHERE kind != 'keys'").fetchall()
    stored = "\n".join(row[0] for row in rows)
    assert "example-cli" in stored
    secrets = [body["code"], body["refresh_token"], made["client_secret"], made["registration_access_token"]]
    secrets += [body["access_token"], body["access_token"].rpartition(".")[2], "s" * 40]
    assert not [secret for secret in secrets if secret in stored]


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "nonsense", "sqlite:////no/such/dir/x"]
)
def test_a_database_that_cannot_be_used_stops_the_start(url: str, tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path / 'idp.db'}").dispose()
    with pytest.raises(ConfigError, match="--store"):
        open_database(url)
