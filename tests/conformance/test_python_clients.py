"""Python clients that nobody here wrote: Authlib's and requests-oauthlib's, against the running provider."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session

from idp_mock.testing import TIMEOUT_SECONDS, pkce_pair
from tests.conformance.conftest import SECRET, Provider

WEB = "https://web.example/callback"
SCOPE = "openid profile offline_access"


def visit(url: str) -> str:
    """Where the browser comes back, with the code."""
    answer = requests.get(url, params={"login_hint": "alice"}, allow_redirects=False, timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def document(provider: Provider) -> dict[str, Any]:
    url = f"{provider.issuer}/.well-known/openid-configuration"
    found: dict[str, Any] = requests.get(url, timeout=TIMEOUT_SECONDS).json()
    return found


@pytest.fixture
def authlib(provider: Provider) -> Iterator[OAuth2Session]:
    """Authlib's session: code flow with S256, client_secret_basic."""
    with OAuth2Session(
        "web", SECRET, scope=SCOPE, redirect_uri=WEB, code_challenge_method="S256", default_timeout=TIMEOUT_SECONDS
    ) as session:
        yield session


def sign_in(authlib: OAuth2Session, provider: Provider) -> dict[str, Any]:
    metadata, verifier = document(provider), pkce_pair()[0]
    url, state = authlib.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
    token: dict[str, Any] = authlib.fetch_token(
        metadata["token_endpoint"], authorization_response=visit(url), state=state, code_verifier=verifier
    )
    return token


def test_authlib_completes_code_with_pkce_and_userinfo(authlib: OAuth2Session, provider: Provider) -> None:
    """RFC 6749 §4.1, RFC 7636: and its session then sends the token by itself."""
    assert sign_in(authlib, provider)["id_token"]
    assert authlib.get(document(provider)["userinfo_endpoint"]).json()["name"] == "Alice Ahlberg"


def test_authlib_refreshes_introspects_and_revokes(authlib: OAuth2Session, provider: Provider) -> None:
    """RFC 6749 §6, RFC 7662, RFC 7009."""
    metadata = document(provider)
    first = sign_in(authlib, provider)
    second = authlib.refresh_token(metadata["token_endpoint"], refresh_token=first["refresh_token"])
    assert second["refresh_token"] != first["refresh_token"]
    token = second["access_token"]
    assert authlib.introspect_token(metadata["introspection_endpoint"], token).json()["active"] is True
    assert authlib.revoke_token(metadata["revocation_endpoint"], token).status_code == 200
    assert authlib.introspect_token(metadata["introspection_endpoint"], token).json() == {"active": False}


def test_authlib_gets_tokens_for_itself(provider: Provider) -> None:
    """RFC 6749 §4.4."""
    with OAuth2Session("machine", SECRET, scope="orders:read", default_timeout=TIMEOUT_SECONDS) as session:
        token = session.fetch_token(document(provider)["token_endpoint"], grant_type="client_credentials")
    assert token["scope"] == "orders:read"
    assert "refresh_token" not in token


@pytest.mark.requires("requests-oauthlib")
def test_requests_oauthlib_completes_code_with_pkce_and_refresh(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 6749 §4.1 and §6, RFC 7636, with the oldest client library of Python."""
    module = importlib.import_module("requests_oauthlib")
    # Its own switch for plain http, which is only ever loopback here.
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    metadata = document(provider)
    with module.OAuth2Session("web", scope=SCOPE.split(), redirect_uri=WEB, pkce="S256") as session:
        url, _ = session.authorization_url(metadata["authorization_endpoint"])
        first = session.fetch_token(
            metadata["token_endpoint"],
            authorization_response=visit(url),
            client_secret=SECRET,
            include_client_id=True,
            timeout=TIMEOUT_SECONDS,
        )
        assert first["id_token"]
        assert session.get(metadata["userinfo_endpoint"], timeout=TIMEOUT_SECONDS).json()["name"] == "Alice Ahlberg"
        second = session.refresh_token(metadata["token_endpoint"], auth=("web", SECRET), timeout=TIMEOUT_SECONDS)
        assert second["refresh_token"] != first["refresh_token"]
