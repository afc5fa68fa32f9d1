"""The imitated providers: addresses, documents and tokens as Google and Okta publish them."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
import requests
from joserfc import jws, jwt
from joserfc.jwk import KeySet

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient

API = "http://127.0.0.1:8000"


def document(issuer: str) -> dict[str, Any]:
    answer = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def client(idp: IdpServer, path: str, scope: str) -> OAuthClient:
    callback = f"{API}/auth/callback/{path.split('/')[1]}"
    return OAuthClient(idp.issuer + path, "shop-web", callback, scope, secret=idp.shop_web_secret)


def verified(issuer: str, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    keys = requests.get(document(issuer)["jwks_uri"], timeout=TIMEOUT_SECONDS).json()
    result = jwt.decode(token, KeySet.import_key_set(keys), ["RS256"])
    # Read without the library's help, which adds a `typ` where there is none.
    header = jws.extract_compact(token.encode()).headers()
    return dict(header), dict(result.claims)


def test_google_has_its_addresses_and_not_what_google_lacks(idp: IdpServer) -> None:
    """OIDC Discovery §3, in the shape of Google's document: no end-session, no introspection, three scopes."""
    issuer = f"{idp.issuer}/google"
    found = document(issuer)
    assert found["issuer"] == issuer
    assert found["authorization_endpoint"] == f"{issuer}/o/oauth2/v2/auth"
    assert found["token_endpoint"] == f"{issuer}/token"
    assert found["userinfo_endpoint"] == f"{issuer}/v1/userinfo"
    assert found["jwks_uri"] == f"{issuer}/oauth2/v3/certs"
    assert found["scopes_supported"] == ["openid", "email", "profile"]
    assert found["id_token_signing_alg_values_supported"] == ["RS256"]
    assert found["token_endpoint_auth_methods_supported"] == ["client_secret_post", "client_secret_basic"]
    for name in ("end_session_endpoint", "introspection_endpoint", "registration_endpoint", "acr_values_supported"):
        assert name not in found
    assert [key["alg"] for key in requests.get(found["jwks_uri"], timeout=TIMEOUT_SECONDS).json()["keys"]] == ["RS256"]


def test_google_tokens(idp: IdpServer) -> None:
    """An opaque access token; an ID token with azp, hd and a numeric subject, and nothing of groups or sessions."""
    google = client(idp, "/google", "openid email profile")
    body = google.tokens("alice")
    assert re.fullmatch(r"ya29\.[A-Za-z0-9_-]{40,}", body["access_token"])
    header, claims = verified(google.issuer, body["id_token"])
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")
    assert claims["aud"] == claims["azp"] == "shop-web"
    assert claims["hd"] == "shop.example"
    assert re.fullmatch(r"1[0-9]{20}", claims["sub"])
    assert (claims["email"], claims["email_verified"]) == ("alice@shop.example", True)
    assert (claims["given_name"], claims["family_name"]) == ("Alice", "Ahlberg")
    assert {"at_hash", "nonce"} <= set(claims)
    assert not {"groups", "sid", "acr", "amr", "auth_time", "jti"} & set(claims)


def test_googles_opaque_token_opens_userinfo_there_and_nowhere_else(idp: IdpServer) -> None:
    """OIDC Core §5.3.2: the same subject as in the ID token; another issuer does not know the token."""
    google = client(idp, "/google", "openid email")
    body = google.tokens("bob")
    answer = google.userinfo(body["access_token"])
    assert answer.status_code == 200
    assert answer.json()["sub"] == verified(google.issuer, body["id_token"])[1]["sub"]
    assert OAuthClient(idp.issuer).userinfo(body["access_token"]).status_code == 401
    assert google.userinfo(body["access_token"].removeprefix("ya29.")).status_code == 401
    assert google.userinfo("ya29.guessed").status_code == 401


def test_google_knows_no_scope_of_the_shop(idp: IdpServer) -> None:
    """Checklist 46: `groups` and API scopes are invalid there, whatever the clients file says."""
    google = client(idp, "/google", "openid email")
    assert google.code("alice")
    refused = google.authorize(login_hint="alice", scope="openid groups")
    assert "error=invalid_scope" in refused.headers["Location"]


