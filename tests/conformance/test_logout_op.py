"""What the modules of the OpenID Foundation's plan "RP-Initiated Logout OP" check, one test for each.

The plan "Back-Channel Logout OP" adds `oidcc-backchannel-rp-initiated-logout`: see test_idp_mock_backchannel.py.
"""

from __future__ import annotations

import pytest
import requests

from idp_mock.testing import TIMEOUT_SECONDS, OAuthClient, Person, answer_of
from tests.conformance.conftest import SECRET, Provider

BYE = "https://web.example/bye"


class SignedIn:
    """A session with an ID token of the client `web`."""

    def __init__(self, provider: Provider) -> None:
        self.client = OAuthClient(provider.issuer, "web", "https://web.example/callback", "openid", secret=SECRET)
        self.person = Person(provider.issuer)
        done = self.person.sign_in(self.client)
        self.id_token: str = self.client.token(code=answer_of(done.headers["Location"])["code"]).json()["id_token"]

    def end(self, **parameters: str) -> requests.Response:
        return self.person.open(self.client.address("logout"), parameters)

    @property
    def lives(self) -> bool:
        page = self.person.open(self.client.address("authorize"), self.client.parameters(prompt="none"))
        return "code" in answer_of(page.headers["Location"])


@pytest.fixture
def session(provider: Provider) -> SignedIn:
    signed_in = SignedIn(provider)
    assert signed_in.lives
    return signed_in


def test_oidcc_rp_initiated_logout_discovery_endpoint_verification(provider: Provider) -> None:
    """`end_session_endpoint` is published; for the back-channel plan also its two members."""
    url = f"{provider.issuer}/.well-known/openid-configuration"
    document = requests.get(url, timeout=TIMEOUT_SECONDS).json()
    assert document["end_session_endpoint"].startswith(provider.issuer)
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True


def test_oidcc_rp_initiated_logout(session: SignedIn) -> None:
    """Hint, address and state: back to the client with the state, and prompt=none says login_required."""
    done = session.end(id_token_hint=session.id_token, post_logout_redirect_uri=BYE, state="s-1")
    assert done.headers["Location"] == f"{BYE}?state=s-1"
    assert not session.lives


def test_oidcc_rp_initiated_logout_no_state(session: SignedIn) -> None:
    """No state sent, none returned."""
    done = session.end(id_token_hint=session.id_token, post_logout_redirect_uri=BYE)
    assert done.headers["Location"] == BYE
    assert not session.lives


@pytest.mark.parametrize("wrong", [f"{BYE}?added=1", "https://attacker.example/", f"{BYE}/more"])
def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(session: SignedIn, wrong: str) -> None:
    """Also -query-added-to-post-logout-redirect-uri: no redirect."""
    done = session.end(id_token_hint=session.id_token, post_logout_redirect_uri=wrong, state="s-1")
    assert "Location" not in done.headers


def test_oidcc_rp_initiated_logout_modified_id_token_hint(session: SignedIn) -> None:
    """Also -bad-id-token-hint: an error page, no redirect, and the session stays."""
    head, payload, signature = session.id_token.split(".")
    for hint in (f"{head}.{payload}.{signature[:-4]}AAAA", "bad"):
        done = session.end(id_token_hint=hint, post_logout_redirect_uri=BYE, state="s-1")
        assert done.status_code == 400
        assert "Location" not in done.headers
    assert session.lives


def test_oidcc_rp_initiated_logout_no_id_token_hint(session: SignedIn) -> None:
    """No hint: the person is asked before anything happens."""
    page = session.end(post_logout_redirect_uri=BYE, client_id="web")
    assert "Sign out?" in page.text
    assert session.lives
    assert session.person.press(page, "leave").headers["Location"] == BYE
    assert not session.lives


@pytest.mark.parametrize("parameters", [{}, {"state": "s-1"}], ids=["no-params", "only-state"])
def test_oidcc_rp_initiated_logout_no_params(session: SignedIn, parameters: dict[str, str]) -> None:
    """Also -only-state: asked, then signed out here, with no redirect."""
    page = session.end(**parameters)
    done = session.person.press(page, "leave")
    assert "You are signed out" in done.text
    assert not session.lives


def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(session: SignedIn) -> None:
    """Signed out here; nowhere to go."""
    assert "You are signed out" in session.end(id_token_hint=session.id_token, state="s-1").text
    assert not session.lives
