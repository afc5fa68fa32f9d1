"""What a person allowed: listed, and taken back with everything that came of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from idp_mock.testing import IdpServer, OAuthClient, Person, answer_of, hidden_fields


@pytest.fixture(scope="module")
def idp() -> Iterator[IdpServer]:
    """A provider of this module's own: what is allowed here must not be remembered in another test."""
    with IdpServer() as server:
        yield server


def allow(idp: IdpServer, person: Person, name: str = "carol") -> tuple[OAuthClient, dict[str, str]]:
    client = OAuthClient(idp.issuer, scope="openid orders:read offline_access")
    done = person.press(person.sign_in(client, name, prompt="consent"), "allow")
    return client, client.token(code=answer_of(done.headers["Location"])["code"]).json()


def consents(person: Person) -> requests.Response:
    return person.open(f"{person.issuer}/consents")


def test_a_person_sees_and_takes_back(idp: IdpServer) -> None:
    """Checklist 53, ASVS v5.0.0-10.7.3: after it, tokens and refresh are dead and the page asks again."""
    person = Person(idp.issuer)
    client, tokens = allow(idp, person)
    page = consents(person)
    for words in ("Example command-line client", "See your orders", "orders:read", "Carol Castro"):
        assert words in page.text
    assert client.userinfo(tokens["access_token"]).status_code == 200
    page = person.press(page, "revoke", "example-cli")
    assert person.form_status == 303
    assert "Example command-line client" not in page.text
    assert client.userinfo(tokens["access_token"]).status_code == 401
    refused = client.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"], redirect_uri=None)
    assert refused.json()["error"] == "invalid_grant"
    asked = person.open(client.address("authorize"), client.parameters())
    assert "Allow access" in asked.text


def test_taking_back_is_the_persons_own(idp: IdpServer) -> None:
    """Another person's grant to the same client stays, and her page does not show mine."""
    person, other = Person(idp.issuer), Person(idp.issuer)
    allow(idp, person, "dave")
    client, tokens = allow(idp, other, "erin")
    person.press(consents(person), "revoke", "example-cli")
    assert client.userinfo(tokens["access_token"]).status_code == 200
    assert "Example command-line client" in consents(other).text


def test_a_strangers_page_cannot_take_back(idp: IdpServer) -> None:
    """Checklist 52: CSRF-protected, bound to the browser, and each form works once."""
    person, attacker = Person(idp.issuer), Person(idp.issuer)
    allow(idp, person, "bob")
    allow(idp, attacker, "mia")
    url = f"{idp.issuer}/consents"
    assert person.post(url, {"revoke": "example-cli"}).status_code == 400
    assert person.post(url, {**hidden_fields(consents(attacker)), "revoke": "example-cli"}).status_code == 400
    page = consents(person)
    foreign = person.post(url, {**hidden_fields(page), "revoke": "example-cli"}, {"Origin": "https://attacker.example"})
    assert foreign.status_code == 400
    assert "Example command-line client" in consents(person).text
    form = {**hidden_fields(page), "revoke": "example-cli"}
    assert "Example command-line client" not in person.post(url, form).text
    assert person.post(url, form).status_code == 400


def test_nobody_signed_in_sees_nothing(idp: IdpServer) -> None:
    page = consents(Person(idp.issuer))
    assert page.status_code == 200
    assert "Nobody is signed in" in page.text
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
