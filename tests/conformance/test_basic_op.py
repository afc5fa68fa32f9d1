"""What the modules of the OpenID Foundation's plans "Basic OP" and "Config OP" check, one test for each module.

Written from the modules' names and published intent. As the plan does, requests carry a nonce and no PKCE, at the
conformance issuer; the module that uses PKCE says so.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc import jws, jwt
from joserfc.jwk import KeySet

from idp_mock.testing import TIMEOUT_SECONDS, OAuthClient, Person, answer_of
from tests.conformance.conftest import SECRET, Provider

WEB = "https://web.example/callback"
NO_PKCE: dict[str, str | None] = {"code_challenge": None, "code_challenge_method": None}


class Plan:
    """The client of the plan with its browser."""

    def __init__(self, provider: Provider) -> None:
        self.issuer = f"{provider.issuer}/op"
        self.client = OAuthClient(self.issuer, "web", WEB, "openid", secret=SECRET)
        self.person = Person(self.issuer)

    def open(self, **changes: str | None) -> requests.Response:
        """An authorization request in the browser: a page, or the redirect back."""
        return self.person.open(self.client.address("authorize"), self.client.parameters(**{**NO_PKCE, **changes}))

    def answer(self, user: str = "alice", **changes: str | None) -> dict[str, str]:
        """The answer, after a sign-in where there is a page for it."""
        page = self.open(**changes)
        while "Location" not in page.headers:
            page = self.person.press(page, "user", user) if "Sign in" in page.text else self.person.press(page, "allow")
        return answer_of(page.headers["Location"])

    def redeem(self, code: str, **changes: str | None) -> requests.Response:
        return self.client.token(code=code, **{"code_verifier": None, **changes})

    def tokens(self, **changes: str | None) -> dict[str, Any]:
        response = self.redeem(self.answer(**changes)["code"])
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body

    def claims(self, **changes: str | None) -> dict[str, Any]:
        return self.verified(self.tokens(**changes)["id_token"])

    def verified(self, token: str) -> dict[str, Any]:
        keys = KeySet.import_key_set(requests.get(self.client.address("jwks"), timeout=TIMEOUT_SECONDS).json())
        return dict(jwt.decode(token, keys, ["ES256", "RS256"]).claims)

    def userinfo(self, **changes: str | None) -> dict[str, Any]:
        claims: dict[str, Any] = self.client.userinfo(self.tokens(**changes)["access_token"]).json()
        return claims


@pytest.fixture
def plan(provider: Provider) -> Plan:
    return Plan(provider)


def test_oidcc_discovery_endpoint_verification(plan: Plan) -> None:
    """Config OP: required members, exact issuer, reachable keys without private members."""
    document = requests.get(f"{plan.issuer}/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS).json()
    assert document["issuer"] == plan.issuer
    for member in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert document[member].startswith(plan.issuer)
    for member in ("response_types_supported", "subject_types_supported", "scopes_supported", "claims_supported"):
        assert document[member]
    assert "code" in document["response_types_supported"]
    assert "openid" in document["scopes_supported"]
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    keys = requests.get(document["jwks_uri"], timeout=TIMEOUT_SECONDS).json()["keys"]
    assert keys
    assert not any({"d", "p", "q", "k"} & set(key) for key in keys)
    assert len({key["kid"] for key in keys}) == len(keys)


def test_oidcc_server(plan: Plan) -> None:
    """The happy flow: code, ID token for this client with this nonce, userinfo of the same subject."""
    answer = plan.answer(nonce="n-1", state="s-1")
    assert answer["state"] == "s-1"
    body = plan.redeem(answer["code"]).json()
    claims = plan.verified(body["id_token"])
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (plan.issuer, "web", "n-1")
    assert claims["exp"] > time.time() > claims["iat"] - 5
    assert body["token_type"] == "Bearer"
    assert plan.client.userinfo(body["access_token"]).json()["sub"] == claims["sub"]


def test_oidcc_response_type_missing(plan: Plan) -> None:
    """An error to the client, not a code."""
    assert plan.answer()["code"]
    assert answer_of(plan.open(response_type=None).headers["Location"])["error"] == "invalid_request"


def test_oidcc_idtoken_signature(plan: Plan) -> None:
    """Asymmetric, by a published key that the header names."""
    token = plan.tokens()["id_token"]
    header = jws.extract_compact(token.encode()).headers()
    assert header["alg"] == "ES256"
    keys = requests.get(plan.client.address("jwks"), timeout=TIMEOUT_SECONDS).json()["keys"]
    assert header["kid"] in {key["kid"] for key in keys}
    assert plan.verified(token)["sub"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_oidcc_userinfo_get_and_post_header(plan: Plan, method: str) -> None:
    """UserInfo by both methods, the token in the header."""
    headers = {"Authorization": f"Bearer {plan.tokens()['access_token']}"}
    answer = requests.request(method, plan.client.address("userinfo"), headers=headers, timeout=TIMEOUT_SECONDS)
    assert answer.status_code == 200
    assert answer.json()["sub"]


def test_oidcc_userinfo_post_body(plan: Plan) -> None:
    """The token in a form is refused, which the module allows: RFC 9700 §4.3.2 wants it in the header."""
    token = plan.tokens()["access_token"]
    assert plan.client.userinfo(token).status_code == 200
    form = {"access_token": token}
    assert requests.post(plan.client.address("userinfo"), data=form, timeout=TIMEOUT_SECONDS).status_code == 401


def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(plan: Plan) -> None:
    """A nonce is optional for the code flow; here PKCE is what then protects the code."""
    answer = answer_of(_pkce_page(plan, nonce=None).headers["Location"])
    body = plan.client.token(code=answer["code"]).json()
    assert "nonce" not in plan.verified(body["id_token"])


def _pkce_page(plan: Plan, **changes: str | None) -> requests.Response:
    page = plan.person.open(plan.client.address("authorize"), plan.client.parameters(**changes))
    return page if "Location" in page.headers else plan.person.press(page, "user", "alice")


@pytest.mark.parametrize(
    ("scope", "claims"),
    [("profile", {"name", "preferred_username"}), ("email", {"email", "email_verified"})],
    ids=["profile", "email"],
)
def test_oidcc_scope(plan: Plan, scope: str, claims: set[str]) -> None:
    """oidcc-scope-profile, -email: the claims of the scope, and no others."""
    assert set(plan.userinfo(scope=f"openid {scope}")) == {"sub", *claims}


def test_oidcc_ensure_other_scope_order_succeeds(plan: Plan) -> None:
    """`openid` need not come first."""
    assert plan.claims(scope="email openid")["sub"]


@pytest.mark.parametrize("display", ["page", "popup"])
def test_oidcc_display(plan: Plan, display: str) -> None:
    """oidcc-display-page, -popup: no error."""
    assert plan.answer(display=display)["code"]


def test_oidcc_prompt_login(plan: Plan) -> None:
    """The person signs in again, and auth_time is of the second time."""
    first = plan.claims(max_age="15000")
    time.sleep(1.1)
    page = plan.open(prompt="login")
    assert "Sign in" in page.text
    done = plan.person.press(page, "user", "alice")
    second = plan.verified(plan.redeem(answer_of(done.headers["Location"])["code"]).json()["id_token"])
    assert second["auth_time"] > first["auth_time"]
    assert second["sub"] == first["sub"]


def test_oidcc_prompt_none_not_logged_in(plan: Plan) -> None:
    """login_required, with the state."""
    answer = answer_of(plan.open(prompt="none", state="s-2").headers["Location"])
    assert (answer["error"], answer["state"]) == ("login_required", "s-2")


def test_oidcc_prompt_none_logged_in(plan: Plan) -> None:
    """No page, the same subject and the same auth_time."""
    first = plan.claims()
    page = plan.open(prompt="none")
    second = plan.verified(plan.redeem(answer_of(page.headers["Location"])["code"]).json()["id_token"])
    assert (second["sub"], second["auth_time"]) == (first["sub"], first["auth_time"])


def test_oidcc_max_age_1(plan: Plan) -> None:
    """Older than a second: sign in again; auth_time is there."""
    first = plan.claims()
    time.sleep(2.1)
    page = plan.open(max_age="1")
    assert "Sign in" in page.text
    done = plan.person.press(page, "user", "alice")
    second = plan.verified(plan.redeem(answer_of(done.headers["Location"])["code"]).json()["id_token"])
    assert second["auth_time"] > first["auth_time"]


def test_oidcc_max_age_10000(plan: Plan) -> None:
    """Young enough: no page, auth_time unchanged."""
    first = plan.claims()
    page = plan.open(max_age="10000")
    second = plan.verified(plan.redeem(answer_of(page.headers["Location"])["code"]).json()["id_token"])
    assert second["auth_time"] == first["auth_time"]


@pytest.mark.parametrize(
    "extra",
    [{"extra": "foobar"}, {"ui_locales": "se"}, {"claims_locales": "se"}, {"acr_values": "1 2"}, {"login_hint": "bob"}],
    ids=["unknown-parameter", "ui_locales", "claims_locales", "acr_values", "login_hint"],
)
def test_oidcc_ensure_request_succeeds_with(plan: Plan, extra: dict[str, str]) -> None:
    """oidcc-ensure-request-with-unknown-parameter-succeeds, -ui-locales, -claims-locales, -acr-values, -login-hint."""
    assert plan.answer(**extra)["code"]


def test_oidcc_id_token_hint(plan: Plan) -> None:
    """With prompt=none and the ID token as a hint: the same subject without a page."""
    hint = plan.tokens()["id_token"]
    page = plan.open(prompt="none", id_token_hint=hint)
    assert plan.verified(plan.redeem(answer_of(page.headers["Location"])["code"]).json()["id_token"])["sub"]


@pytest.mark.parametrize("wait_seconds", [0, 1])
def test_oidcc_codereuse(plan: Plan, wait_seconds: int) -> None:
    """oidcc-codereuse and, with a shorter wait, -30seconds: invalid_grant; the first access token is dead."""
    code = plan.answer()["code"]
    token = plan.redeem(code).json()["access_token"]
    assert plan.client.userinfo(token).status_code == 200
    time.sleep(wait_seconds)
    again = plan.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert plan.client.userinfo(token).status_code == 401


def test_oidcc_ensure_registered_redirect_uri(plan: Plan) -> None:
    """An unregistered address: a page that says so, never a redirect."""
    assert plan.answer()["code"]
    page = plan.open(redirect_uri="https://web.example/other")
    assert page.status_code == 400
    assert "redirect URI is not registered" in page.text


def test_oidcc_redirect_uri_query_ok_and_added_and_mismatch(plan: Plan) -> None:
    """A registered query is kept; one that was added or changed is refused."""
    page = plan.open(redirect_uri=f"{WEB}?kept=1")
    done = plan.person.press(page, "user", "alice")
    assert parse_qs(urlsplit(done.headers["Location"]).query)["kept"] == ["1"]
    for wrong in (f"{WEB}?other=1", f"{WEB}?kept=2", f"{WEB}?kept=1&more=1"):
        assert plan.open(redirect_uri=wrong).status_code == 400


def test_oidcc_ensure_post_request_succeeds(plan: Plan) -> None:
    """The authorization request as a form."""
    page = plan.person.post(plan.client.address("authorize"), plan.client.parameters(**NO_PKCE))
    assert "code" in answer_of(plan.person.press(page, "user", "alice").headers["Location"])


def test_oidcc_server_client_secret_post(plan: Plan) -> None:
    """The secret in the form instead of the header."""
    code = plan.answer()["code"]
    plan.client.secret = None
    assert plan.redeem(code, client_secret=SECRET).json()["id_token"]


def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(plan: Plan) -> None:
    """An unsigned request object is refused with an error of its own: nobody vouches for it."""
    assert plan.answer()["code"]
    page = plan.open(request="eyJhbGciOiJub25lIn0.e30.")
    error = answer_of(page.headers["Location"])["error"] if "Location" in page.headers else "page"
    assert error in ("request_not_supported", "invalid_request_object")


def test_oidcc_refresh_token(plan: Plan) -> None:
    """New tokens; the new ID token has the same iss, sub and aud, and a newer iat."""
    body = plan.tokens(scope="openid offline_access")
    first = plan.verified(body["id_token"])
    form = {"grant_type": "refresh_token", "redirect_uri": None, "code_verifier": None}
    answer = plan.client.token(refresh_token=body["refresh_token"], **form)
    assert answer.status_code == 200, answer.text
    second = plan.verified(answer.json()["id_token"])
    for member in ("iss", "sub", "aud", "auth_time"):
        assert second[member] == first[member]
    assert second["iat"] >= first["iat"]
    assert answer.json()["access_token"] != body["access_token"]
    stolen = OAuthClient(plan.issuer, "second", "https://second.example/callback", secret=SECRET)
    token = answer.json()["refresh_token"]
    refused = stolen.token(refresh_token=token, **form)
    assert refused.json()["error"] == "invalid_grant"


def test_oidcc_ensure_request_with_valid_pkce_succeeds(plan: Plan) -> None:
    """S256 works at the conformance issuer too."""
    answer = answer_of(_pkce_page(plan).headers["Location"])
    assert plan.client.token(code=answer["code"]).status_code == 200
