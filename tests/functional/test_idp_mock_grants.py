"""Client credentials, the device grant and token exchange, over HTTP: what is refused stands beside what is not."""

from __future__ import annotations

import base64
import json
from typing import Any

import requests

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient, Person, hidden_fields
from tests.support.client_keys import ClientKey

API = "http://127.0.0.1:8000"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def post(idp: IdpServer, path: str, form: dict[str, str], *, service: bool = False) -> requests.Response:
    auth = ("example-service", idp.service_secret) if service else None
    return requests.post(f"{idp.issuer}{path}", data=form, auth=auth, timeout=TIMEOUT_SECONDS)


def refused(response: requests.Response, error: str, status: int = 400) -> None:
    assert (response.status_code, response.json()["error"]) == (status, error), response.text
    assert "access_token" not in response.text


def payload_of(token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return decoded


# --- client credentials ---


def test_a_service_acts_for_itself(idp: IdpServer) -> None:
    """Checklist 35: RFC 6749 §4.4, RFC 9068 §2.2: `sub` is the client, and nobody signed in."""
    body = post(idp, "/token", {"grant_type": "client_credentials", "scope": "orders:read"}, service=True).json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    claims = payload_of(body["access_token"])
    assert (claims["sub"], claims["client_id"], claims["aud"]) == ("example-service", "example-service", API)
    assert not {"auth_time", "acr", "amr"} & set(claims)


def test_a_service_cannot_get_more_than_it_is_registered_for(idp: IdpServer) -> None:
    """Checklist 35, 45, 46: scope, resource and secret."""
    form = {"grant_type": "client_credentials"}
    assert post(idp, "/token", form, service=True).json()["scope"] == "orders:read products:read products:write"
    refused(post(idp, "/token", {**form, "scope": "orders:delete"}, service=True), "invalid_scope")
    refused(post(idp, "/token", {**form, "scope": "openid"}, service=True), "invalid_scope")
    refused(post(idp, "/token", {**form, "resource": "https://unknown.example"}, service=True), "invalid_target")
    refused(post(idp, "/token", {**form, "client_id": "example-service"}), "invalid_client")


def test_a_service_is_no_person_at_userinfo(idp: IdpServer) -> None:
    """RFC 9700 §4.15: a client's own token opens nothing that is about a person."""
    client = OAuthClient(idp.issuer)
    assert client.userinfo(client.tokens()["access_token"]).status_code == 200
    token = post(idp, "/token", {"grant_type": "client_credentials"}, service=True).json()["access_token"]
    assert client.userinfo(token).status_code == 401


def test_a_public_client_cannot_act_for_itself(idp: IdpServer) -> None:
    """Checklist 35: per client."""
    assert post(idp, "/token", {"grant_type": "client_credentials"}, service=True).status_code == 200
    form = {"grant_type": "client_credentials", "client_id": "example-cli"}
    refused(post(idp, "/token", form), "unauthorized_client")


# --- the device grant ---


def start_device(idp: IdpServer, scope: str = "openid orders:read") -> dict[str, Any]:
    response = post(idp, "/device_authorization", {"client_id": "example-cli", "scope": scope})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def poll(idp: IdpServer, started: dict[str, Any]) -> requests.Response:
    form = {"grant_type": DEVICE, "client_id": "example-cli", "device_code": started["device_code"]}
    return post(idp, "/token", form)


def enter_code(idp: IdpServer, person: Person, started: dict[str, Any], name: str = "alice") -> requests.Response:
    """As far as the confirmation page."""
    page = person.open(started["verification_uri_complete"])
    page = person.press(page, "continue", user_code=started["user_code"])
    if "Sign in" in page.text:
        page = person.press(page, "user", name)
    assert "Connect <strong>Example command-line client</strong>?" in page.text
    return page


def test_a_device_gets_tokens_after_a_person_confirmed(idp: IdpServer) -> None:
    """Checklist 49: the whole flow; the confirmation page shows client, scopes and code [RFC 8628 §3.3]."""
    started = start_device(idp, "openid orders:read offline_access")
    assert started["verification_uri"] == f"{idp.issuer}/device"
    refused(poll(idp, started), "authorization_pending")
    person = Person(idp.issuer)
    page = enter_code(idp, person, started, "bob")
    for words in ("Bob Brandt", "See your orders", started["user_code"], "30 days"):
        assert words in page.text
    refused(poll(idp, started), "slow_down")
    assert "Your device is connected" in person.press(page, "allow").text
    body = poll(idp, started).json()
    assert payload_of(body["access_token"])["sub"] == "usr_01J9BOBBB4X8K"
    assert {"id_token", "refresh_token"} <= set(body)
    refused(poll(idp, started), "invalid_grant")


def test_a_device_gets_nothing_without_confirmation(idp: IdpServer) -> None:
    """Checklist 49: opening the complete address and signing in is not a consent (RFC 8628 §3.3.1, §5.4)."""
    started = start_device(idp)
    person = Person(idp.issuer)
    page = enter_code(idp, person, started)
    refused(poll(idp, started), "authorization_pending")
    form = {**hidden_fields(page), "csrf_token": "x", "allow": "1"}
    assert person.post(f"{idp.issuer}/device/confirm", form).status_code == 400
    other = Person(idp.issuer)
    assert other.post(f"{idp.issuer}/device/confirm", {**hidden_fields(page), "allow": "1"}).status_code == 400
    refused(poll(idp, started), "slow_down")
    assert person.press(page, "allow").status_code == 200
    assert poll(idp, started).status_code == 200


def test_a_person_can_refuse_a_device(idp: IdpServer) -> None:
    """Checklist 49: on the confirmation page, and already on the sign-in page; a code is for one decision."""
    started, person = start_device(idp), Person(idp.issuer)
    assert "was refused" in person.press(enter_code(idp, person, started), "deny").text
    refused(poll(idp, started), "access_denied")
    assert "No device is waiting" in person.press(person.open(started["verification_uri_complete"]), "continue").text

    started, somebody = start_device(idp), Person(idp.issuer)
    page = somebody.open(started["verification_uri"])
    page = somebody.press(page, "continue", user_code=started["user_code"].lower())
    assert "was refused" in somebody.press(page, "deny").text
    refused(poll(idp, started), "access_denied")


def test_a_client_cannot_use_anothers_device_code(idp: IdpServer) -> None:
    """Checklist 49: client-bound; the attempt does not use the code up."""
    started, person = start_device(idp), Person(idp.issuer)
    person.press(enter_code(idp, person, started), "allow")
    form = {"grant_type": DEVICE, "device_code": started["device_code"]}
    wish = {"grant_types": [DEVICE], "token_endpoint_auth_method": "none", "scope": "openid orders:read"}
    headers = {"Authorization": f"Bearer {idp.registration_token}"}
    other = requests.post(f"{idp.issuer}/register", json=wish, headers=headers, timeout=TIMEOUT_SECONDS).json()
    refused(post(idp, "/token", {**form, "client_id": other["client_id"]}), "invalid_grant")
    refused(post(idp, "/token", form, service=True), "unauthorized_client")
    refused(post(idp, "/token", {**form, "client_id": "nobody"}), "invalid_client")
    assert poll(idp, started).status_code == 200


def test_a_device_cannot_start_wrongly(idp: IdpServer) -> None:
    """Checklist 35, 41, 45, 46: client, grant, scope and resource are checked before any code exists."""
    form = {"client_id": "example-cli"}
    assert post(idp, "/device_authorization", form).status_code == 200
    refused(post(idp, "/device_authorization", {**form, "scope": "groups"}), "invalid_scope")
    refused(post(idp, "/device_authorization", {**form, "resource": "https://x.example"}), "invalid_target")
    refused(post(idp, "/device_authorization", {"client_id": "example-service"}), "invalid_client")
    refused(post(idp, "/device_authorization", {"scope": "orders:read"}, service=True), "unauthorized_client")


def test_the_device_pages_are_unframable(idp: IdpServer) -> None:
    """Checklist 52: frame-ancestors and X-Frame-Options, and what is typed comes back escaped."""
    page = Person(idp.issuer).open(f"{idp.issuer}/device", {"user_code": '"><b>'})
    assert page.status_code == 200
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "<b>" not in page.text


# --- token exchange ---


def exchange(idp: IdpServer, token: str, **changes: str) -> requests.Response:
    form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    return post(idp, "/token", {**form, **changes}, service=True)


def test_a_service_calls_on_for_the_person_who_called_it(idp: IdpServer) -> None:
    """Checklist 35: the person stays the subject, the service is the actor, scopes only shrink [RFC 8693 §4.1]."""
    token = OAuthClient(idp.issuer, scope="openid orders:read orders:write").tokens("bob")["access_token"]
    body = exchange(idp, token).json()
    assert body["issued_token_type"] == ACCESS_TOKEN
    assert not {"id_token", "refresh_token"} & set(body)
    before, claims = payload_of(token), payload_of(body["access_token"])
    assert (claims["sub"], claims["client_id"], claims["act"]) == (
        before["sub"],
        "example-service",
        {"sub": "example-service"},
    )
    assert claims["scope"] == "orders:read"
    assert claims["exp"] <= before["exp"]
    again = payload_of(exchange(idp, body["access_token"]).json()["access_token"])
    assert again["act"] == {"sub": "example-service", "act": {"sub": "example-service"}}


def test_an_exchange_cannot_widen(idp: IdpServer) -> None:
    """Checklist 39, 45: neither a scope nor a resource that the subject token or the client lacks."""
    token = OAuthClient(idp.issuer, scope="orders:read").tokens()["access_token"]
    assert exchange(idp, token, scope="orders:read", resource=API).status_code == 200
    refused(exchange(idp, token, scope="products:write"), "invalid_scope")
    refused(exchange(idp, token, resource="https://unknown.example"), "invalid_target")
    refused(exchange(idp, token, audience="https://unknown.example"), "invalid_target")


def test_only_a_live_access_token_of_a_person_can_be_exchanged(idp: IdpServer) -> None:
    """RFC 8693 §2.1: no ID token, no forged or foreign one, no client's own; no actor token."""
    client = OAuthClient(idp.issuer)
    body = client.tokens()
    assert exchange(idp, body["access_token"]).status_code == 200
    own = post(idp, "/token", {"grant_type": "client_credentials"}, service=True).json()["access_token"]
    for wrong in (body["id_token"], idp.mint({"sub": "usr_01J9ALICE7Q2M", "scope": "orders:read"}), own, "x"):
        refused(exchange(idp, wrong), "invalid_grant")
    refused(exchange(idp, body["access_token"], subject_token_type="urn:x"), "invalid_request")
    refused(exchange(idp, body["access_token"], actor_token="x"), "invalid_request")
    refused(exchange(idp, body["access_token"], requested_token_type="urn:x"), "invalid_request")


def test_an_exchanged_token_ends_with_the_grant(idp: IdpServer) -> None:
    """Checklist 47: revocation reaches what was derived."""
    client = OAuthClient(idp.issuer, scope="openid orders:read")
    token = client.tokens()["access_token"]
    derived = exchange(idp, token).json()["access_token"]
    assert post(idp, "/introspect", {"token": derived}, service=True).json()["active"] is True
    assert post(idp, "/revoke", {"token": token, "client_id": "example-cli"}).status_code == 200
    assert post(idp, "/introspect", {"token": derived}, service=True).json() == {"active": False}
    refused(exchange(idp, token), "invalid_grant")


def test_a_bound_token_cannot_be_exchanged_without_its_key(idp: IdpServer) -> None:
    """RFC 9449 §1: whoever stole the token does not have the key."""
    key, thief = ClientKey(), ClientKey()
    client = OAuthClient(idp.issuer, scope="orders:read")
    form = {
        "grant_type": "authorization_code",
        "code": client.code(),
        "redirect_uri": client.redirect_uri,
        "code_verifier": client.verifier,
        "client_id": client.client_id,
    }
    url = f"{idp.issuer}/token"
    token = key.post(url, form).json()["access_token"]
    wish = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    auth = ("example-service", idp.service_secret)
    refused(exchange(idp, token), "invalid_dpop_proof")
    refused(thief.post(url, wish, auth), "invalid_dpop_proof")
    assert key.post(url, wish, auth).json()["token_type"] == "DPoP"