def test_okta_has_its_addresses(idp: IdpServer) -> None:
    """OIDC Discovery §3, in the shape of a custom authorization server's document."""
    issuer = f"{idp.issuer}/okta/oauth2/default"
    found = document(issuer)
    assert found["issuer"] == issuer
    assert found["authorization_endpoint"] == f"{issuer}/v1/authorize"
    assert found["token_endpoint"] == f"{issuer}/v1/token"
    assert found["userinfo_endpoint"] == f"{issuer}/v1/userinfo"
    assert found["jwks_uri"] == f"{issuer}/v1/keys"
    assert found["end_session_endpoint"] == f"{issuer}/v1/logout"
    assert found["id_token_signing_alg_values_supported"] == ["RS256"]


def test_okta_access_tokens(idp: IdpServer) -> None:
    """RS256 without typ; cid, uid, scp as an array, groups; sub is the login name and uid the ID token's sub."""
    okta = client(idp, "/okta/oauth2/default", "openid profile email groups")
    body = okta.tokens("mia")
    header, claims = verified(okta.issuer, body["access_token"])
    assert header["alg"] == "RS256"
    assert set(header) == {"alg", "kid"}
    assert claims["ver"] == 1
    assert claims["jti"].startswith("AT.")
    assert claims["aud"] == API
    assert claims["cid"] == "shop-web"
    assert claims["scp"] == ["openid", "profile", "email", "groups"]
    assert claims["groups"] == ["shop-managers"]
    assert claims["sub"] == "mia@shop.example"
    assert not {"client_id", "scope"} & set(claims)
    identity = verified(okta.issuer, body["id_token"])[1]
    assert identity["sub"] == claims["uid"]
    assert re.fullmatch(r"00u[0-9A-Za-z]{17}", claims["uid"])
    assert identity["jti"].startswith("ID.")
    assert identity["idp"].startswith("00o")
    assert identity["preferred_username"] == "mia@shop.example"
    assert okta.userinfo(body["access_token"]).json()["sub"] == claims["uid"]
    assert okta.userinfo(body["id_token"]).status_code == 401


def test_an_okta_org_server_has_opaque_tokens(idp: IdpServer) -> None:
    """Its access tokens are for Okta alone: no JWT for anybody else, and the ID token does not give them away."""
    with IdpServer(["--auto-login", "--extra-issuer", "/okta"]) as server:
        org = OAuthClient(f"{server.issuer}/okta", scope="openid profile")
        assert document(org.issuer)["token_endpoint"] == f"{org.issuer}/oauth2/v1/token"
        body = org.tokens("alice")
        assert "." not in body["access_token"].removeprefix("AT.")
        assert org.userinfo(body["access_token"]).status_code == 200
        payload = body["id_token"].split(".")[1]
        assert body["access_token"].removeprefix("AT.") not in base64.urlsafe_b64decode(payload + "==").decode()


@pytest.mark.parametrize("path", ["/google", "/okta/oauth2/default"])
def test_a_subject_stays_the_same(idp: IdpServer, path: str) -> None:
    """OIDC Core §2: never reassigned, the same at every sign-in and after a restart."""
    subjects = [verified(idp.issuer + path, client(idp, path, "openid").tokens("dave")["id_token"])[1]["sub"]]
    with IdpServer() as other:
        token = client(other, path, "openid").tokens("dave")["id_token"]
        subjects.append(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["sub"])
    assert subjects[0] == subjects[1]


@pytest.mark.parametrize("path", ["", "/google", "/okta/oauth2/default"])
def test_an_id_token_hint_works_at_every_issuer(idp: IdpServer, path: str) -> None:
    """OIDC Core §3.1.2.1: the provider recognises the subject that it made."""
    if path:
        app = client(idp, path, "openid")
    else:
        app = OAuthClient(idp.issuer, "shop-web", f"{API}/auth/callback/mock", "openid", secret=idp.shop_web_secret)
    hint = app.tokens("alice")["id_token"]
    assert app.code("alice", id_token_hint=hint)
    other = app.authorize(login_hint="alice", id_token_hint="e30.e30.e30")
    assert "error=invalid_request" in other.headers["Location"]
