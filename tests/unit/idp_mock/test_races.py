"""Two requests that both saw a code, a refresh token or a page as unused: one of them still is the second.

The store holds both threads until each has read, which is the window that luck alone rarely hits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from idp_mock.app import create_app
from idp_mock.config import Config
from idp_mock.issuer import Issuer
from idp_mock.stores.memory import MemoryStore
from idp_mock.testing import CLI_REDIRECT, pkce_pair

ISSUER = "http://localhost:9000"


@pytest.fixture
def app() -> Flask:
    environment = {"SHOP_WEB_CLIENT_SECRET": "s" * 40}
    return create_app(Config(issuers=(ISSUER,), environment=environment, auto_login=True, one_click=True))


def issuer_of(app: Flask) -> Issuer:
    issuer: Issuer = app.extensions["idp_mock"][ISSUER]
    return issuer


def parameters(**changes: str) -> tuple[dict[str, str], str]:
    verifier, challenge = pkce_pair()
    usual = {
        "client_id": "example-cli",
        "redirect_uri": CLI_REDIRECT,
        "response_type": "code",
        "scope": "openid offline_access",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return {**usual, **changes}, verifier


def token_form(app: Flask) -> dict[str, str]:
    query, verifier = parameters(login_hint="alice")
    location = app.test_client().get("/authorize", query_string=query).headers["Location"]
    return {
        "grant_type": "authorization_code",
        "client_id": "example-cli",
        "code": parse_qs(urlsplit(location).query)["code"][0],
        "redirect_uri": CLI_REDIRECT,
        "code_verifier": verifier,
    }


def together(store: MemoryStore[Any], send: Callable[[], TestResponse], call: str = "get") -> list[TestResponse]:
    """Send twice at once; neither goes on after its first such call to the store before the other has made it too."""
    barrier = threading.Barrier(2, timeout=5)
    seen = threading.local()
    original = getattr(store, call)

    def held(*arguments: Any) -> Any:
        answer = original(*arguments)
        if not getattr(seen, "once", False):
            seen.once = True
            barrier.wait()
        return answer

    setattr(store, call, held)
    try:
        with ThreadPoolExecutor(2) as pool:
            return [future.result() for future in [pool.submit(send), pool.submit(send)]]
    finally:
        setattr(store, call, original)


def userinfo(app: Flask, token: str) -> int:
    return app.test_client().get("/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_code_read_twice_is_redeemed_once_and_revoked(app: Flask) -> None:
    """Checklist 31: reuse is decided when the code is marked, not when it is read."""
    form = token_form(app)
    answers = together(issuer_of(app).stores.codes, lambda: app.test_client().post("/token", data=form))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    won = next(answer for answer in answers if answer.status_code == 200)
    assert userinfo(app, won.get_json()["access_token"]) == 401


def test_a_refresh_token_read_twice_is_used_once_and_the_family_ends(app: Flask) -> None:
    """Checklist 38: the concurrent race."""
    first = app.test_client().post("/token", data=token_form(app)).get_json()
    assert userinfo(app, first["access_token"]) == 200
    form = {
        "grant_type": "refresh_token",
        "client_id": "example-cli",
        "refresh_token": first["refresh_token"],
    }
    answers = together(issuer_of(app).stores.refresh_tokens, lambda: app.test_client().post("/token", data=form))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    won = next(answer for answer in answers if answer.status_code == 200)
    assert userinfo(app, won.get_json()["access_token"]) == 401


@pytest.mark.parametrize(("choice", "call"), [("allow", "get"), ("allow", "change"), ("deny", "get")])
def test_a_page_sent_twice_answers_the_client_once(app: Flask, choice: str, call: str) -> None:
    """One interaction, one code: the second answer is the page that says so."""
    browser = app.test_client()
    query, _ = parameters()
    page = browser.get("/authorize", query_string=query).headers["Location"]
    stores = issuer_of(app).stores
    (interaction,) = [record for _, record in stores.interactions._entries.values()]
    form = {
        "interaction": parse_qs(urlsplit(page).query)["interaction"][0],
        "csrf_token": interaction.csrf_token,
    }
    consent = browser.post("/login", data={**form, "user": "alice"}).headers["Location"]
    assert browser.get(consent).status_code == 200
    cookie = browser.get_cookie(issuer_of(app).cookie_name)
    assert cookie is not None

    def send() -> TestResponse:
        client = app.test_client(use_cookies=False)
        headers = {"Cookie": f"{cookie.key}={cookie.value}"}
        return client.post("/consent", data={**form, choice: "1"}, headers=headers)

    assert sorted(answer.status_code for answer in together(stores.interactions, send, call)) == [303, 400]
