"""Dynamic registration: who may, what may be registered, and how a client manages itself (RFC 7591, RFC 7592)."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient
from tests.support.client_keys import ClientKey

REDIRECT = "https://new.example/cb"
WISH: dict[str, Any] = {"client_name": "New client", "redirect_uris": [REDIRECT], "scope": "openid orders:read"}


def register(idp: IdpServer, token: str | None = None, **changes: Any) -> requests.Response:
    wish = {name: value for name, value in {**WISH, **changes}.items() if value is not None}
    headers = {"Authorization": f"Bearer {idp.registration_token if token is None else token}"}
    return requests.post(f"{idp.issuer}/register", json=wish, headers=headers, timeout=TIMEOUT_SECONDS)


def manage(method: str, client: dict[str, Any], token: str | None = None, **body: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {token or client['registration_access_token']}"}
    return requests.request(
        method, client["registration_client_uri"], json=body or None, headers=headers, timeout=TIMEOUT_SECONDS
    )


def test_a_registered_client_works(idp: IdpServer) -> None:
    """RFC 7591 §3.2.1: 201, a secret shown once, and then a complete flow."""
    response = register(idp)
    assert (response.status_code, response.headers["Cache-Control"]) == (201, "no-store")
    client = response.json()
    assert client["token_endpoint_auth_method"] == "client_secret_basic"
    flow = OAuthClient(idp.issuer, client["client_id"], REDIRECT, "openid orders:read", secret=client["client_secret"])
    assert flow.tokens()["scope"] == "openid orders:read"
    public = register(idp, token_endpoint_auth_method="none").json()
    assert "client_secret" not in public
    assert OAuthClient(idp.issuer, public["client_id"], REDIRECT, "openid").tokens()["scope"] == "openid"
    key = ClientKey()
    keyed = register(idp, token_endpoint_auth_method="private_key_jwt", jwks={"keys": [key.public]}).json()
    assert "client_secret" not in keyed
    form = {"token": "x", **key.assertion(keyed["client_id"], idp.issuer, header={})}
    assert requests.post(f"{idp.issuer}/revoke", data=form, timeout=TIMEOUT_SECONDS).status_code == 200


def test_nobody_registers_without_the_initial_token(idp: IdpServer) -> None:
    """RFC 7591 §3: an initial access token, which no other credential replaces."""
    registered = register(idp)
    assert registered.status_code == 201
    for token in ("", "x", registered.json()["registration_access_token"]):
        assert register(idp, token).status_code == 401
    assert requests.post(f"{idp.issuer}/register", json=WISH, timeout=TIMEOUT_SECONDS).status_code == 401


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "javascript://new.example/%0aalert(1)",
        "data:text/html,x",
        "http://new.example/cb",
        "https://new.example/cb#f",
        "https://user@new.example/cb",
        "https://new.example/*",
        "/cb",
        "",
    ],
)
def test_an_unsafe_redirect_uri_cannot_be_registered(idp: IdpServer, uri: str) -> None:
    """Checklist 30: no http but native loopback, no javascript: or data:."""
    native = {"application_type": "native", "token_endpoint_auth_method": "none"}
    assert register(idp, redirect_uris=["http://127.0.0.1/cb"], **native).status_code == 201
    for changes in ({}, native):
        answer = register(idp, redirect_uris=[uri], **changes)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize(
    "changes",
    [
        {"grant_types": ["password"]},
        {"grant_types": ["implicit"]},
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"},
        {"grant_types": "authorization_code"},
        {"response_types": ["token"]},
        {"scope": "admin"},
        {"scope": "openid offline_access"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "eA"}]}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": "x"},
        {"jwks_uri": "https://new.example/jwks"},
        {"request_uris": ["https://new.example/r"]},
        {"software_statement": "x"},
        {"require_signed_request_object": True},
        {"client_name": "a\nb"},
        {"client_name": 1},
        {"dpop_bound_access_tokens": "yes"},
        {"authorization_details_types": ["unknown"]},
        {"subject_type": "pairwise"},
        {"id_token_signed_response_alg": "none"},
    ],
    ids=str,
)
def test_wrong_metadata_is_refused(idp: IdpServer, changes: dict[str, Any]) -> None:
    """Checklist 35, 46: RFC 7591 §3.2.2; nothing that this server would have to fetch or cannot honour."""
    assert register(idp, unheard_of="ignored").status_code == 201
    answer = register(idp, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")


def test_a_client_manages_itself_and_no_other(idp: IdpServer) -> None:
    """RFC 7592 §2: read and update with the registration token; another's, or none, is 401, as for an unknown one."""
    client, other = register(idp).json(), register(idp).json()
    seen = manage("GET", client).json()
    assert seen["client_name"] == "New client"
    assert "client_secret" not in seen
    changed = manage("PUT", client, **{**WISH, "client_id": client["client_id"], "client_name": "Renamed"})
    assert changed.json()["client_name"] == "Renamed"
    assert manage("GET", client, other["registration_access_token"]).status_code == 401
    assert manage("GET", client, idp.registration_token).status_code == 401
    assert manage("GET", {**client, "registration_client_uri": f"{idp.issuer}/register/shop-web"}).status_code == 401
    for wrong in (
        {"client_id": other["client_id"]},
        {"client_id": client["client_id"], "client_secret": "x"},
        {"client_id": client["client_id"], "registration_access_token": "x"},
        {"client_id": client["client_id"], "token_endpoint_auth_method": "none"},
        {"client_id": client["client_id"], "redirect_uris": ["javascript:alert(1)"]},
    ):
        assert manage("PUT", client, **{**WISH, **wrong}).status_code == 400
    assert manage("GET", client).json()["client_name"] == "Renamed"


def test_a_deleted_client_and_its_tokens_are_gone(idp: IdpServer) -> None:
    """RFC 7592 §2.3: 204, and nothing that was granted to it works any more."""
    client = register(idp).json()
    flow = OAuthClient(idp.issuer, client["client_id"], REDIRECT, "openid", secret=client["client_secret"])
    body = flow.tokens()
    assert flow.userinfo(body["access_token"]).status_code == 200
    assert manage("DELETE", client).status_code == 204
    assert flow.userinfo(body["access_token"]).status_code == 401
    assert flow.authorize().status_code == 400
    assert manage("GET", client).status_code == 401


def test_without_an_initial_token_there_is_no_registration() -> None:
    """Checklist 56: neither mounted nor advertised [RFC 8414]."""
    with IdpServer(environment={"IDP_MOCK_REGISTRATION_TOKEN": ""}) as server:
        document = requests.get(f"{server.issuer}/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS).json()
        assert "registration_endpoint" not in document
        assert register(server, "").status_code == 404
