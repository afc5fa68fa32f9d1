"""The one issuer that lets PKCE be left out, as the OpenID Basic plan does; every other refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from idp_mock.testing import IdpServer, OAuthClient, answer_of

WEB = "http://127.0.0.1:8000/auth/callback/mock"
NO_PKCE: dict[str, None] = {"code_challenge": None, "code_challenge_method": None}


@pytest.fixture(scope="module")
def provider() -> Iterator[IdpServer]:
    with IdpServer(["--auto-login", "--test-endpoints", "--conformance-issuer", "/conformance"]) as server:
        yield server


def web(idp: IdpServer, path: str = "/conformance") -> OAuthClient:
    return OAuthClient(idp.issuer + path, "shop-web", WEB, "openid", secret=idp.shop_web_secret)


def test_a_confidential_client_with_a_nonce_may_omit_pkce(provider: IdpServer) -> None:
    """OIDF Basic OP plan: no code_challenge, and the ID token carries the nonce."""
    client = web(provider)
    code = client.code("alice", nonce="n-1", **NO_PKCE)
    assert client.token(code=code, code_verifier=None).status_code == 200


def test_elsewhere_nobody_may(provider: IdpServer) -> None:
    """Checklist 33: the main issuer and the imitated ones refuse the same request."""
    assert web(provider).code("alice", **NO_PKCE)
    for path in ("", "/google", "/okta/oauth2/default"):
        assert web(provider, path).code("alice")
        assert answer_of(web(provider, path).authorize(login_hint="alice", **NO_PKCE).headers["Location"])["error"]


def test_the_exception_is_narrow(provider: IdpServer) -> None:
    """No nonce, or a public client: PKCE is required; a challenge that is sent is checked; plain is refused."""
    assert web(provider).code("alice", **NO_PKCE)
    public = OAuthClient(f"{provider.issuer}/conformance")
    for client, changes in ((web(provider), {"nonce": None}), (public, {})):
        refused = client.authorize(login_hint="alice", **{**NO_PKCE, **changes})
        assert answer_of(refused.headers["Location"])["error"] == "invalid_request"
    plain = web(provider).authorize(login_hint="alice", code_challenge_method="plain")
    assert answer_of(plain.headers["Location"])["error"] == "invalid_request"
    client = web(provider)
    code = client.code("alice")
    assert client.token(code=code, code_verifier="x" * 43).json()["error"] == "invalid_grant"


def test_a_verifier_without_a_challenge_is_refused(provider: IdpServer) -> None:
    """Checklist 34 [RFC 9700 §4.8.2]: somebody took the challenge out of the request."""
    client = web(provider)
    assert client.token(code=client.code("alice", **NO_PKCE), code_verifier=None).status_code == 200
    code = client.code("alice", **NO_PKCE)
    assert client.token(code=code).json()["error"] == "invalid_grant"


def test_it_needs_the_test_endpoints() -> None:
    with pytest.raises(RuntimeError, match="--test-endpoints"):
        IdpServer(["--conformance-issuer", "/conformance"])
