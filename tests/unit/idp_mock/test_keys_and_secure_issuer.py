"""Signing keys, the cookie of an https issuer, and the rule that the two applications share no code."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import pytest

from idp_mock.app import create_app
from idp_mock.config import Config
from idp_mock.keys import KeyRing
from idp_mock.testing import CLI_REDIRECT, pkce_pair

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {"SHOP_WEB_CLIENT_SECRET": "s" * 40}


def test_a_key_ring_verifies_only_what_it_signed_as_that_type() -> None:
    """RFC 8725 §3.11: explicit types; another ring's signature or another type is nothing."""
    ring, other = KeyRing(), KeyRing()
    token = ring.sign({"sub": "x"}, "ES256", "at+jwt")
    assert ring.verify(token, "at+jwt") == {"sub": "x"}
    assert ring.verify(token, "JWT") is None
    assert other.verify(token, "at+jwt") is None
    assert ring.verify(ring.sign({"sub": "x"}, "RS256", "JWT"), "JWT") == {"sub": "x"}


@pytest.mark.parametrize("garbage", ["", ".", "..", "a.b.c", "é.é.é", "e30.e30.", "e30.W10.AA", "\x00", "." * 500])
def test_garbage_is_not_a_token_and_not_an_error(garbage: str) -> None:
    assert KeyRing().verify(garbage, "JWT") is None


def test_an_https_issuer_sets_a_host_cookie_and_hsts() -> None:
    """ASVS v5.0.0-3.3.1 and 3.4.1: __Host-, Secure, Path=/, and strict transport security."""
    app = create_app(Config(issuers=("https://idp.example",), environment=ENVIRONMENT, auto_login=True))
    query = {
        "client_id": "example-cli",
        "redirect_uri": CLI_REDIRECT,
        "response_type": "code",
        "scope": "openid",
        "code_challenge": pkce_pair()[1],
        "code_challenge_method": "S256",
        "login_hint": "alice",
    }
    response = app.test_client().get("/authorize", query_string=query)
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("__Host-idp_")
    assert "Secure" in cookie
    assert "Path=/;" in cookie
    assert "Domain" not in cookie
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_tokens_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Authlib logs whole token responses at DEBUG: nothing of it is let through."""
    caplog.set_level(logging.DEBUG)
    client = create_app(Config(issuers=("http://localhost:9000",), environment=ENVIRONMENT)).test_client()
    client.post("/token", data={"grant_type": "authorization_code", "client_id": "example-cli", "code": "c-o-d-e"})
    assert "c-o-d-e" not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("authlib")]


@pytest.mark.parametrize(("package", "other"), [("idp_mock", "secure_api"), ("secure_api", "idp_mock")])
def test_the_two_applications_share_no_code(package: str, other: str) -> None:
    """A bug in one must not be confirmed by the same bug in the other."""
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not [name for name in names if name.split(".")[0] == other], file
