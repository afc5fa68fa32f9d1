"""Ending the session, by a client's wish or the person's (OpenID Connect RP-Initiated Logout 1.0)."""

from __future__ import annotations

import pytest
import requests

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient, Person, answer_of

HOME = "http://127.0.0.1:8000/"
WEB = "http://127.0.0.1:8000/auth/callback/mock"


class SignedIn:
    """A person with a session, through the web client, and that client's ID token."""

    def __init__(self, idp: IdpServer, name: str = "alice") -> None:
        self.person = Person(idp.issuer)
        self.client = OAuthClient(idp.issuer, "shop-web", WEB, "openid profile", secret=idp.shop_web_secret)
        done = self.person.sign_in(self.client, name)
        body = self.client.token(code=answer_of(done.headers["Location"])["code"]).json()
        self.id_token: str = body["id_token"]
        self.access_token: str = body["access_token"]

    def logout(self, **parameters: str) -> requests.Response:
        return self.person.open(f"{self.client.issuer}/logout", parameters)

    @property
    def has_session(self) -> bool:
        response = self.person.open(f"{self.client.issuer}/authorize", self.client.parameters(prompt="none"))
        return "code" in answer_of(response.headers["Location"])


def test_a_client_ends_the_session_it_proves_to_know(idp: IdpServer) -> None:
    """RP-Initiated Logout §2, §3: with the ID token no question, back to the registered address with state."""
    signed_in = SignedIn(idp)
    assert signed_in.has_session
    done = signed_in.logout(id_token_hint=signed_in.id_token, post_logout_redirect_uri=HOME, state="s 1")
    assert (done.status_code, done.headers["Location"]) == (303, f"{HOME}?state=s+1")
    assert not signed_in.has_session


@pytest.mark.parametrize(
    "uri",
    [f"{HOME}x", HOME.rstrip("/"), "https://attacker.example/", f"{HOME}?x=1", "javascript:alert(1)"],
)
def test_logout_never_redirects_to_an_unregistered_address(idp: IdpServer, uri: str) -> None:
    """RP-Initiated Logout §3: the session ends, the browser stays here."""
    signed_in = SignedIn(idp)
    done = signed_in.logout(id_token_hint=signed_in.id_token, post_logout_redirect_uri=uri)
    assert done.status_code == 200
    assert "You are signed out" in done.text
    assert not signed_in.has_session


def test_without_proof_the_person_is_asked(idp: IdpServer) -> None:
    """RP-Initiated Logout §6: a link alone cannot sign anybody out."""
    signed_in = SignedIn(idp)
    page = signed_in.logout(client_id="shop-web", post_logout_redirect_uri=HOME)
    assert "Sign out?" in page.text
    assert "Secure Shop" in page.text
    assert signed_in.has_session
    assert "still signed in" in signed_in.person.press(page, "stay").text
    assert signed_in.has_session
    done = signed_in.person.press(signed_in.logout(client_id="shop-web", post_logout_redirect_uri=HOME), "leave")
    assert (done.status_code, done.headers["Location"]) == (303, HOME)
    assert not signed_in.has_session


def test_another_sessions_token_does_not_end_this_one(idp: IdpServer) -> None:
    """RP-Initiated Logout §2: the hint's sid is of another session, so the person is asked."""
    signed_in, other = SignedIn(idp), SignedIn(idp)
    page = signed_in.logout(id_token_hint=other.id_token)
    assert "Sign out?" in page.text
    assert signed_in.has_session
    assert "You are signed out" in other.logout(id_token_hint=other.id_token).text


def test_wrong_hints_are_refused_and_never_redirect(idp: IdpServer) -> None:
    """RP-Initiated Logout §4: an access token, a foreign token or garbage is an error page; the session stays."""
    signed_in = SignedIn(idp)
    foreign = idp.mint({"iss": "https://elsewhere.example", "aud": "shop-web"}, header={"typ": "JWT"})
    unknown_key = idp.mint({"aud": "shop-web"}, header={"typ": "JWT"}, key="unknown")
    for hint in (signed_in.access_token, foreign, unknown_key, "garbage"):
        refused = signed_in.logout(id_token_hint=hint, post_logout_redirect_uri=HOME)
        assert refused.status_code == 400
    mismatch = signed_in.logout(id_token_hint=signed_in.id_token, client_id="example-cli")
    assert mismatch.status_code == 400
    twice = signed_in.person.open(f"{idp.issuer}/logout?state=1&state=2")
    assert twice.status_code == 400
    assert signed_in.has_session


def test_without_a_session_and_without_proof_nobody_is_redirected(idp: IdpServer) -> None:
    """RP-Initiated Logout §3: a registered address is not enough."""
    stranger = Person(idp.issuer)
    page = stranger.open(f"{idp.issuer}/logout", {"client_id": "shop-web", "post_logout_redirect_uri": HOME})
    assert page.status_code == 200
    assert "You are signed out" in page.text


def test_a_posted_logout_is_the_same_logout(idp: IdpServer) -> None:
    """RP-Initiated Logout §2: POST is supported; it becomes a GET so that the session cookie comes along."""
    signed_in = SignedIn(idp)
    form = {"id_token_hint": signed_in.id_token, "post_logout_redirect_uri": HOME}
    first = requests.post(f"{idp.issuer}/logout", data=form, allow_redirects=False, timeout=TIMEOUT_SECONDS)
    assert first.status_code == 303
    assert signed_in.has_session
    done = signed_in.person.post(f"{idp.issuer}/logout", form)
    assert done.headers["Location"] == HOME
    assert not signed_in.has_session


def test_a_stranger_cannot_confirm_a_logout(idp: IdpServer) -> None:
    """Checklist 52: the confirmation is CSRF-protected."""
    signed_in = SignedIn(idp)
    page = signed_in.logout()
    url = f"{idp.issuer}/logout/confirm"
    assert signed_in.person.post(url, {"leave": "1"}).status_code == 400
    assert signed_in.has_session
    assert "You are signed out" in signed_in.person.press(page, "leave").text
