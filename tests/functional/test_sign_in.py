"""Signing in and out without a screen: what travels, what is kept, and what ends a session."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from secure_api.audit import AuditRecord
from tests.support.cookie_browser import CookieBrowser
from tests.support.shop import ALICE, MIA, Shop

SESSION, LOGIN = "__Host-session", "__Host-login"
HOST = "127.0.0.1"


def begin(shop: Shop, browser: CookieBrowser, return_to: str = "/account") -> str:
    """The authorization request that our sign-in sends the browser to."""
    answer = browser.request("GET", f"{shop.api}/auth/login/mock?{urlencode({'return_to': return_to})}")
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def callback_address(shop: Shop, browser: CookieBrowser, user: str = ALICE) -> str:
    """Sign in at the provider and stop just before our callback: its address with code and state."""
    answer = browser.follow(f"{begin(shop, browser)}&login_hint={user}", stop_before=f"{shop.api}/auth/callback")
    return answer.headers["Location"]


def sign_in(shop: Shop, user: str = ALICE) -> CookieBrowser:
    """A browser that is signed in."""
    browser = CookieBrowser()
    answer = browser.request("GET", callback_address(shop, browser, user))
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"] == "/account"
    assert SESSION in browser.cookies[HOST]
    return browser


def changed(address: str, **parameters: str | None) -> str:
    """The address with some query parameters set, or taken away where None."""
    parts = urlsplit(address)
    query = {**dict(parse_qsl(parts.query)), **parameters}
    return parts._replace(query=urlencode({k: v for k, v in query.items() if v is not None})).geturl()


def latest_event(shop: Shop, name: str) -> AuditRecord:
    with Session(shop.engine) as session:
        return session.query(AuditRecord).filter(AuditRecord.event == name).order_by(AuditRecord.at.desc()).first()


def test_person_signs_in_and_sees_their_orders(shop: Shop) -> None:
    """The account page has the person's name and orders; the same session opens the API."""
    browser = sign_in(shop)
    page = browser.request("GET", f"{shop.api}/account")
    assert page.status_code == 200
    assert "Alice Ahlberg" in page.text
    assert "only for staff" not in page.text
    assert browser.request("GET", f"{shop.api}/api/v1/orders").json()["data"]
    event = latest_event(shop, "authn_login_success")
    assert event.body["actor"]["issuer"] == shop.idp.issuer


