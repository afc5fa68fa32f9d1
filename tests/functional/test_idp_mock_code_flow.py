"""The identity provider's main road over real HTTP: documents, code flow, tokens and claims."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any

import pytest
import requests
from joserfc import jws, jwt
from joserfc.jwk import KeySet

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient, answer_of

API = "http://127.0.0.1:8000"


def get_json(url: str) -> dict[str, Any]:
    response = requests.get(url, timeout=TIMEOUT_SECONDS)
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


def verified(idp: IdpServer, token: str, alg: str = "ES256") -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, verified against the published keys as a relying party would."""
    keys = KeySet.import_key_set(get_json(f"{idp.issuer}/jwks"))  # type: ignore[arg-type]
    result = jwt.decode(token, keys, [alg])
    return dict(result.header), dict(result.claims)


def web_client(idp: IdpServer) -> OAuthClient:
    return OAuthClient(
        idp.issuer,
        "shop-web",
        f"{API}/auth/callback/mock",
        "openid profile email groups",
        secret=idp.shop_web_secret,
    )


def test_both_metadata_documents_name_the_issuer_and_agree(idp: IdpServer) -> None:
    """OIDC Discovery §4 and RFC 8414 §3: one issuer, the same members."""
    oidc = get_json(f"{idp.issuer}/.well-known/openid-configuration")
    assert oidc == get_json(f"{idp.issuer}/.well-known/oauth-authorization-server")
    assert oidc["issuer"] == idp.issuer


def test_metadata_advertises_only_what_works(idp: IdpServer) -> None:
    """Checklist 33, 35, 36, 37, 56: S256 only, no password or implicit, query only, iss in every answer."""
    document = get_json(f"{idp.issuer}/.well-known/openid-configuration")
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["response_types_supported"] == ["code"]
    assert document["response_modes_supported"] == ["query"]
    assert document["grant_types_supported"] == [
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ]
    assert sum(name.endswith("_endpoint") for name in document) == 9
    assert document["authorization_response_iss_parameter_supported"] is True
    for name, address in document.items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert requests.options(address, timeout=TIMEOUT_SECONDS).status_code == 200, name


def test_jwks_holds_public_members_only(idp: IdpServer) -> None:
    """Checklist 57: one key for each algorithm, unique key ids, no private member [RFC 7517 §9.3]."""
    keys = get_json(f"{idp.issuer}/jwks")["keys"]
    assert sorted(key["alg"] for key in keys) == ["ES256", "EdDSA", "RS256"]
    assert len({key["kid"] for key in keys}) == 3
    for key in keys:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)
        assert key["use"] == "sig"


def test_an_access_token_is_an_rfc_9068_token_for_the_api(idp: IdpServer) -> None:
    """RFC 9068 §2: typ at+jwt, audience the API, short-lived, with the scopes granted."""
    body = OAuthClient(idp.issuer).tokens("alice")
    header, claims = verified(idp, body["access_token"])
    assert header["typ"] == "at+jwt"
    assert claims["iss"] == idp.issuer
    assert claims["aud"] == API
    assert claims["client_id"] == "example-cli"
    assert claims["scope"] == body["scope"] == "openid profile orders:read"
    assert claims["exp"] - claims["iat"] == body["expires_in"] == 300
    assert claims["sub"] == "usr_01J9ALICE7Q2M"
    assert claims["acr"] == "pwd"
    assert abs(claims["auth_time"] - time.time()) < 30
    assert len(claims["jti"]) >= 22


