"""What the token endpoint refuses, each beside the request that it accepts; and races for one code or token."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient, answer_of, pkce_pair

WEB = "http://127.0.0.1:8000/auth/callback/mock"
OFFLINE = "openid orders:read orders:write offline_access"
THREADS = 16


TWO_CLIENTS = """
default_resource = "https://api.example"
resources = ["https://reports.example"]
[[clients]]
client_id = "one"
type = "public"
application_type = "native"
redirect_uris = ["http://127.0.0.1/callback"]
scopes = ["openid", "offline_access"]
grant_types = ["authorization_code", "refresh_token"]
[[clients]]
client_id = "two"
type = "public"
application_type = "native"
redirect_uris = ["http://127.0.0.1/callback"]
scopes = ["openid", "offline_access"]
grant_types = ["authorization_code", "refresh_token"]
id_token_signed_response_alg = "RS256"
"""


@pytest.fixture(scope="module")
def two_clients_idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdpServer]:
    clients: Path = tmp_path_factory.mktemp("idp") / "clients.toml"
    clients.write_text(TWO_CLIENTS)
    with IdpServer(["--auto-login", "--clients", str(clients)]) as server:
        yield server


def web_client(idp: IdpServer) -> OAuthClient:
    return OAuthClient(idp.issuer, "shop-web", WEB, "openid profile", secret=idp.shop_web_secret)


def refused(response: requests.Response, error: str, status: int = 400) -> None:
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert "access_token" not in response.text


def refresh(client: OAuthClient, token: str, **changes: str | None) -> requests.Response:
    usual = {"grant_type": "refresh_token", "refresh_token": token, "redirect_uri": None, "code_verifier": None}
    return client.token(**{**usual, **changes})


def test_a_token_response_is_not_cached(idp: IdpServer) -> None:
    """Checklist 55: token responses no-store."""
    client = OAuthClient(idp.issuer)
    response = client.token(code=client.code())
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert client.token(code="x").headers["Cache-Control"] == "no-store"


def test_a_second_use_of_a_code_revokes_what_it_issued(idp: IdpServer) -> None:
    """Checklist 31: code single use; reuse revokes what it issued."""
    client = OAuthClient(idp.issuer, scope=OFFLINE)
    code = client.code()
    body = client.token(code=code).json()
    assert client.userinfo(body["access_token"]).status_code == 200
    refused(client.token(code=code), "invalid_grant")
    assert client.userinfo(body["access_token"]).status_code == 401
    refused(refresh(client, body["refresh_token"]), "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": None},
        {"redirect_uri": "http://127.0.0.1:51235/callback"},
        {"redirect_uri": "http://127.0.0.1/callback"},
        {"code": "unknown"},
        {"code_verifier": pkce_pair()[0]},
    ],
    ids=["no-redirect_uri", "other-port", "registered-but-not-used", "unknown-code", "wrong-verifier"],
)
def test_a_code_is_bound_to_its_request(idp: IdpServer, changes: dict[str, str | None]) -> None:
    """Checklist 32, 33: bound to redirect_uri and challenge; a failed attempt does not use the code up."""
    client = OAuthClient(idp.issuer)
    code = client.code()
    refused(client.token(**{"code": code, **changes}), "invalid_grant")
    assert client.token(code=code).status_code == 200


@pytest.mark.parametrize("verifier", [None, "", "short", "x" * 129, "é" * 43])
def test_a_code_cannot_be_redeemed_without_its_verifier(idp: IdpServer, verifier: str | None) -> None:
    """Checklist 33: for a confidential client too."""
    client = web_client(idp)
    code = client.code()
    refused(client.token(code=code, code_verifier=verifier), "invalid_request")
    assert client.token(code=code).status_code == 200


def test_a_client_cannot_redeem_anothers_code(idp: IdpServer) -> None:
    """Checklist 32: bound to the client, and the attempt neither uses the code up nor revokes anything."""
    owner, other = OAuthClient(idp.issuer), web_client(idp)
    code = owner.code()
    other.verifier = owner.verifier
    refused(other.token(code=code, redirect_uri=owner.redirect_uri), "invalid_grant")
    assert owner.token(code=code).status_code == 200


@pytest.mark.parametrize("grant_type", ["password", "implicit", "urn:x", '"é'])
def test_other_grants_are_unsupported(idp: IdpServer, grant_type: str) -> None:
    """Checklist 35: no password and no implicit grant."""
    client = OAuthClient(idp.issuer)
    assert client.token(code=client.code()).status_code == 200
    refused(client.token(grant_type=grant_type, username="alice", password="x"), "unsupported_grant_type")


def test_a_client_cannot_use_a_grant_it_is_not_registered_for(idp: IdpServer) -> None:
    """Checklist 35: per client."""
    public = OAuthClient(idp.issuer, scope=OFFLINE)
    assert refresh(public, public.tokens()["refresh_token"]).status_code == 200
    client = web_client(idp)
    assert "refresh_token" not in client.tokens()
    refused(refresh(client, "x"), "unauthorized_client")


def test_a_confidential_client_authenticates(idp: IdpServer) -> None:
    """Checklist 41, 43: by HTTP Basic, by post, and with the percent-encoding of RFC 6749 §2.3.1."""
    client = web_client(idp)
    assert client.token(code=client.code()).status_code == 200
    code = client.code()
    client.secret = None
    assert client.token(code=code, client_secret=idp.shop_web_secret).status_code == 200
    code = client.code()
    encoded = "".join(f"%{ord(letter):02X}" for letter in "shop-web") + ":" + quote(idp.shop_web_secret, safe="")
    answer = post_with_header(client, code, "basic " + base64.b64encode(encoded.replace("-", "%2D").encode()).decode())
    assert answer.status_code == 200


def post_with_header(client: OAuthClient, code: str, header: str, **changes: str) -> requests.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": client.verifier,
        **changes,
    }
    return requests.post(
        f"{client.issuer}/token", data=form, headers={"Authorization": header}, timeout=TIMEOUT_SECONDS
    )


def test_a_confidential_client_cannot_pass_without_its_secret(idp: IdpServer) -> None:
    """Checklist 41: nothing, a wrong secret or an empty one is invalid_client; the code survives."""
    client = web_client(idp)
    code = client.code()
    client.secret = None
    refused(client.token(code=code), "invalid_client")
    refused(client.token(code=code, client_secret="wrong"), "invalid_client")
    refused(client.token(code=code, client_secret=""), "invalid_client")
    client.secret = "wrong"
    answer = client.token(code=code)
    refused(answer, "invalid_client", 401)
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    client.secret = idp.shop_web_secret
    assert client.token(code=code).status_code == 200


@pytest.mark.parametrize(
    "credentials", [b"shop-web", b"\xff\xfe:\xff", b":", b"shop-web:%ff", b"nobody:x", b"example-cli:", b""]
)
def test_malformed_basic_credentials_are_invalid_client(idp: IdpServer, credentials: bytes) -> None:
    """Checklist 43: bytes that are not UTF-8 are a 401 like any wrong credential, not a server error."""
    client = web_client(idp)
    code = client.code()
    answer = post_with_header(client, code, f"Basic {base64.b64encode(credentials).decode()}")
    refused(answer, "invalid_client", 401)
    refused(post_with_header(client, code, "Basic %%%"), "invalid_client", 401)
    refused(post_with_header(client, code, "Bearer x"), "invalid_client", 401)
    assert client.token(code=code).status_code == 200


def test_a_client_cannot_authenticate_in_two_ways(idp: IdpServer) -> None:
    """RFC 6749 §2.3: one method per request, and header and form name the same client."""
    client = web_client(idp)
    code = client.code()
    refused(client.token(code=code, client_secret=idp.shop_web_secret), "invalid_request")
    refused(client.token(code=code, client_id="example-cli"), "invalid_request")
    assert client.token(code=code).status_code == 200


def test_a_public_client_has_no_secret(idp: IdpServer) -> None:
    """Checklist 41: a secret sent by a public client is not ignored."""
    client = OAuthClient(idp.issuer)
    code = client.code()
    refused(client.token(code=code, client_secret="x"), "invalid_client")
    assert client.token(code=code).status_code == 200


def test_parameters_come_once_and_in_the_body(idp: IdpServer) -> None:
    """Checklist 54: duplicates refused; nothing in the query, nothing but form encoding."""
    client = OAuthClient(idp.issuer)
    code = client.code()
    url = f"{idp.issuer}/token"
    form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", client.redirect_uri),
        ("client_id", client.client_id),
        ("code_verifier", client.verifier),
    ]
    refused(requests.post(url, data=[*form, ("code", code)], timeout=TIMEOUT_SECONDS), "invalid_request")
    refused(requests.post(url, params=dict(form), data=form, timeout=TIMEOUT_SECONDS), "invalid_request")
    refused(requests.post(url, json=dict(form), timeout=TIMEOUT_SECONDS), "invalid_request")
    refused(requests.post(url, data=form[1:], timeout=TIMEOUT_SECONDS), "invalid_request")
    assert requests.get(url, params=dict(form), timeout=TIMEOUT_SECONDS).status_code == 405
    assert requests.post(url, data=form, timeout=TIMEOUT_SECONDS).status_code == 200


def test_a_token_is_narrowed_to_a_granted_resource(idp: IdpServer) -> None:
    """Checklist 45: at the token endpoint only what was granted; unknown is invalid_target."""
    client = OAuthClient(idp.issuer)
    code = client.code()
    refused(client.token(code=code, resource="https://unknown.example"), "invalid_target")
    assert client.token(code=code, resource="http://127.0.0.1:8000").status_code == 200


def test_a_token_cannot_be_widened_to_a_resource_that_was_not_granted(two_clients_idp: IdpServer) -> None:
    """Checklist 45: `aud` narrowed; a registered resource that the person did not grant is refused [RFC 8707 §2.2]."""
    client = OAuthClient(two_clients_idp.issuer, "one", scope="openid offline_access")
    both = ["https://api.example", "https://reports.example"]
    parameters = {**client.parameters(login_hint="alice"), "resource": both}
    response = requests.get(
        f"{client.issuer}/authorize", params=parameters, allow_redirects=False, timeout=TIMEOUT_SECONDS
    )
    code = answer_of(response.headers["Location"])["code"]
    wide = client.token(code=code).json()
    assert payload_of(wide["access_token"])["aud"] == both
    narrow = refresh(client, wide["refresh_token"], resource=both[1]).json()
    assert payload_of(narrow["access_token"])["aud"] == both[1]

    code = client.code(resource=both[0])
    refused(client.token(code=code, resource=both[1]), "invalid_target")
    body = client.token(code=code).json()
    assert payload_of(body["access_token"])["aud"] == both[0]
    refused(refresh(client, body["refresh_token"], resource=both[1]), "invalid_target")


def test_refresh_tokens_rotate_and_reuse_ends_the_family(idp: IdpServer) -> None:
    """Checklist 38: rotation; reuse revokes the family, the newest token with it."""
    client = OAuthClient(idp.issuer, scope=OFFLINE)
    first = client.tokens()
    second = refresh(client, first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert client.userinfo(second["access_token"]).status_code == 200
    refused(refresh(client, first["refresh_token"]), "invalid_grant")
    refused(refresh(client, second["refresh_token"]), "invalid_grant")
    assert client.userinfo(second["access_token"]).status_code == 401


def test_a_refresh_token_needs_offline_access(idp: IdpServer) -> None:
    """OIDC Core §11: granted only where asked for."""
    assert "refresh_token" in OAuthClient(idp.issuer, scope=OFFLINE).tokens()
    assert "refresh_token" not in OAuthClient(idp.issuer).tokens()


def test_a_refresh_cannot_widen_the_scope(idp: IdpServer) -> None:
    """Checklist 39: narrower yes, wider no; and the refused attempt does not use the token up."""
    client = OAuthClient(idp.issuer, scope="openid orders:read offline_access")
    token = client.tokens()["refresh_token"]
    refused(refresh(client, token, scope="orders:read orders:write"), "invalid_scope")
    narrowed = refresh(client, token, scope="orders:read").json()
    assert narrowed["scope"] == "orders:read"
    assert refresh(client, narrowed["refresh_token"]).json()["scope"] == client.scope


def test_a_reused_refresh_token_is_noticed_whatever_else_is_wrong(idp: IdpServer) -> None:
    """Checklist 38: a thief cannot probe an old token unnoticed with a bad scope."""
    client = OAuthClient(idp.issuer, scope=OFFLINE)
    first = client.tokens()["refresh_token"]
    second = refresh(client, first).json()["refresh_token"]
    refused(refresh(client, first, scope="groups"), "invalid_grant")
    refused(refresh(client, second), "invalid_grant")


def test_a_client_cannot_use_anothers_refresh_token(two_clients_idp: IdpServer) -> None:
    """Checklist 40: bound to its client; the attempt neither uses it up nor revokes the family."""
    owner = OAuthClient(two_clients_idp.issuer, "one", scope="openid offline_access")
    other = OAuthClient(two_clients_idp.issuer, "two", scope="openid offline_access")
    token = owner.tokens()["refresh_token"]
    assert refresh(other, other.tokens()["refresh_token"]).status_code == 200
    refused(refresh(other, token), "invalid_grant")
    assert refresh(owner, token).status_code == 200


def test_a_refreshed_id_token_keeps_who_and_when(idp: IdpServer) -> None:
    """OIDC Core §12.2: same issuer, subject, audience and auth_time; no nonce."""
    client = OAuthClient(idp.issuer, scope=OFFLINE)
    first = client.tokens()
    second = refresh(client, first["refresh_token"]).json()
    before, after = (payload_of(body["id_token"]) for body in (first, second))
    for claim in ("iss", "sub", "aud", "auth_time", "sid"):
        assert after[claim] == before[claim]
    assert "nonce" in before
    assert "nonce" not in after


def payload_of(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    decoded: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return decoded


def test_sixteen_threads_redeem_one_code_once(idp: IdpServer) -> None:
    """Checklist 31: one success under concurrency, and its tokens are revoked."""
    client = OAuthClient(idp.issuer)
    code = client.code()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda _: client.token(code=code), range(THREADS)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert client.userinfo(won[0].json()["access_token"]).status_code == 401


def test_sixteen_threads_use_one_refresh_token_once(idp: IdpServer) -> None:
    """Checklist 38: the concurrent race: exactly one success and a revoked family."""
    client = OAuthClient(idp.issuer, scope=OFFLINE)
    token = client.tokens()["refresh_token"]
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda _: refresh(client, token), range(THREADS)))
    won = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    refused(refresh(client, won[0]["refresh_token"]), "invalid_grant")
    assert client.userinfo(won[0]["access_token"]).status_code == 401
