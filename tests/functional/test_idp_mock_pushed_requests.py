"""Pushed requests, signed request objects and rich authorization requests, with clients that have to use them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient, Person, answer_of
from tests.functional.test_idp_mock_grants import payload_of
from tests.support.client_keys import ClientKey


def _named(value: object) -> str:
    """An id that is the same in every process: keys made anew differ, what is wrong about them does not."""
    return re.sub(r"0x[0-9a-f]+|'[\w-]{20,}'|\b\d{10}\b", "…", str(value))


KEY = ClientKey()
CALLBACK = "https://app.example/cb"
REFUND = [{"type": "refund", "identifier": "order-7", "actions": ["refund"], "amount": {"minor": 500}}]
CLIENTS = f"""
default_resource = "https://api.example"
[scopes]
"orders:read" = "See your orders"
[authorization_details_types]
refund = "Refund an order"
payment = "Pay"
[[clients]]
client_id = "pushes"
type = "confidential"
client_secret = "{"s" * 40}"
redirect_uris = ["{CALLBACK}"]
scopes = ["openid", "orders:read"]
require_pushed_authorization_requests = true
authorization_details_types = ["refund"]
[[clients]]
client_id = "signs"
type = "confidential"
token_endpoint_auth_method = "private_key_jwt"
jwks = '{KEY.jwks}'
redirect_uris = ["{CALLBACK}"]
scopes = ["openid", "orders:read"]
require_signed_request_object = true
[[clients]]
client_id = "plain"
name = "Plain client"
type = "public"
redirect_uris = ["{CALLBACK}"]
scopes = ["openid", "orders:read", "offline_access"]
grant_types = ["authorization_code", "refresh_token"]
authorization_details_types = ["refund"]
"""
PUSHES = ("pushes", "s" * 40)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdpServer]:
    clients = tmp_path_factory.mktemp("idp") / "clients.toml"
    clients.write_text(CLIENTS)
    with IdpServer(["--auto-login", "--one-click", "--clients", str(clients)]) as server:
        yield server


def client_of(server: IdpServer, client_id: str) -> OAuthClient:
    secret = PUSHES[1] if client_id == "pushes" else None
    return OAuthClient(server.issuer, client_id, CALLBACK, "openid orders:read", secret=secret)


def push(server: IdpServer, form: dict[str, str], auth: tuple[str, str] | None = PUSHES) -> requests.Response:
    return requests.post(f"{server.issuer}/par", data=form, auth=auth, timeout=TIMEOUT_SECONDS)


def open_request(server: IdpServer, **parameters: str) -> requests.Response:
    return requests.get(f"{server.issuer}/authorize", params=parameters, allow_redirects=False, timeout=TIMEOUT_SECONDS)


def pushed(server: IdpServer, client: OAuthClient, **changes: str | None) -> str:
    answer = push(server, client.parameters(login_hint="alice", **changes))
    assert answer.status_code == 201, answer.text
    assert 0 < answer.json()["expires_in"] < 600
    return str(answer.json()["request_uri"])


def code_of(response: requests.Response) -> str:
    assert response.status_code == 303, response.text
    return answer_of(response.headers["Location"])["code"]


def error_of(response: requests.Response) -> str:
    """The error that went back to the client."""
    return answer_of(response.headers["Location"])["error"]


def refused_in_place(response: requests.Response) -> None:
    assert (response.status_code, response.headers.get("Location")) == (400, None)


# --- PAR ---


def test_a_pushed_request_leads_to_a_code(server: IdpServer) -> None:
    """Checklist 44: request_uri under 600 s; only what was pushed counts, not what the browser adds [RFC 9126 §4]."""
    client = client_of(server, "pushes")
    request_uri = pushed(server, client, state="mine")
    response = open_request(server, client_id="pushes", request_uri=request_uri, state="theirs", scope="openid groups")
    assert answer_of(response.headers["Location"])["state"] == "mine"
    assert client.token(code=code_of(response)).json()["scope"] == "openid orders:read"


def test_a_request_uri_is_used_once(server: IdpServer) -> None:
    """Checklist 44: one use; an unknown one is the same."""
    client = client_of(server, "pushes")
    request_uri = pushed(server, client)
    assert open_request(server, client_id="pushes", request_uri=request_uri).status_code == 303
    refused_in_place(open_request(server, client_id="pushes", request_uri=request_uri))
    refused_in_place(open_request(server, client_id="pushes", request_uri=request_uri + "x"))


def test_a_client_cannot_use_anothers_request_uri(server: IdpServer) -> None:
    """Checklist 44: client-bound; the attempt does not use it up."""
    client = client_of(server, "pushes")
    request_uri = pushed(server, client)
    refused_in_place(open_request(server, client_id="plain", request_uri=request_uri))
    refused_in_place(open_request(server, request_uri=request_uri))
    assert open_request(server, client_id="pushes", request_uri=request_uri).status_code == 303


def test_a_pushed_request_cannot_refer_to_another(server: IdpServer) -> None:
    """Checklist 44: nested request_uri refused [RFC 9126 §2.1], and none is ever fetched."""
    client = client_of(server, "pushes")
    request_uri = pushed(server, client)
    answer = push(server, client.parameters(request_uri=request_uri))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    plain = client_of(server, "plain")
    assert error_of(plain.authorize(request_uri="https://app.example/r")) == "request_uri_not_supported"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "https://evil.example/cb"}, "invalid_request"),
        ({"scope": "openid groups"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"resource": "https://unknown.example"}, "invalid_target"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"authorization_details": "[{}]"}, "invalid_authorization_details"),
    ],
    ids=_named,
)
def test_a_wrong_request_cannot_be_pushed(server: IdpServer, changes: dict[str, str | None], error: str) -> None:
    """RFC 9126 §2.1: validated as at the authorization endpoint, and answered as JSON, never as a redirect."""
    client = client_of(server, "pushes")
    assert push(server, client.parameters()).status_code == 201
    answer = push(server, client.parameters(**changes))
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_confidential_client_cannot_push_without_authenticating(server: IdpServer) -> None:
    """Checklist 41: by Basic and by post; a public client pushes under its name alone."""
    client = client_of(server, "pushes")
    form = client.parameters()
    assert push(server, form).status_code == 201
    assert push(server, {**form, "client_secret": PUSHES[1]}, None).status_code == 201
    for answer in (push(server, form, None), push(server, form, ("pushes", "wrong"))):
        assert answer.json()["error"] == "invalid_client"
    assert push(server, client_of(server, "plain").parameters(), None).status_code == 201


def test_a_client_that_must_push_cannot_use_the_query(server: IdpServer) -> None:
    """RFC 9126 §6: require_pushed_authorization_requests of the client; others may."""
    assert "code" in answer_of(client_of(server, "plain").authorize(login_hint="bob").headers["Location"])
    assert error_of(client_of(server, "pushes").authorize(login_hint="bob")) == "invalid_request"


def test_a_pushed_request_binds_the_code_to_the_proved_key(server: IdpServer) -> None:
    """RFC 9449 §10.1: a DPoP proof at the PAR endpoint is worth a dpop_jkt."""
    key, client = ClientKey(), client_of(server, "pushes")
    answer = key.post(f"{server.issuer}/par", client.parameters(login_hint="alice"), PUSHES)
    code = code_of(open_request(server, client_id="pushes", request_uri=answer.json()["request_uri"]))
    assert client.token(code=code).json()["error"] == "invalid_dpop_proof"
    other = {**client.parameters(), "dpop_jkt": ClientKey().thumbprint}
    assert key.post(f"{server.issuer}/par", other, PUSHES).json()["error"] == "invalid_dpop_proof"


# --- request objects ---


def signed(server: IdpServer, key: ClientKey = KEY, **changes: Any) -> requests.Response:
    client = client_of(server, "signs")
    token = key.request_object("signs", server.issuer, client.parameters(login_hint="alice"), **changes)
    return open_request(server, client_id="signs", redirect_uri=CALLBACK, state="s", request=token, scope="openid")


def test_a_signed_request_is_what_counts(server: IdpServer) -> None:
    """RFC 9101 §6.3: parameters inside the object count, those beside it do not."""
    client = client_of(server, "signs")
    token = KEY.request_object("signs", server.issuer, client.parameters(login_hint="alice", state="inside"))
    response = open_request(server, client_id="signs", request=token, state="beside", scope="openid groups")
    assert answer_of(response.headers["Location"])["state"] == "inside"
    form = KEY.assertion("signs", server.issuer)
    assert client.token(code=code_of(response), **form).json()["scope"] == "openid orders:read"


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": None},
        {"iss": "plain"},
        {"client_id": "plain"},
        {"exp": None},
        {"exp": 1},
        {"exp": int(time.time()) + 90_000},
        {"nbf": int(time.time()) + 90_000},
        {"header": {"kid": "k1", "typ": "JWT"}},
        {"header": {"kid": "k1"}},
        {"key": ClientKey()},
        {"request_uri": "https://app.example/r"},
        {"request": "x"},
        {"max_age": True},
    ],
    ids=_named,
)
def test_a_wrong_request_object_is_refused(server: IdpServer, wrong: dict[str, Any]) -> None:
    """RFC 9101 §5 and §10.8: signature, typ, iss, aud, client and times; nothing nested; the client hears of it."""
    assert "code" in answer_of(signed(server).headers["Location"])
    answer = answer_of(signed(server, **wrong).headers["Location"])
    assert (answer["error"], answer["state"]) == ("invalid_request_object", "s")


def test_an_unsigned_request_object_is_refused(server: IdpServer) -> None:
    """RFC 8725 §3.1: alg none, and a client that has registered no key."""
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoib2F1dGgtYXV0aHotcmVxK2p3dCJ9.e30."
    response = open_request(server, client_id="signs", redirect_uri=CALLBACK, request=unsigned)
    assert error_of(response) == "invalid_request_object"
    assert error_of(client_of(server, "plain").authorize(request=unsigned)) == "request_not_supported"


def test_a_client_that_must_sign_cannot_go_without(server: IdpServer) -> None:
    """RFC 9101 §10.5: require_signed_request_object, at both endpoints; a signed object can be pushed."""
    client = client_of(server, "signs")
    assert error_of(client.authorize(login_hint="alice")) == "invalid_request"
    credentials = KEY.assertion("signs", server.issuer)
    assert push(server, {**client.parameters(), **credentials}, None).json()["error"] == "invalid_request"
    token = KEY.request_object("signs", server.issuer, client.parameters(login_hint="alice"))
    answer = push(server, {"request": token, "client_id": "signs", **KEY.assertion("signs", server.issuer)}, None)
    code = code_of(open_request(server, client_id="signs", request_uri=answer.json()["request_uri"]))
    assert client.token(code=code, **KEY.assertion("signs", server.issuer)).status_code == 200


# --- client assertions ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "token"},
        {"aud": "list"},
        {"aud": None},
        {"iss": "plain"},
        {"sub": None},
        {"exp": None},
        {"exp": 1},
        {"exp": int(time.time()) + 90_000},
        {"iat": int(time.time()) + 90_000},
        {"jti": None},
        {"header": {"kid": "k1", "typ": "oauth-authz-req+jwt"}},
        {"key": ClientKey()},
    ],
    ids=_named,
)
def test_a_wrong_client_assertion_is_refused(server: IdpServer, wrong: dict[str, Any]) -> None:
    """Checklist 42: aud is the issuer as a string only (no endpoint's address), exp, jti, typ, key."""
    audiences = {"token": f"{server.issuer}/token", "list": [server.issuer]}
    if "aud" in wrong:
        wrong = {"aud": audiences.get(wrong["aud"])}
    key = wrong.pop("key", KEY) if "key" in wrong else KEY
    url = f"{server.issuer}/revoke"
    right = requests.post(url, data={"token": "x", **KEY.assertion("signs", server.issuer)}, timeout=TIMEOUT_SECONDS)
    assert right.status_code == 200, right.text
    form = {"token": "x", **key.assertion("signs", server.issuer, **wrong)}
    answer = requests.post(url, data=form, timeout=TIMEOUT_SECONDS)
    assert answer.json()["error"] == "invalid_client"


def test_a_client_assertion_is_used_once(server: IdpServer) -> None:
    """Checklist 42: jti single use, at every endpoint together; no second credential beside it."""
    form = {"token": "x", **KEY.assertion("signs", server.issuer)}
    for path, expected in (("revoke", 200), ("revoke", 400), ("introspect", 400), ("par", 400)):
        answer = requests.post(f"{server.issuer}/{path}", data=form, timeout=TIMEOUT_SECONDS)
        assert answer.status_code == expected
    fresh = {"token": "x", **KEY.assertion("signs", server.issuer), "client_secret": "x"}
    answer = requests.post(f"{server.issuer}/revoke", data=fresh, timeout=TIMEOUT_SECONDS)
    assert answer.json()["error"] == "invalid_request"


def test_a_secret_does_not_replace_the_key(server: IdpServer) -> None:
    """Checklist 41: each client authenticates in the way it is registered for."""
    form = {"token": "x", "client_id": "signs"}
    for changes in ({}, {"client_secret": ""}, {"client_secret": "x"}):
        answer = requests.post(f"{server.issuer}/revoke", data={**form, **changes}, timeout=TIMEOUT_SECONDS)
        assert answer.json()["error"] == "invalid_client"
    form = {"token": "x", **KEY.assertion("pushes", server.issuer)}
    answer = requests.post(f"{server.issuer}/revoke", data=form, timeout=TIMEOUT_SECONDS)
    assert answer.json()["error"] == "invalid_client"


# --- authorization_details ---


def test_details_are_shown_and_carried(server: IdpServer) -> None:
    """RFC 9396 §7 and §9: on the consent page every time, then in the response and in the token."""
    client, person = client_of(server, "plain"), Person(server.issuer)
    page = person.sign_in(client, "bob", authorization_details=json.dumps(REFUND))
    for words in ("Refund an order", "order-7", "amount: {&#34;minor&#34;: 500}"):
        assert words in page.text
    answer = person.press(page, "allow")
    body = client.token(code=answer_of(answer.headers["Location"])["code"]).json()
    assert body["authorization_details"] == REFUND
    assert payload_of(body["access_token"])["authorization_details"] == REFUND
    again = person.open(f"{server.issuer}/authorize", client.parameters(authorization_details=json.dumps(REFUND)))
    assert "Refund an order" in again.text
    without = person.open(f"{server.issuer}/authorize", client.parameters())
    assert "code" in answer_of(without.headers["Location"])


def test_details_can_be_narrowed_and_not_widened(server: IdpServer) -> None:
    """RFC 9396 §6: at the token endpoint and at each refresh."""
    client = client_of(server, "plain")
    client.scope = "openid offline_access"
    other = {"type": "refund", "identifier": "order-8"}
    code = client.code(authorization_details=json.dumps([*REFUND, other]))
    wrong = json.dumps([{**other, "identifier": "order-9"}])
    assert client.token(code=code, authorization_details=wrong).json()["error"] == "invalid_authorization_details"
    body = client.token(code=code, authorization_details=json.dumps([other])).json()
    assert body["authorization_details"] == [other]
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "code_verifier": None}
    answer = client.token(**form, authorization_details=wrong)
    assert answer.json()["error"] == "invalid_authorization_details"
    assert client.token(**form).json()["authorization_details"] == [*REFUND, other]


@pytest.mark.parametrize(
    "details",
    [
        "{",
        "{}",
        "[]",
        "[1]",
        '[{"actions": ["x"]}]',
        '[{"type": "payment"}]',
        '[{"type": "unknown"}]',
        '[{"type": "refund", "actions": "x"}]',
        '[{"type": "refund", "identifier": 1}]',
        '[{"type": "refund", "identifier": "a", "identifier": "b"}]',
        json.dumps([{"type": "refund"}] * 11),
    ],
)
def test_details_of_another_form_or_type_are_refused(server: IdpServer, details: str) -> None:
    """RFC 9396 §5: unknown or unregistered types, wrong fields, repeated members."""
    client = client_of(server, "plain")
    accepted = client.authorize(login_hint="bob", authorization_details=json.dumps(REFUND))
    assert "code" in answer_of(accepted.headers["Location"])
    refused = client.authorize(login_hint="bob", authorization_details=details)
    assert error_of(refused) == "invalid_authorization_details"
