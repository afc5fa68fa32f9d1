"""Signing in with a provider that answers rightly, and in every wrong way that a provider or an attacker can."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine, func, select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from secure_api.audit import AuditRecord
from secure_api.credentials.accounts import User, find_account
from secure_api.credentials.sessions import BrowserSession
from secure_api.login.transactions import LoginTransaction
from tests.unit.conftest import BASE_URL, MakeApp
from tests.unit.credentials.token_workshop import HEADER, compact, ec_jwk, rsa_jwk
from tests.unit.login.imaginary_provider import ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, CODE, Browser, ImaginaryProvider
from tests.unit.outbound.loopback_server import answer_json, redirect_to, running_server

TABLES = """
[providers.mock]
issuer = "{issuer}"
profile = "rfc9068"
audiences = ["{api}"]
login = true
client_id = "shop-web"
client_secret = "s3cr:t/ä"
login_scopes = ["openid", "profile", "email", "groups"]
provision = "{provision}"
{extra}
[providers.mock.roles]
shop-customers = "customer"
shop-managers = "manager"

[providers.second]
issuer = "https://second.example"
profile = "login-only"
login = true
client_id = "second"
client_secret = "x"

[providers.apionly]
issuer = "https://api-only.example"
profile = "rfc9068"
client_id = "api-only"
audiences = ["{api}"]
"""
NewBrowser = Callable[..., Browser]


@pytest.fixture
def provider() -> Iterator[ImaginaryProvider]:
    with running_server() as server:
        yield ImaginaryProvider(server)


@pytest.fixture
def new_browser(make_app: MakeApp, provider: ImaginaryProvider, tmp_path: Path) -> NewBrowser:
    """A browser at an application of its own; keyword arguments change the provider's table."""

    def make(*, provision: str = "login", extra: str = "") -> Browser:
        file = tmp_path / "tables.toml"
        file.write_text(TABLES.format(issuer=provider.issuer, api=BASE_URL, provision=provision, extra=extra))
        return Browser(make_app(identity_providers=file), provider)

    return make


@pytest.fixture
def browser(new_browser: NewBrowser) -> Browser:
    return new_browser()


@pytest.fixture
def reader(browser: Browser) -> Iterator[Session]:
    """A connection of the test's own to the application's database."""
    engine: Engine = create_engine(_database_url(browser.app))
    with Session(engine) as session:
        yield session
    engine.dispose()


def _database_url(app: Flask) -> str:
    return str(app.config["SQLALCHEMY_DATABASE_URI"])


def events(reader: Session) -> list[tuple[str, str | None]]:
    reader.rollback()
    rows = reader.scalars(select(AuditRecord).order_by(AuditRecord.at))
    return [(row.event, row.body["reason"]) for row in rows]


def assert_refused(answer: TestResponse, browser: Browser, reader: Session, reason: str) -> None:
    """A page that explains, no session, and one event with the reason."""
    assert answer.status_code == 400, answer.text
    assert answer.mimetype == "text/html"
    assert browser.session_cookie is None
    assert reader.scalar(select(func.count(BrowserSession.id))) == 0
    assert events(reader) == [("authn_login_fail", reason)]
    assert reason not in answer.text


# --- the way there -------------------------------------------------------------------------------------


def test_a_sign_in_asks_the_provider_with_state_nonce_and_pkce(browser: Browser) -> None:
    answer = browser.client.get("/auth/login/mock?return_to=/account")
    location = urlsplit(answer.headers["Location"])
    request = dict(parse_qsl(location.query))
    assert location._replace(query="").geturl() == f"{browser.provider.issuer}/authorize"
    for name in ("state", "nonce", "code_challenge"):
        assert len(request.pop(name)) >= 43
    assert request == {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": f"{BASE_URL}/auth/callback/mock",
        "scope": "openid profile email groups",
        "code_challenge_method": "S256",
    }
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-login=")
    assert cookie.endswith("; Secure; HttpOnly; Path=/; SameSite=Lax")
    assert "Max-Age=600" in cookie


