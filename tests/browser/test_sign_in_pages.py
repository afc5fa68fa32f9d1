"""What a person at a browser sees: sign in, the orders, sign out, and the consent that a third party asks for."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import take_picture
from tests.support.shop import Shop

pytestmark = pytest.mark.requires("chromium")


def sign_in(page: Page, shop: Shop, person: str) -> None:
    page.goto(f"{shop.api}/sign-in")
    page.get_by_role("link", name="Continue with").click()
    page.get_by_role("button", name=person).click()


def test_person_signs_in_sees_their_orders_and_signs_out(page: Page, shop: Shop) -> None:
    """From the sign-in page through the provider to the account page, and out again in both places."""
    page.goto(f"{shop.api}/")
    expect(page).to_have_url(f"{shop.api}/sign-in")
    take_picture(page, "sign-in")
    page.get_by_role("link", name="Continue with").click()
    expect(page.get_by_role("button", name="Alice Ahlberg")).to_be_visible()
    take_picture(page, "provider")
    page.get_by_role("button", name="Alice Ahlberg").click()

    expect(page).to_have_url(f"{shop.api}/account")
    expect(page.get_by_role("heading", name="Hello, Alice Ahlberg")).to_be_visible()
    rows = page.get_by_role("table").get_by_role("row")
    assert rows.count() >= 4  # a header and at least her three seeded orders
    expect(page.get_by_text("customer", exact=True)).to_be_visible()
    take_picture(page, "account")

    cookies = {cookie["name"]: cookie for cookie in page.context.cookies(shop.api)}
    session = cookies["__Host-session"]
    assert (session["secure"], session["httpOnly"], session["sameSite"]) == (True, True, "Lax")

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{shop.api}/sign-in")
    assert "__Host-session" not in {cookie["name"] for cookie in page.context.cookies(shop.api)}
    page.goto(f"{shop.api}/account")
    expect(page).to_have_url(f"{shop.api}/sign-in?return_to=/account")


def test_two_people_see_different_orders(page: Page, shop: Shop) -> None:
    """Bob's account page holds none of Alice's orders."""
    sign_in(page, shop, "Bob Brandt")
    expect(page.get_by_role("heading", name="Hello, Bob Brandt")).to_be_visible()
    bob = page.get_by_role("table").inner_text()
    page.context.clear_cookies()
    sign_in(page, shop, "Alice Ahlberg")
    expect(page.get_by_role("heading", name="Hello, Alice Ahlberg")).to_be_visible()
    assert page.get_by_role("table").inner_text() != bob


def test_person_denies_the_sign_in(page: Page, shop: Shop) -> None:
    """ "Deny" at the provider leads back to a page that says that nothing was shared; there is no session."""
    page.goto(f"{shop.api}/sign-in")
    page.get_by_role("link", name="Continue with").click()
    page.get_by_role("button", name="Deny").click()
    page.wait_for_url(f"{shop.api}/auth/callback/**")
    expect(page.get_by_text("You did not allow the sign-in. Nothing was shared.")).to_be_visible()
    assert "__Host-session" not in {cookie["name"] for cookie in page.context.cookies(shop.api)}


def test_third_party_asks_for_consent_and_names_itself(page: Page, shop: Shop) -> None:
    """The consent page names the client and each thing it may do, in words."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
    request = {
        "response_type": "code",
        "client_id": "example-cli",
        "redirect_uri": "http://127.0.0.1:49152/callback",
        "scope": "orders:read products:read",
        "state": "s",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    page.goto(f"{shop.idp.issuer}/authorize?{urlencode(request)}")
    page.get_by_role("button", name="Alice Ahlberg").click()
    expect(page.get_by_text("Example command-line client").first).to_be_visible()
    expect(page.get_by_text("See your orders")).to_be_visible()
    expect(page.get_by_role("button", name="Allow")).to_be_visible()
    take_picture(page, "consent")


def test_keyboard_reaches_the_sign_in_button(page: Page, shop: Shop) -> None:
    """Tab goes to the skip link, the name, and the provider's button; Enter follows it."""
    page.goto(f"{shop.api}/sign-in")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Continue with")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{shop.idp.issuer}/**")
