"""What the modules of the OpenID Foundation's plan "FAPI 2.0 Security Profile" check, one test for each.

The variant: pushed requests, private_key_jwt, DPoP, plain OpenID Connect. Written from names and published intent.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from idp_mock.testing import TIMEOUT_SECONDS, Person, answer_of, pkce_pair
from tests.conformance.conftest import Provider
from tests.conformance.fapi_client import FapiClient


@pytest.fixture
def fapi(provider: Provider) -> FapiClient:
    return FapiClient(provider.issuer, provider.private_jwk)


def tokens(fapi: FapiClient, **changes: str | None) -> dict[str, Any]:
    response = fapi.token(code=fapi.code(**changes))
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def verified(fapi: FapiClient, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(requests.get(f"{fapi.issuer}/jwks", timeout=TIMEOUT_SECONDS).json())
    return dict(jwt.decode(token, keys, ["ES256"]).claims)


def error_of(response: requests.Response) -> str:
    if "Location" in response.headers:
        return answer_of(response.headers["Location"])["error"]
    return "page" if "html" in response.headers["Content-Type"] else str(response.json()["error"])


def test_discovery_end_point_verification(fapi: FapiClient) -> None:
    """PAR, private_key_jwt, DPoP, S256, `iss` in responses; no `plain`, no `none` algorithm."""
    url = f"{fapi.issuer}/.well-known/openid-configuration"
    document = requests.get(url, timeout=TIMEOUT_SECONDS).json()
    assert document["pushed_authorization_request_endpoint"]
    assert "private_key_jwt" in document["token_endpoint_auth_methods_supported"]
    assert "ES256" in document["dpop_signing_alg_values_supported"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert "none" not in document["id_token_signing_alg_values_supported"]


def test_happy_flow(fapi: FapiClient) -> None:
    """A pushed request, a bound token, userinfo with the key; the ID token has the nonce."""
    body = tokens(fapi)
    assert body["token_type"] == "DPoP"
    assert verified(fapi, body["id_token"])["nonce"] == "n-1"
    assert verified(fapi, body["access_token"])["cnf"]["jkt"] == fapi.dpop_key.thumbprint()
    assert fapi.userinfo(body["access_token"]).json()["sub"] == verified(fapi, body["id_token"])["sub"]


def test_user_rejects_authentication(fapi: FapiClient) -> None:
    """access_denied with state and iss."""
    assert fapi.code()
    person = Person(fapi.issuer)
    request_uri = fapi.pushed(login_hint=None)
    page = person.open(f"{fapi.issuer}/authorize", {"client_id": fapi.client_id, "request_uri": request_uri})
    answer = answer_of(person.press(page, "deny").headers["Location"])
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "s-1", fapi.issuer)


@pytest.mark.parametrize("parameter", ["state", "nonce"])
def test_ensure_authorization_request_without_succeeds(fapi: FapiClient, parameter: str) -> None:
    """-without-state-success, -without-nonce-success: both are optional, and are not invented."""
    location = fapi.authorize(fapi.pushed(**{parameter: None})).headers["Location"]
    answer = answer_of(location)
    assert ("state" in answer) is (parameter != "state")
    claims = verified(fapi, fapi.token(code=answer["code"]).json()["id_token"])
    assert ("nonce" in claims) is (parameter != "nonce")


def test_ensure_unsigned_authorization_request_without_using_par_fails(fapi: FapiClient) -> None:
    """The same parameters, not pushed."""
    assert fapi.code()
    answer = requests.get(
        f"{fapi.issuer}/authorize", params=fapi.request_parameters(), allow_redirects=False, timeout=TIMEOUT_SECONDS
    )
    assert error_of(answer) in ("invalid_request", "page")
    assert "code=" not in answer.headers.get("Location", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
    ],
    ids=["missing", "plain", "default"],
)
def test_par_ensure_pkce_required_and_plain_rejected(fapi: FapiClient, changes: dict[str, str | None]) -> None:
    """-par-ensure-pkce-required, -par-plain-pkce-rejected: refused at once, or when the request is used."""
    assert fapi.code()
    response = fapi.push(**changes)
    if response.status_code == 201:
        response = fapi.authorize(response.json()["request_uri"])
    assert error_of(response) == "invalid_request"


def test_ensure_pkce_code_verifier_required_and_incorrect_refused(fapi: FapiClient) -> None:
    """-ensure-token-endpoint-fails-with-incorrect or missing verifier."""
    assert tokens(fapi)
    for verifier in ("", pkce_pair()[0]):
        code = fapi.code()
        assert error_of(fapi.token(code=code, code_verifier=verifier)) in ("invalid_request", "invalid_grant")


def test_par_attempt_reuse_request_uri(fapi: FapiClient) -> None:
    """One use."""
    request_uri = fapi.pushed()
    assert "code=" in fapi.authorize(request_uri).headers["Location"]
    again = fapi.authorize(request_uri)
    assert "code=" not in again.headers.get("Location", "")


def test_par_attempt_to_use_request_uri_for_different_client(fapi: FapiClient, provider: Provider) -> None:
    """Bound to the client that pushed it."""
    request_uri = fapi.pushed()
    other = fapi.authorize(request_uri, client_id="web")
    assert "Location" not in other.headers
    assert "code=" in fapi.authorize(fapi.pushed()).headers["Location"]


def test_par_authorization_request_containing_request_uri(fapi: FapiClient) -> None:
    """A pushed request cannot name another."""
    request_uri = fapi.pushed()
    assert error_of(fapi.push(request_uri=request_uri)) == "invalid_request"


def test_par_authorization_request_containing_invalid_redirect_uri(fapi: FapiClient) -> None:
    """Refused where it is pushed: nobody is sent anywhere."""
    assert fapi.pushed()
    assert fapi.push(redirect_uri="https://attacker.example/").status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_000_000_000, "iat": 999_999_999},
        {"exp": None},
        {"aud": "https://attacker.example"},
        {"iss": "web"},
        {"sub": "web"},
        {"jti": None},
    ],
    ids=["expired", "exp-missing", "aud", "iss", "sub", "jti-missing"],
)
def test_ensure_client_assertion_is_checked(fapi: FapiClient, changes: dict[str, Any]) -> None:
    """-par-ensure-client-assertion-… and -ensure-client-assertion-in-token-endpoint-…: `invalid_client`."""
    assert tokens(fapi)
    wrong = fapi.push(assertion=fapi.assertion(**changes))
    assert (wrong.status_code in (400, 401), wrong.json()["error"]) == (True, "invalid_client")
    code = fapi.code()
    assert error_of(fapi.token(code=code, assertion=fapi.assertion(**changes))) == "invalid_client"


def test_ensure_client_assertion_audience_is_the_issuer(fapi: FapiClient) -> None:
    """FAPI 2.0 §5.3.2.1: the issuer as one string; an endpoint or an array is refused."""
    assert fapi.push(assertion=fapi.assertion(aud=fapi.issuer)).status_code == 201
    for audience in (f"{fapi.issuer}/token", [fapi.issuer, "https://attacker.example"]):
        assert error_of(fapi.push(assertion=fapi.assertion(aud=audience))) == "invalid_client"


def test_ensure_client_assertion_is_used_once(fapi: FapiClient) -> None:
    """A replayed assertion is no authentication (checklist 42)."""
    assertion = fapi.assertion()
    assert fapi.push(assertion=assertion).status_code == 201
    assert error_of(fapi.push(assertion=assertion)) == "invalid_client"


def test_ensure_client_id_and_assertion_are_required(fapi: FapiClient) -> None:
    """No authentication at all."""
    assert fapi.pushed()
    assert error_of(fapi.push(assertion={})) == "invalid_client"


@pytest.mark.parametrize("wait_seconds", [0, 1.1])
def test_attempt_reuse_authorization_code(fapi: FapiClient, wait_seconds: float) -> None:
    """-attempt-reuse-authorization-code-after-one-second: invalid_grant, and the first token is dead."""
    code = fapi.code()
    first = fapi.token(code=code).json()
    time.sleep(wait_seconds)
    assert error_of(fapi.token(code=code)) == "invalid_grant"
    assert fapi.userinfo(first["access_token"]).status_code == 401


def test_ensure_authorization_code_is_bound_to_client(fapi: FapiClient, provider: Provider) -> None:
    """Another client with the same key and verifier."""
    other = FapiClient(provider.issuer, provider.private_jwk, "signed", "https://signed.example/callback")
    code = fapi.code()
    other.verifier = fapi.verifier
    assert error_of(other.token(code=code)) == "invalid_grant"


def test_ensure_holder_of_key_required(fapi: FapiClient) -> None:
    """No proof, no token."""
    assert tokens(fapi)
    assert fapi.token(proof=None, code=fapi.code()).status_code == 400


def test_refresh_token(fapi: FapiClient) -> None:
    """New bound tokens for the client with its key; not without a proof."""
    body = tokens(fapi)
    answer = fapi.token(grant_type="refresh_token", refresh_token=body["refresh_token"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["token_type"] == "DPoP"
    later = answer.json()["refresh_token"]
    assert fapi.token(proof=None, grant_type="refresh_token", refresh_token=later).status_code == 400


def test_access_token_type_header_case_sensitivity(fapi: FapiClient) -> None:
    """The scheme name in any case (RFC 9110 §11.1)."""
    token = tokens(fapi)["access_token"]
    for scheme in ("DPoP", "dpop", "DPOP"):
        assert fapi.userinfo(token, scheme).status_code == 200
    assert fapi.userinfo(token, "Bearer").status_code == 401


def test_dpop_negative_tests(fapi: FapiClient) -> None:
    """Proofs for another method, address, token, time or key, without a `jti`, or used twice."""
    token = tokens(fapi)["access_token"]
    assert fapi.userinfo(token).status_code == 200
    for changes in (
        {"htm": "POST"},
        {"htu": f"{fapi.issuer}/token"},
        {"ath": "x" * 43},
        {"ath": None},
        {"iat": int(time.time()) - 3600},
        {"iat": int(time.time()) + 3600},
        {"jti": None},
    ):
        assert fapi.userinfo(token, **changes).status_code == 401, changes
    used = fapi.proof("GET", f"{fapi.issuer}/userinfo", token)
    headers = {"Authorization": f"DPoP {token}", "DPoP": used}
    url = f"{fapi.issuer}/userinfo"
    assert requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS).status_code == 200
    assert requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS).status_code == 401
    fapi.dpop_key = ECKey.generate_key("P-256")
    assert fapi.userinfo(token).status_code == 401