@pytest.mark.parametrize("name", ["nobody", "apionly", "MOCK", "mock%00", "..%2f"])
def test_a_person_cannot_begin_a_sign_in_with_an_unknown_provider(browser: Browser, name: str) -> None:
    """Only providers whose table has `login = true` are offered and taken."""
    assert browser.client.get("/auth/login/mock").status_code == 303
    assert browser.client.get(f"/auth/login/{name}").status_code in {400, 404}


def test_a_provider_that_is_away_leaves_nothing_behind(browser: Browser, reader: Session) -> None:
    browser.provider.server.answers["/.well-known/openid-configuration"] = answer_json({}, status=500)
    answer = browser.client.get("/auth/login/mock")
    assert answer.status_code == 503
    assert "Set-Cookie" not in answer.headers
    assert reader.scalar(select(func.count()).select_from(LoginTransaction)) == 0


# --- the way back --------------------------------------------------------------------------------------


def test_a_right_answer_opens_a_session(browser: Browser, reader: Session) -> None:
    request = browser.begin(return_to="/account?tab=orders")
    answer = browser.come_back(request)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account?tab=orders")
    cookies = {line.partition("=")[0]: line for line in answer.headers.getlist("Set-Cookie")}
    assert cookies["__Host-session"].endswith("; Secure; HttpOnly; Path=/; SameSite=Lax")
    assert "Domain" not in "".join(cookies.values())
    assert "Max-Age=0" in cookies["__Host-login"]
    assert len(cookies["__Host-session"]) < 300
    assert events(reader) == [("user_created", None), ("authn_login_success", None)]
    account = find_account(reader, browser.provider.issuer, "usr_1")
    assert account is not None
    assert account.roles == {"customer"}
    page = browser.client.get("/account")
    assert page.status_code == 200
    assert "Alice Ahlberg" in page.text


def test_the_code_is_redeemed_with_the_verifier_and_the_clients_secret(browser: Browser) -> None:
    request = browser.begin()
    browser.come_back(request)
    ((headers, form),) = browser.provider.asked
    digest = hashlib.sha256(form.pop("code_verifier").encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == request["code_challenge"]
    assert form == {
        "grant_type": "authorization_code",
        "code": CODE,
        "redirect_uri": f"{BASE_URL}/auth/callback/mock",
    }
    # RFC 6749 §2.3.1: both halves are form-encoded first.
    expected = base64.b64encode(f"{CLIENT_ID}:{quote_plus(CLIENT_SECRET)}".encode()).decode()
    assert headers["Authorization"] == f"Basic {expected}"


def test_no_token_and_no_code_reaches_the_browser_or_the_audit_log(browser: Browser, reader: Session) -> None:
    answer = browser.sign_in()
    told = answer.text + str(answer.headers) + browser.client.get("/account").text
    kept = "".join(str(row.body) for row in reader.scalars(select(AuditRecord)))
    for secret in (ACCESS_TOKEN, CODE, CLIENT_SECRET, browser.provider.make_id_token().split(".")[0]):
        assert secret not in told
        assert secret not in kept
    sealed = reader.scalars(select(BrowserSession.sealed_id_token)).one()
    assert sealed is not None
    assert b"eyJ" not in sealed


def test_a_new_sign_in_makes_a_new_session_and_ends_the_old_one(browser: Browser, reader: Session) -> None:
    """An attacker who planted or knew the old session id has nothing afterwards."""
    browser.sign_in()
    old = browser.session_cookie
    assert browser.client.get("/account").status_code == 200
    browser.sign_in()
    assert browser.session_cookie not in {None, old}
    assert reader.scalar(select(func.count(BrowserSession.id))) == 1
    browser.client.set_cookie("__Host-session", old or "")
    assert browser.client.get("/account").status_code == 303


def test_a_planted_session_cookie_is_not_taken_over(browser: Browser) -> None:
    browser.client.set_cookie("__Host-session", "chosen-by-an-attacker")
    browser.sign_in()
    assert browser.session_cookie != "chosen-by-an-attacker"


def test_roles_follow_the_provider_at_each_sign_in(browser: Browser, reader: Session) -> None:
    browser.sign_in()
    browser.provider.claims["groups"] = ["shop-managers"]
    browser.sign_in()
    account = find_account(reader, browser.provider.issuer, "usr_1")
    assert account is not None
    assert account.roles == {"manager"}
    assert ("user_updated", None) in events(reader)


@pytest.mark.parametrize("groups", ["shop-customers", {"shop-customers": 1}, 5, [["shop-customers"]], [None]])
def test_groups_of_another_form_stand_for_no_role(browser: Browser, reader: Session, groups: Any) -> None:
    browser.provider.claims["groups"] = groups
    browser.sign_in()
    account = find_account(reader, browser.provider.issuer, "usr_1")
    assert account is None or account.roles <= {"customer"}
    if account is not None and not isinstance(groups, str):
        assert account.roles == frozenset()


# --- answers that are not what was asked for ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": None}, "issuer_missing"),
        ({"iss": "https://evil.example"}, "issuer_mismatch"),
        ({"iss": ""}, "issuer_mismatch"),
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "access_denied", "code": None}, "access_denied"),
        ({"error": "server_error", "error_description": "<script>"}, "provider_error"),
        ({"error": ""}, "provider_error"),
        ({"error": "access_denied", "iss": "https://evil.example"}, "issuer_mismatch"),
        ({"code": None}, "no_code"),
        ({"code": ""}, "no_code"),
        ({"code": "x" * 2049}, "no_code"),
        ({"state": "unknown"}, "unknown_transaction"),
        ({"state": None}, "unknown_transaction"),
    ],
)
def test_a_callback_cannot_open_a_session_with_a_wrong_answer(
    browser: Browser, reader: Session, changes: Mapping[str, str | None], reason: str
) -> None:
    """Mix-up, denial, errors, and answers without what belongs in them."""
    assert_refused(browser.sign_in(**changes), browser, reader, reason)
    assert browser.provider.asked == []  # the code went nowhere
    assert Browser(browser.app, browser.provider).sign_in().status_code == 303