def test_authorization_request_is_fresh_and_complete(shop: Shop) -> None:
    """Code flow, S256, and state, nonce and challenge that no two sign-ins share (checklist line 64)."""
    first, second = (parse_qs(urlsplit(begin(shop, CookieBrowser())).query) for _ in range(2))
    assert first["response_type"] == ["code"]
    assert first["code_challenge_method"] == ["S256"]
    assert first["redirect_uri"] == [f"{shop.api}/auth/callback/mock"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 43
        assert first[name] != second[name]


def test_cookies_are_host_bound_and_hidden_from_scripts(shop: Shop) -> None:
    """`__Host-`, Secure, HttpOnly, SameSite, no Domain, path / (checklist line 72)."""
    browser = sign_in(shop)
    lines = [line for answer in browser.history for line in answer.raw.headers.getlist("Set-Cookie")
             if answer.url.startswith(shop.api)]  # fmt: skip
    assert {line.partition("=")[0] for line in lines} == {SESSION, LOGIN}
    for line in lines:
        attributes = {part.strip().partition("=")[0].lower() for part in line.split(";")[1:]}
        assert {"secure", "httponly", "samesite", "path"} <= attributes
        assert "domain" not in attributes
        assert "Path=/" in line
        assert len(line) < 4096


def test_tokens_never_reach_the_browser(shop: Shop) -> None:
    """No answer of ours to the browser holds a token, in body or header (checklist line 70)."""
    browser = sign_in(shop)
    browser.request("GET", f"{shop.api}/account")
    ours = [answer for answer in browser.history if answer.url.startswith(shop.api)]
    assert len(ours) >= 3
    for answer in ours:
        assert not re.search(r"eyJ[\w-]+\.eyJ", answer.text + str(answer.headers))


def test_session_is_kept_as_a_hash_and_the_id_token_sealed(shop: Shop) -> None:
    """A reader of the database can use nothing of it."""
    browser = sign_in(shop)
    with shop.engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM browser_sessions")).all())
    assert browser.cookies[HOST][SESSION] not in kept
    assert "eyJ" not in kept


def test_sign_in_gives_a_new_session_and_ends_the_old_one(shop: Shop) -> None:
    """Session fixation: the id from before the sign-in opens nothing afterwards (checklist line 71)."""
    browser = sign_in(shop)
    old = browser.cookies[HOST][SESSION]
    assert browser.request("GET", f"{shop.api}/api/v1/orders").status_code == 200
    browser.request("GET", callback_address(shop, browser, ALICE))
    assert browser.cookies[HOST][SESSION] != old
    assert browser.request("GET", f"{shop.api}/api/v1/orders").status_code == 200
    replay = CookieBrowser()
    replay.cookies[HOST] = {SESSION: old}
    assert replay.request("GET", f"{shop.api}/api/v1/orders").status_code == 401


BAD_CALLBACKS = {
    "no state": {"state": None},
    "another state": {"state": "x" * 43},
    "no issuer": {"iss": None},
    "another issuer": {"iss": "https://evil.example"},
    "no code": {"code": None},
    "a made-up code": {"code": "x" * 43},
    "an error": {"code": None, "error": "server_error"},
}


@pytest.mark.parametrize("name", BAD_CALLBACKS)
def test_attacker_cannot_complete_a_sign_in_with(shop: Shop, name: str) -> None:
    """No session, one event with a reason, and a page that says what to do (checklist lines 64 to 66)."""
    assert SESSION in sign_in(shop).cookies[HOST]
    browser = CookieBrowser()
    address = changed(callback_address(shop, browser), **BAD_CALLBACKS[name])
    answer = browser.request("GET", address)
    assert answer.status_code == 400
    assert SESSION not in browser.cookies[HOST]
    assert "Start again" in answer.text
    [event] = shop.events_of(answer)
    assert event["event"] == "authn_login_fail"
    assert event["reason"]


def test_callback_cannot_be_used_twice(shop: Shop) -> None:
    """The transaction is single use."""
    browser = CookieBrowser()
    address = callback_address(shop, browser)
    login_cookie = browser.cookies[HOST][LOGIN]
    assert browser.request("GET", address).status_code == 303
    again = CookieBrowser()
    again.cookies[HOST] = {LOGIN: login_cookie}
    assert again.request("GET", address).status_code == 400
    assert SESSION not in again.cookies[HOST]


def test_attacker_cannot_finish_a_sign_in_in_the_victims_browser(shop: Shop) -> None:
    """Login CSRF: a callback address of another browser opens no session, and still works in its own (line 78)."""
    attacker, victim = CookieBrowser(), CookieBrowser()
    begin(shop, victim)
    address = callback_address(shop, attacker)
    assert victim.request("GET", address).status_code == 400
    assert SESSION not in victim.cookies[HOST]
    assert attacker.request("GET", address).status_code == 303


def test_two_tabs_can_sign_in_side_by_side(shop: Shop) -> None:
    """A second sign-in in the same browser does not break the first."""
    browser = CookieBrowser()
    first, second = callback_address(shop, browser), callback_address(shop, browser)
    login_cookie = browser.cookies[HOST][LOGIN]
    assert browser.request("GET", first).status_code == 303
    browser.cookies[HOST][LOGIN] = login_cookie
    assert browser.request("GET", second).status_code == 303


def test_denied_sign_in_explains_itself(shop: Shop) -> None:
    """`access_denied` from the provider is a friendly page, not a failure."""
    browser = CookieBrowser()
    address = changed(callback_address(shop, browser), code=None, error="access_denied")
    answer = browser.request("GET", address)
    assert answer.status_code == 400
    assert "You did not allow the sign-in" in answer.text
    assert [event["reason"] for event in shop.events_of(answer)] == ["access_denied"]


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/%2fevil.example",
                                    "/%0d%0aSet-Cookie:x=1", "javascript:alert(1)", "/a\tb", "%2f%2fevil"])  # fmt: skip
def test_attacker_cannot_send_the_browser_elsewhere_after_sign_in(shop: Shop, target: str) -> None:
    """`return_to` leads to paths of ours only (checklist line 76)."""
    for wanted, expected in (("/account?offset=0", "/account?offset=0"), (target, "/account")):
        browser = CookieBrowser()
        first = f"{begin(shop, browser, wanted)}&login_hint={ALICE}"
        stopped = browser.follow(first, stop_before=f"{shop.api}/auth/callback")
        assert browser.request("GET", stopped.headers["Location"]).headers["Location"] == expected