def test_an_id_token_answers_the_request_that_asked_for_it(idp: IdpServer) -> None:
    """OIDC Core §2 and §3.1.3.6: audience the client, nonce echoed, at_hash of the access token."""
    body = OAuthClient(idp.issuer).tokens("alice", nonce="n-0S6_WzA2Mj")
    header, claims = verified(idp, body["id_token"])
    assert header["typ"] == "JWT"
    assert claims["aud"] == "example-cli"
    assert claims["nonce"] == "n-0S6_WzA2Mj"
    digest = hashlib.sha256(body["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert claims["sid"]
    assert claims["amr"] == ["pwd"]
    assert "email" not in claims


def test_claims_follow_the_scopes(idp: IdpServer) -> None:
    """OIDC Core §5.4: the web client asks for all, the command-line client for the profile only."""
    everything = web_client(idp).tokens("mia")
    claims = requests.get(
        f"{idp.issuer}/userinfo",
        headers={"Authorization": f"Bearer {everything['access_token']}"},
        timeout=TIMEOUT_SECONDS,
    ).json()
    assert claims == {
        "sub": "usr_01J9MIAAA8H4P",
        "name": "Mia Moreau",
        "preferred_username": "mia",
        "email": "mia@shop.example",
        "email_verified": True,
        "groups": ["shop-managers"],
    }
    assert verified(idp, everything["id_token"])[1]["groups"] == ["shop-managers"]
    little = OAuthClient(idp.issuer, scope="openid profile").tokens("mia")
    assert set(OAuthClient(idp.issuer).userinfo(little["access_token"]).json()) == {
        "sub",
        "name",
        "preferred_username",
    }


def test_no_id_token_without_openid(idp: IdpServer) -> None:
    """OIDC Core §3.1.2.1: a plain OAuth request gets a plain OAuth answer, and UserInfo says insufficient_scope."""
    client = OAuthClient(idp.issuer, scope="orders:read")
    body = client.tokens()
    assert "id_token" not in body
    answer = client.userinfo(body["access_token"])
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


def test_the_answer_carries_state_and_issuer(idp: IdpServer) -> None:
    """Checklist 37: state echoed exactly, iss in the authorization response [RFC 9207]."""
    state = "a b&c=d%26;é/?#"
    answer = answer_of(OAuthClient(idp.issuer).authorize(login_hint="bob", state=state).headers["Location"])
    assert set(answer) == {"code", "state", "iss"}
    assert answer["state"] == state
    assert answer["iss"] == idp.issuer


def test_userinfo_takes_the_token_from_the_header_only(idp: IdpServer) -> None:
    """RFC 6750 §2: the header works; the query and the form do not."""
    client = OAuthClient(idp.issuer)
    token = client.tokens()["access_token"]
    assert client.userinfo(token).status_code == 200
    url = f"{idp.issuer}/userinfo"
    in_query = requests.get(url, params={"access_token": token}, timeout=TIMEOUT_SECONDS)
    in_form = requests.post(url, data={"access_token": token}, timeout=TIMEOUT_SECONDS)
    assert (in_query.status_code, in_form.status_code) == (401, 401)
    assert in_query.headers["WWW-Authenticate"] == 'Bearer realm="userinfo"'


@pytest.mark.parametrize(
    "wrong",
    [
        {"claims": {"exp": 1}},
        {"key": "unknown"},
        {"key": "none"},
        {"key": "hmac-public"},
        {"header": {"typ": "JWT"}},
        {"header": {"kid": None}},
        {"claims": {"iss": "https://elsewhere.example"}},
        {},
    ],
    ids=["expired", "unknown-key", "unsigned", "hmac-with-public-key", "id-typed", "no-kid", "iss", "never-issued"],
)
def test_userinfo_refuses_a_token_it_did_not_issue(idp: IdpServer, wrong: dict[str, Any]) -> None:
    """RFC 9068 §4: even a well-signed token is refused when this issuer does not remember it."""
    client = OAuthClient(idp.issuer)
    assert client.userinfo(client.tokens()["access_token"]).status_code == 200
    token = idp.mint({"sub": "usr_01J9ALICE7Q2M", "scope": "openid", **wrong.pop("claims", {})}, **wrong)
    assert client.userinfo(token).status_code == 401


def test_an_id_token_does_not_open_userinfo(idp: IdpServer) -> None:
    """RFC 9068 §5: token types are not interchangeable."""
    client = OAuthClient(idp.issuer)
    body = client.tokens()
    assert client.userinfo(body["access_token"]).status_code == 200
    assert client.userinfo(body["id_token"]).status_code == 401


def test_minted_tokens_are_exactly_as_wished(idp: IdpServer) -> None:
    """The test endpoint merges over usual claims, and null removes one."""
    token = idp.mint({"sub": "x", "aud": "https://other.example", "jti": None}, header={"typ": None, "extra": "1"})
    header = jws.extract_compact(token.encode()).headers()
    assert header["extra"] == "1"
    assert "typ" not in header
    claims = verified(idp, idp.mint({"sub": "x", "jti": None}))[1]
    assert claims["iss"] == idp.issuer
    assert "jti" not in claims
    unsigned = idp.mint({"sub": "x"}, key="none")
    assert unsigned.endswith(".")
    assert verified(idp, idp.mint({"sub": "x"}, header={"alg": "RS256"}), "RS256")[1]["sub"] == "x"


@pytest.mark.parametrize(
    "wish",
    [[], {"claims": 1}, {"key": "other"}, {"issuer": "https://elsewhere.example"}, {"issuer": [1]}, {"claim": {}}],
)
def test_the_mint_refuses_a_wish_it_does_not_understand(idp: IdpServer, wish: object) -> None:
    """A misspelt member must not silently make a valid token."""
    url = f"{idp.issuer}/_test/tokens"
    assert requests.post(url, json={}, timeout=TIMEOUT_SECONDS).status_code == 200
    assert requests.post(url, json=wish, timeout=TIMEOUT_SECONDS).status_code == 400


def test_the_mint_answers_only_its_own_machine_by_name(idp: IdpServer) -> None:
    """A page in a browser cannot mint by rebinding a host name, nor by a form."""
    url = f"{idp.issuer}/_test/tokens"
    assert requests.post(url, json={}, timeout=TIMEOUT_SECONDS).status_code == 200
    rebound = requests.post(url, json={}, headers={"Host": "attacker.example"}, timeout=TIMEOUT_SECONDS)
    form = requests.post(url, data="{}", headers={"Content-Type": "text/plain"}, timeout=TIMEOUT_SECONDS)
    assert (rebound.status_code, form.status_code) == (403, 400)


def test_health(idp: IdpServer) -> None:
    assert get_json(f"{idp.issuer}/healthz") == {"status": "ok"}