def test_a_callback_cannot_repeat_a_parameter(browser: Browser) -> None:
    """Two parsers could each take another one."""
    request = browser.begin()
    path = f"/auth/callback/mock?code=a&code=b&state={request['state']}&iss={browser.provider.issuer}"
    assert browser.client.get(path).status_code == 400
    assert browser.session_cookie is None
    assert browser.come_back(request).status_code == 303


def test_unknown_parameters_of_a_callback_are_ignored(browser: Browser) -> None:
    assert browser.sign_in(session_state="x", scope="openid").status_code == 303


def test_another_browser_cannot_end_the_sign_in(browser: Browser, reader: Session) -> None:
    """An attacker's callback link gives the victim no session of the attacker's account."""
    request = browser.begin()
    victim = Browser(browser.app, browser.provider)
    assert_refused(victim.come_back(request), victim, reader, "other_browser")
    assert browser.come_back(request).status_code == 303


def test_another_provider_cannot_end_the_sign_in(browser: Browser, reader: Session) -> None:
    """The provider of the path must be the one that was asked."""
    request = browser.begin()
    assert_refused(browser.come_back(request, name="second"), browser, reader, "other_provider")
    assert browser.come_back(request).status_code == 303


def test_a_callback_cannot_be_replayed(browser: Browser, reader: Session) -> None:
    """Not by the same browser either, and also not after a failure."""
    request = browser.begin()
    browser.provider.token_members = {"id_token": None}
    assert browser.come_back(request).status_code == 400
    browser.provider.token_members = {}
    assert browser.come_back(request).status_code == 400
    assert events(reader) == [("authn_login_fail", "no_id_token"), ("authn_login_fail", "unknown_transaction")]
    assert len(browser.provider.asked) == 1


