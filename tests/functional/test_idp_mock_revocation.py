"""Revocation and introspection: what a client may end and learn, and what it may not."""

from __future__ import annotations

import pytest
import requests

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient

OFFLINE = "openid orders:read offline_access"
CLI = {"client_id": "example-cli"}


def revoke(idp: IdpServer, token: str, auth: tuple[str, str] | None = None, **form: str) -> requests.Response:
    return requests.post(f"{idp.issuer}/revoke", data={"token": token, **form}, auth=auth, timeout=TIMEOUT_SECONDS)


def introspect(idp: IdpServer, token: str, auth: tuple[str, str] | None = None, **form: str) -> requests.Response:
    return requests.post(f"{idp.issuer}/introspect", data={"token": token, **form}, auth=auth, timeout=TIMEOUT_SECONDS)


def service(idp: IdpServer) -> tuple[str, str]:
    return ("example-service", idp.service_secret)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", ["", "access_token", "refresh_token", "unheard_of"])
def test_revoking_one_token_ends_everything_of_the_grant(idp: IdpServer, which: str, hint: str) -> None:
    """Checklist 47: cascades to the grant, whatever the hint says [RFC 7009 §2.1]."""
    client = OAuthClient(idp.issuer, scope=OFFLINE)
    body = client.tokens()
    assert client.userinfo(body["access_token"]).status_code == 200
    answer = revoke(idp, body[which], **CLI, token_type_hint=hint)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert client.userinfo(body["access_token"]).status_code == 401
    refreshed = client.token(grant_type="refresh_token", refresh_token=body["refresh_token"], code_verifier=None)
    assert refreshed.json()["error"] == "invalid_grant"
    assert revoke(idp, body[which], **CLI).status_code == 200


def test_an_unknown_token_is_revoked_already(idp: IdpServer) -> None:
    """Checklist 47: 200 for an unknown token, as for a known one [RFC 7009 §2.2]."""
    assert revoke(idp, OAuthClient(idp.issuer).tokens()["access_token"], **CLI).status_code == 200
    for unknown in ("x", "e30.e30.e30", idp.mint({"sub": "x"})):
        assert revoke(idp, unknown, **CLI).status_code == 200
    assert revoke(idp, "", **CLI).json()["error"] == "invalid_request"


def test_a_client_cannot_revoke_anothers_token(idp: IdpServer) -> None:
    """Checklist 47: refused, and the token lives on."""
    client = OAuthClient(idp.issuer, scope=OFFLINE)
    body = client.tokens()
    for token in (body["access_token"], body["refresh_token"]):
        answer = revoke(idp, token, service(idp))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert client.userinfo(body["access_token"]).status_code == 200
    assert revoke(idp, body["access_token"], **CLI).status_code == 200


@pytest.mark.parametrize("call", [revoke, introspect])
def test_a_client_cannot_call_without_authenticating(idp: IdpServer, call: type) -> None:
    """Checklist 41: by Basic or by post; nothing, a wrong secret or an unknown client is invalid_client."""
    token = OAuthClient(idp.issuer).tokens()["access_token"]
    name, secret = service(idp)
    for answer in (
        call(idp, token),
        call(idp, token, client_id=name),
        call(idp, token, client_id=name, client_secret="wrong"),
        call(idp, token, (name, "wrong")),
        call(idp, token, ("nobody", secret)),
    ):
        assert answer.json() == {"error": "invalid_client", "error_description": answer.json()["error_description"]}
    assert call(idp, "x", (name, secret)).status_code == 200
    assert call(idp, "x", client_id=name, client_secret=secret).status_code == 200


def test_a_resource_server_learns_about_a_token_for_it(idp: IdpServer) -> None:
    """Checklist 48: the members of RFC 7662 §2.2 and RFC 9470 §6.2."""
    token = OAuthClient(idp.issuer).tokens("alice")["access_token"]
    answer = introspect(idp, token, service(idp)).json()
    assert answer.pop("exp") - answer.pop("iat") == 300
    assert isinstance(answer.pop("auth_time"), int)
    assert answer == {
        "active": True,
        "iss": idp.issuer,
        "sub": "usr_01J9ALICE7Q2M",
        "username": "alice",
        "aud": "http://127.0.0.1:8000",
        "client_id": "example-cli",
        "scope": "openid profile orders:read",
        "token_type": "Bearer",
        "acr": "pwd",
    }


def test_an_inactive_token_reveals_nothing(idp: IdpServer) -> None:
    """Checklist 48: ended, forged, unknown, of another client: active:false and not one member more."""
    client = OAuthClient(idp.issuer, scope=OFFLINE)
    body = client.tokens()
    assert introspect(idp, body["access_token"], service(idp)).json()["active"] is True
    forged = idp.mint({"sub": "usr_01J9ALICE7Q2M", "jti": "x"})
    for token in (forged, "x", body["id_token"], body["refresh_token"]):
        assert introspect(idp, token, service(idp)).json() == {"active": False}
    revoke(idp, body["access_token"], **CLI)
    assert introspect(idp, body["access_token"], service(idp)).json() == {"active": False}


def test_a_client_without_the_right_learns_only_about_its_own(idp: IdpServer) -> None:
    """Checklist 48: a confidential client that is no resource server; a public one may not ask at all."""
    web = OAuthClient(
        idp.issuer, "shop-web", "http://127.0.0.1:8000/auth/callback/mock", "openid", secret=idp.shop_web_secret
    )
    auth = ("shop-web", idp.shop_web_secret)
    assert introspect(idp, web.tokens()["access_token"], auth).json()["active"] is True
    other = OAuthClient(idp.issuer).tokens()["access_token"]
    assert introspect(idp, other, auth).json() == {"active": False}
    assert introspect(idp, other, **CLI).json()["error"] == "invalid_client"
