"""Cross-site request forgery: each wall by itself."""

from __future__ import annotations

from uuid import uuid4

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from secure_api.errors import CsrfRefused
from secure_api.web.csrf import FormTokens, require_csrf_header, require_same_origin

BASE_URL = "https://api.example.com"
KEY = "a secret key of the tests, long enough"


def sent(**headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(EnvironBuilder(method="POST", headers=named).get_environ())


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "same-origin"},
        {"Origin": BASE_URL},
        {"Sec_Fetch_Site": "same-origin", "Origin": BASE_URL},
    ],
)
def test_our_own_page_may_write(headers: dict[str, str]) -> None:
    require_same_origin(sent(**headers), BASE_URL)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing said"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, id="cross-site"),
        pytest.param({"Sec_Fetch_Site": "same-site"}, id="a sibling domain"),
        pytest.param({"Sec_Fetch_Site": "none"}, id="typed address"),
        pytest.param({"Sec_Fetch_Site": ""}, id="empty site"),
        pytest.param({"Sec_Fetch_Site": "Same-Origin"}, id="other casing"),
        pytest.param({"Sec_Fetch_Site": "cross-site", "Origin": BASE_URL}, id="site says no, origin says yes"),
        pytest.param({"Sec_Fetch_Site": "same-origin", "Origin": "https://evil.example"}, id="origin says no"),
        pytest.param({"Origin": "null"}, id="null"),
        pytest.param({"Origin": ""}, id="empty origin"),
        pytest.param({"Origin": "http://api.example.com"}, id="other scheme"),
        pytest.param({"Origin": BASE_URL + ":8443"}, id="other port"),
        pytest.param({"Origin": BASE_URL + "/"}, id="trailing slash"),
        pytest.param({"Origin": BASE_URL + ".evil.example"}, id="our name as a prefix"),
        pytest.param({"Origin": "https://evil-api.example.com"}, id="our name as a suffix"),
        pytest.param({"Referer": BASE_URL + "/account"}, id="only a referer"),
        pytest.param({"Host": "api.example.com"}, id="only a host"),
    ],
)
def test_another_site_cannot_write_with_the_cookie(headers: dict[str, str]) -> None:
    """The browser's own words about the sender decide, and silence is a refusal."""
    with pytest.raises(CsrfRefused):
        require_same_origin(sent(**headers), BASE_URL)


def test_a_base_url_with_a_path_has_the_origin_that_browsers_send() -> None:
    require_same_origin(sent(Origin=BASE_URL), f"{BASE_URL}/shop")
    with pytest.raises(CsrfRefused):
        require_same_origin(sent(Origin=f"{BASE_URL}/shop"), f"{BASE_URL}/shop")


@pytest.mark.parametrize("headers", [{}, {"X_CSRF": ""}, {"X_CSRF": "0"}, {"X_CSRF": "1, 1"}, {"X_CSRF_Token": "1"}])
def test_a_plain_form_cannot_write_without_the_header(headers: dict[str, str]) -> None:
    """No form and no simple cross-site request can send a header of its own."""
    require_csrf_header(sent(X_CSRF="1"))
    with pytest.raises(CsrfRefused):
        require_csrf_header(sent(**headers))


def test_a_form_token_is_good_for_its_session_only() -> None:
    tokens, session_id = FormTokens(KEY), uuid4()
    token = tokens.issue(session_id)
    tokens.verify(session_id, token)
    assert len(token) == 64
    assert FormTokens(KEY).issue(session_id) == token  # every worker knows it
    for other_id, found in (
        (uuid4(), token),
        (session_id, None),
        (session_id, ""),
        (session_id, token[:-1]),
        (session_id, token.upper()),
        (session_id, token + " "),
        (session_id, str(session_id)),
        (session_id, FormTokens(KEY + "x").issue(session_id)),
        (session_id, "é" * 64),
        (session_id, "\u0660" * 64),
    ):
        with pytest.raises(CsrfRefused):
            tokens.verify(other_id, found)


def test_a_form_token_does_not_tell_the_key() -> None:
    assert KEY not in FormTokens(KEY).issue(uuid4())