@pytest.mark.parametrize(
    ("claims", "header", "reason"),
    [
        ({"nonce": "of another sign-in"}, {}, "id_token_nonce_mismatch"),
        ({"nonce": None}, {}, "id_token_claim_missing"),
        ({"aud": "another-client"}, {}, "id_token_wrong_audience"),
        ({"aud": [CLIENT_ID, "another-client"]}, {}, "id_token_wrong_audience"),
        ({"azp": "another-client"}, {}, "id_token_wrong_party"),
        ({"iss": "https://evil.example"}, {}, "id_token_wrong_issuer"),
        ({"exp": 1_700_000_000, "iat": 1_699_999_000}, {}, "id_token_expired"),
        ({"sub": None}, {}, "id_token_claim_missing"),
        ({"sub": ""}, {}, "id_token_claim_invalid"),
        ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, {}, "id_token_at_hash_mismatch"),
        ({}, {"typ": "at+jwt"}, "id_token_wrong_type"),
        ({}, {"kid": "unknown"}, "id_token_unknown_key"),
        ({}, {"kid": None}, "id_token_unsupported_header"),
        ({}, {"alg": "none"}, "id_token_unsigned"),
        ({}, {"alg": "HS256"}, "id_token_algorithm_not_allowed"),
    ],
)
def test_a_wrong_id_token_cannot_open_a_session(
    browser: Browser, reader: Session, claims: dict[str, Any], header: dict[str, Any], reason: str
) -> None:
    """Each check of OIDC Core §3.1.3.7 by itself."""
    browser.provider.claims, browser.provider.header = claims, header
    assert_refused(browser.sign_in(), browser, reader, reason)


def test_an_id_token_of_another_key_cannot_open_a_session(browser: Browser, reader: Session) -> None:
    """The signature is checked with the provider's published key."""
    browser.provider.signing_key = "attacker"
    assert_refused(browser.sign_in(), browser, reader, "id_token_bad_signature")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"id_token": None}, "no_id_token"),
        ({"id_token": 5}, "no_id_token"),
        ({"access_token": None}, "no_id_token"),
        ({"token_type": "mac"}, "token_type"),
        ({"token_type": None}, "token_type"),
        ({"id_token": "x"}, "id_token_malformed"),
        ({"id_token": ""}, "id_token_malformed"),
    ],
)
def test_a_wrong_token_response_cannot_open_a_session(
    browser: Browser, reader: Session, members: dict[str, Any], reason: str
) -> None:
    """Authlib would take some of these."""
    browser.provider.token_members = members
    if members.get("id_token") == "":
        browser.provider.id_token = None
    assert_refused(browser.sign_in(), browser, reader, reason)


def test_a_refused_code_cannot_open_a_session(browser: Browser, reader: Session) -> None:
    """The provider's words stay in our log."""
    browser.provider.token_answer = answer_json({"error": "invalid_grant", "error_description": "canary"}, status=400)
    answer = browser.sign_in()
    assert "canary" not in answer.text
    assert_refused(answer, browser, reader, "code_refused")


@pytest.mark.parametrize(
    "answer",
    [
        answer_json({}, status=500),
        answer_json(b"<html>", content_type="text/html"),
        answer_json(b"[]"),
        answer_json(b'{"id_token": "a", "id_token": "b"}'),
        answer_json({"x": "y" * 300_000}),
        redirect_to("https://evil.example/token"),
    ],
    ids=["500", "HTML", "no object", "duplicate", "huge", "redirect"],
)
def test_a_provider_that_misbehaves_opens_no_session(browser: Browser, reader: Session, answer: Any) -> None:
    """503: it is the provider's fault, and the person may try again. The attempt is on record."""
    browser.provider.token_answer = answer
    answered = browser.sign_in()
    assert answered.status_code == 503
    assert browser.session_cookie is None
    assert reader.scalar(select(func.count(BrowserSession.id))) == 0
    ((name, reason),) = events(reader)
    assert name == "authn_login_fail"
    assert reason
    assert CODE not in reason


# --- UserInfo --------------------------------------------------------------------------------------------


def test_userinfo_completes_what_the_id_token_lacks(browser: Browser, reader: Session) -> None:
    browser.provider.claims = {"groups": None, "email": None, "email_verified": None, "name": None}
    browser.provider.userinfo(
        sub="usr_1", groups=["shop-managers"], email="alice@shop.example", email_verified=True, name="Alice"
    )
    assert browser.sign_in().status_code == 303
    user = reader.scalars(select(User)).one()
    assert (user.email, user.name) == ("alice@shop.example", "Alice")
    account = find_account(reader, browser.provider.issuer, "usr_1")
    assert account is not None
    assert account.roles == {"manager"}
    headers = next(headers for headers, _ in browser.provider.server.received if "Authorization" in headers)
    assert headers["Authorization"].startswith("Basic ")
    assert browser.provider.server.received[-1][0]["Authorization"] == f"Bearer {ACCESS_TOKEN}"