def test_sign_out_ends_the_session_here_and_at_the_provider(shop: Shop) -> None:
    """The cookie opens nothing any more; the browser is sent on to the provider's logout (checklist line 77)."""
    browser = sign_in(shop)
    page = browser.request("GET", f"{shop.api}/account").text
    [token] = re.findall(r'name="csrf_token" value="(\w+)"', page)
    cookie = browser.cookies[HOST][SESSION]
    answer = browser.request(
        "POST", f"{shop.api}/auth/logout", data={"csrf_token": token}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(shop.idp.issuer)
    assert "cookies" in answer.headers["Clear-Site-Data"]
    assert SESSION not in browser.cookies[HOST]
    replay = CookieBrowser()
    replay.cookies[HOST] = {SESSION: cookie}
    assert replay.request("GET", f"{shop.api}/api/v1/orders").status_code == 401
    assert [event["event"] for event in shop.events_of(answer)] == ["session_ended"]


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, "own"),
        ({"Sec-Fetch-Site": "same-site"}, "own"),
        ({"Origin": "https://evil.example"}, "own"),
        ({"Origin": "null"}, "own"),
        ({}, "own"),
        ({"Sec-Fetch-Site": "same-origin"}, None),
        ({"Sec-Fetch-Site": "same-origin"}, "0" * 64),
    ],
)
def test_another_site_cannot_sign_a_person_out(shop: Shop, headers: dict[str, str], token: str | None) -> None:
    """Either wall alone refuses: where the request comes from, and the form's token."""
    browser = sign_in(shop)
    [own] = re.findall(r'name="csrf_token" value="(\w+)"', browser.request("GET", f"{shop.api}/account").text)
    form = {"csrf_token": own if token == "own" else token} if token else {}
    answer = browser.request("POST", f"{shop.api}/auth/logout", data=form, headers=headers)
    assert answer.status_code == 403
    assert browser.request("GET", f"{shop.api}/api/v1/orders").status_code == 200
    good = browser.request(
        "POST", f"{shop.api}/auth/logout", data={"csrf_token": own}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert good.status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF": "1"},
        {"Sec-Fetch-Site": "same-origin"},
        {"X-CSRF": "1", "Sec-Fetch-Site": "cross-site"},
        {"X-CSRF": "1", "Origin": "https://evil.example"},
    ],
)
def test_another_site_cannot_write_with_a_persons_cookie(shop: Shop, headers: dict[str, str]) -> None:
    """A cookie-authenticated write needs the custom header and our own origin (checklist line 75)."""
    order_id = shop.add_order(status="new")
    browser = sign_in(shop, MIA)
    address = f"{shop.api}/api/v1/orders/{order_id}"
    refused = browser.request("PATCH", address, json={"status": "paid"}, headers=headers)
    assert refused.status_code == 403
    assert shop.order_status(order_id) == "new"
    own = {"X-CSRF": "1", "Origin": shop.api}
    assert browser.request("PATCH", address, json={"status": "paid"}, headers=own).status_code == 200


def test_authorization_header_makes_the_cookie_ignored(shop: Shop) -> None:
    """A bad token beside a good cookie is refused: the explicit credential counts (checklist line 15)."""
    browser = sign_in(shop)
    assert browser.request("GET", f"{shop.api}/api/v1/orders").status_code == 200
    answer = browser.request("GET", f"{shop.api}/api/v1/orders", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401


def test_token_cannot_open_a_page_for_sessions(shop: Shop) -> None:
    """The account page takes sessions only; the API takes the same token."""
    assert shop.call("GET", "/api/v1/orders", shop.token(ALICE)).status_code == 200
    assert shop.call("GET", "/account", shop.token(ALICE)).status_code == 403


def test_anonymous_visitor_is_led_to_the_sign_in_page(shop: Shop) -> None:
    """The account page of nobody is the sign-in page that leads back to it."""
    answer = CookieBrowser().request("GET", f"{shop.api}/account")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/sign-in?return_to=/account"
    page = CookieBrowser().request("GET", f"{shop.api}/sign-in")
    assert "Continue with" in page.text


def test_roles_follow_the_providers_groups_at_sign_in(shop: Shop) -> None:
    """Mia is a manager because the provider says so at her sign-in."""
    browser = sign_in(shop, MIA)
    assert ">manager<" in browser.request("GET", f"{shop.api}/account").text