def test_userinfo_is_not_asked_where_the_id_token_says_all(browser: Browser) -> None:
    browser.provider.userinfo(sub="usr_1", groups=["shop-managers"])
    assert browser.sign_in().status_code == 303
    assert browser.provider.server.asked["/userinfo"] == 0


@pytest.mark.parametrize("subject", ["usr_2", "", None, 5, ["usr_1"]])
def test_userinfo_of_somebody_else_cannot_open_a_session(browser: Browser, reader: Session, subject: Any) -> None:
    """An access token of another person, slipped in, must not give his groups."""
    browser.provider.claims = {"groups": None}
    browser.provider.userinfo(sub=subject, groups=["shop-managers"])
    assert_refused(browser.sign_in(), browser, reader, "userinfo_subject")


def test_userinfo_does_not_go_over_the_id_token(browser: Browser, reader: Session) -> None:
    browser.provider.claims = {"name": None}
    browser.provider.userinfo(sub="usr_1", groups=["shop-managers"], name="Alice")
    browser.sign_in()
    account = find_account(reader, browser.provider.issuer, "usr_1")
    assert account is not None
    assert account.roles == {"customer"}


def test_a_verified_address_is_one_that_the_same_answer_calls_verified(browser: Browser, reader: Session) -> None:
    """The ID token's address must not be vouched for by what UserInfo says of another one."""
    browser.provider.claims = {"groups": None, "email": "victim@shop.example", "email_verified": None}
    browser.provider.userinfo(sub="usr_1", groups=[], email="own@evil.example", email_verified=True)
    browser.sign_in()
    assert reader.scalars(select(User)).one().email is None


@pytest.mark.parametrize("name", ["Al\x00ice", "Al\nice", "x" * 300, "", 5, None])
def test_a_name_of_odd_form_does_not_stop_a_sign_in(browser: Browser, reader: Session, name: Any) -> None:
    browser.provider.claims = {"name": name}
    assert browser.sign_in().status_code == 303
    kept = reader.scalars(select(User)).one().name
    assert kept is None or (kept.isprintable() and len(kept) <= 200)


# --- who may sign in ------------------------------------------------------------------------------------------

DOMAINS = 'allowed_domains = ["corp.example"]'


@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        ({"hd": "corp.example"}, True),
        ({"hd": "corp.example", "email": "a@elsewhere.example"}, True),
        ({"email": "a@corp.example", "email_verified": True}, True),
        ({"email": "a@CORP.example", "email_verified": True}, True),
        ({"email": "a@corp.example", "email_verified": False}, False),
        ({"email": "a@corp.example", "email_verified": "true"}, False),
        ({"email": "a@corp.example", "email_verified": None}, False),
        ({"email": "a@evil-corp.example", "email_verified": True}, False),
        ({"email": "a@corp.example.evil.example", "email_verified": True}, False),
        ({"email": "a@corp.example@evil.example", "email_verified": True}, False),
        ({"email": None}, False),
        ({"hd": "evil.example", "email": "a@corp.example", "email_verified": True}, False),
    ],
)
def test_a_person_of_another_domain_cannot_sign_in(
    new_browser: NewBrowser, claims: dict[str, Any], allowed: bool
) -> None:
    """The provider's word on the domain counts, or a verified address where it says none."""
    browser = new_browser(extra=DOMAINS)
    browser.provider.claims = claims
    assert browser.sign_in().status_code == (303 if allowed else 400)
    assert (browser.session_cookie is not None) is allowed


def test_an_unknown_person_cannot_sign_in_where_the_provider_makes_no_accounts(new_browser: NewBrowser) -> None:
    """`provision = "never"`: an administrator makes the accounts."""
    browser = new_browser(provision="never")
    answer = browser.sign_in()
    assert answer.status_code == 400
    assert "Ask the administrator" in answer.text
    assert browser.session_cookie is None


def test_a_disabled_user_cannot_sign_in_and_loses_open_sessions(browser: Browser, reader: Session) -> None:
    """At once, and in every open browser."""
    browser.sign_in()
    assert browser.client.get("/account").status_code == 200
    reader.execute(update(User).values(disabled=True))
    reader.commit()
    assert browser.client.get("/account").status_code == 303
    second = Browser(browser.app, browser.provider)
    assert second.sign_in().status_code == 400
    assert events(reader)[-1] == ("authn_login_fail", "user_disabled")


# --- signing out ------------------------------------------------------------------------------------------------


def form_token(browser: Browser) -> str:
    page = browser.client.get("/account").text
    return page.partition('name="csrf_token" value="')[2].partition('"')[0]


def sign_out(browser: Browser, token: str | None, origin: str | None = BASE_URL) -> TestResponse:
    headers = {} if origin is None else {"Origin": origin}
    return browser.client.post("/auth/logout", data={} if token is None else {"csrf_token": token}, headers=headers)


def test_signing_out_ends_the_session_here_and_at_the_provider(browser: Browser, reader: Session) -> None:
    browser.sign_in()
    cookie = browser.session_cookie
    answer = sign_out(browser, form_token(browser))
    location = urlsplit(answer.headers["Location"])
    query = dict(parse_qsl(location.query))
    assert answer.status_code == 303
    assert location._replace(query="").geturl() == f"{browser.provider.issuer}/logout"
    assert query["post_logout_redirect_uri"] == f"{BASE_URL}/"
    assert query["client_id"] == CLIENT_ID
    assert answer.headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'
    assert "__Host-session=; " in answer.headers["Set-Cookie"]
    assert reader.scalar(select(func.count(BrowserSession.id))) == 0
    assert events(reader)[-1] == ("session_ended", None)
    browser.client.set_cookie("__Host-session", cookie or "")
    assert browser.client.get("/account").status_code == 303


def test_signing_out_works_while_the_provider_is_away(make_app: MakeApp, browser: Browser) -> None:
    browser.sign_in()
    browser.provider.publish(end_session_endpoint=None)
    fresh = Browser(browser.app, browser.provider)
    assert fresh.sign_in().status_code == 303
    answer = sign_out(fresh, form_token(fresh))
    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("token", "origin"),
    [
        ("right", None),
        ("right", "https://evil.example"),
        ("right", "null"),
        (None, BASE_URL),
        ("", BASE_URL),
        ("wrong", BASE_URL),
        ("é", BASE_URL),
    ],
)
def test_another_site_cannot_sign_a_person_out(browser: Browser, token: str | None, origin: str | None) -> None:
    """Origin and form token are both needed."""
    browser.sign_in()
    right = form_token(browser)
    assert sign_out(browser, right if token == "right" else token, origin).status_code == 403
    assert browser.client.get("/account").status_code == 200
    assert sign_out(browser, right).status_code == 303


def test_signing_out_without_a_session_is_harmless(browser: Browser) -> None:
    answer = sign_out(browser, None)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?signed_out=1")


def test_the_form_token_of_one_session_cannot_end_another(browser: Browser) -> None:
    """A token that an attacker got for his own session is worth nothing elsewhere."""
    browser.sign_in()
    attacker = Browser(browser.app, browser.provider)
    attacker.sign_in()
    assert sign_out(browser, form_token(attacker)).status_code == 403
    assert sign_out(browser, form_token(browser)).status_code == 303


def test_a_key_of_another_family_is_not_confused(browser: Browser) -> None:
    """A token signed by RSA under the `kid` of an EC key is refused."""
    browser.provider.server.publish([rsa_jwk("mock", "key-1", alg="RS256"), ec_jwk("ec", "key-2", alg="ES256")])
    browser.provider.publish()
    browser.provider.header = {"kid": "key-2"}
    assert browser.sign_in().status_code == 400
    browser.provider.header = {}
    assert browser.sign_in().status_code == 303


def test_an_access_token_cannot_stand_for_an_id_token(browser: Browser, reader: Session) -> None:
    """Both are signed by the same key."""
    request = browser.begin()
    claims = {"iss": browser.provider.issuer, "aud": BASE_URL, "sub": "usr_1", "nonce": request["nonce"]}
    browser.provider.id_token = compact({**HEADER, "kid": "key-1"}, {**claims, "iat": 1, "exp": 9_999_999_999})
    assert browser.come_back(request).status_code == 400
    assert browser.session_cookie is None
