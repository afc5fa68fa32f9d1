"""A stronger sign-in by one-time code, and guessing that gets slower without locking anybody out."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import bcrypt
import pytest
import requests

from idp_mock.testing import IdpServer, OAuthClient, Person, answer_of, hidden_fields
from idp_mock.throttle import PERSON_AT_ADDRESS
from idp_mock.totp import STEP_SECONDS, code_at

PASSWORD = "correct horse battery"
SECRET = base64.b32encode(b"12345678901234567890").decode()
CLIENTS = """
default_resource = "https://api.example"
[[clients]]
client_id = "app"
type = "public"
application_type = "native"
redirect_uris = ["http://127.0.0.1/callback"]
scopes = ["openid"]
consent = "skip"
"""


@pytest.fixture
def provider(tmp_path: Any) -> Iterator[IdpServer]:
    """Passwords only. Ann has an authenticator, Ben has none."""
    stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()
    (tmp_path / "users.toml").write_text(
        f'[[users]]\nusername = "ann"\nsub = "1"\nemail = "ann@example.org"\npassword_hash = "{stored}"\n'
        f'acr = ["pwd", "mfa"]\ntotp_secret = "{SECRET}"\n'
        f'[[users]]\nusername = "ben"\nsub = "2"\nemail = "ben@example.org"\npassword_hash = "{stored}"\n'
    )
    (tmp_path / "clients.toml").write_text(CLIENTS)
    options = ["--users", str(tmp_path / "users.toml"), "--clients", str(tmp_path / "clients.toml")]
    with IdpServer(options) as server:
        yield server


def give_password(
    person: Person, page: requests.Response, name: str = "ann", password: str = PASSWORD
) -> requests.Response:
    return person.post(f"{person.issuer}/login", {**hidden_fields(page), "username": name, "password": password})


def give_code(person: Person, page: requests.Response, code: str) -> requests.Response:
    return person.post(f"{person.issuer}/login", {**hidden_fields(page), "code": code})


def begin(person: Person, client: OAuthClient, **changes: str) -> requests.Response:
    return person.open(client.address("authorize"), client.parameters(**changes))


def claims_of(client: OAuthClient, done: requests.Response) -> dict[str, Any]:
    token = client.token(code=answer_of(done.headers["Location"])["code"]).json()["id_token"]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


def current_code(distance: int = 0) -> str:
    return code_at(SECRET, int(time.time()) // STEP_SECONDS + distance)


def test_a_code_after_the_password_makes_the_sign_in_stronger(provider: IdpServer) -> None:
    """OIDC Core §3.1.2.1 acr_values, RFC 9470 §4: acr, amr and auth_time say what happened."""
    client, person = OAuthClient(provider.issuer, "app", scope="openid"), Person(provider.issuer)
    weak = claims_of(client, give_password(person, begin(person, client)))
    assert (weak["acr"], weak["amr"]) == ("pwd", ["pwd"])
    time.sleep(1.1)
    page = begin(person, client, acr_values="mfa")
    page = give_password(person, page)
    assert person.form_status == 303
    assert "One-time code" in page.text
    strong = claims_of(client, give_code(person, page, current_code()))
    assert (strong["acr"], strong["amr"]) == ("mfa", ["pwd", "otp", "mfa"])
    assert strong["auth_time"] > weak["auth_time"]
    assert strong["sid"] == weak["sid"]
    again = claims_of(client, begin(person, client, acr_values="mfa", prompt="none"))
    assert again["acr"] == "mfa"


def test_the_password_alone_signs_nobody_in_strongly(provider: IdpServer) -> None:
    """Between the two steps there is no session at all; and no way around the second."""
    client, person = OAuthClient(provider.issuer, "app", scope="openid"), Person(provider.issuer)
    page = give_password(person, begin(person, client, acr_values="mfa"))
    silent = begin(person, client, prompt="none")
    assert answer_of(silent.headers["Location"])["error"] == "login_required"
    refused = give_code(person, page, "000000" if current_code() != "000000" else "111111")
    assert refused.status_code == 401
    assert "wrong, too old or was used" in refused.text
    assert "code" in answer_of(give_code(person, refused, current_code()).headers["Location"])


def test_a_code_works_once(provider: IdpServer) -> None:
    """RFC 6238 §5.2: whoever saw the code comes second."""
    client, person, thief = OAuthClient(provider.issuer, "app"), Person(provider.issuer), Person(provider.issuer)
    client.scope = "openid"
    code = current_code(1)
    page = give_password(person, begin(person, client, acr_values="mfa"))
    assert "code" in answer_of(give_code(person, page, code).headers["Location"])
    page = give_password(thief, begin(thief, client, acr_values="mfa"))
    assert give_code(thief, page, code).status_code == 401


def test_a_code_without_the_password_is_worth_nothing(provider: IdpServer) -> None:
    """The second step belongs to the interaction that gave the password."""
    client, person = OAuthClient(provider.issuer, "app", scope="openid"), Person(provider.issuer)
    page = begin(person, client, acr_values="mfa")
    assert give_code(person, page, current_code()).status_code == 400
    assert "One-time code" in give_password(person, begin(person, client, acr_values="mfa")).text


def test_who_has_no_authenticator_signs_in_as_strongly_as_they_can(provider: IdpServer) -> None:
    """OIDC Core §3.1.2.1: acr_values is a wish; the ID token tells the client that it was not met."""
    client, person = OAuthClient(provider.issuer, "app", scope="openid"), Person(provider.issuer)
    assert claims_of(client, give_password(person, begin(person, client, acr_values="mfa"), "ben"))["acr"] == "pwd"


def test_codes_cannot_be_guessed(provider: IdpServer) -> None:
    """ASVS v5.0.0-6.5.5: a few wrong codes end the interaction, and further ones the quarter of an hour."""
    client, person = OAuthClient(provider.issuer, "app", scope="openid"), Person(provider.issuer)
    statuses = []
    for _ in range(3):
        page = give_password(person, begin(person, client, acr_values="mfa"))
        statuses += [give_code(person, page, f"{number:06d}").status_code for number in range(4)]
    assert statuses[:PERSON_AT_ADDRESS] == [401] * PERSON_AT_ADDRESS
    assert statuses[PERSON_AT_ADDRESS:] == [429, 429]
    page = give_password(person, begin(person, client, acr_values="mfa"))
    assert give_code(person, page, current_code()).status_code == 429


def test_passwords_cannot_be_guessed(provider: IdpServer) -> None:
    """ASVS v5.0.0-6.3.1: new interactions do not help; another person is not affected."""
    client, person = OAuthClient(provider.issuer, "app", scope="openid"), Person(provider.issuer)
    for number in range(PERSON_AT_ADDRESS):
        name = "ann" if number % 2 else "ann@example.org"
        assert give_password(person, begin(person, client), name, "wrong").status_code == 401
    refused = give_password(person, begin(person, client))
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "900"
    assert "Location" in give_password(person, begin(person, client), "ben").headers


def test_an_unknown_name_is_throttled_like_a_known_one(provider: IdpServer) -> None:
    """ASVS v5.0.0-6.3.8: the answers do not tell who has an account."""
    client, person = OAuthClient(provider.issuer, "app", scope="openid"), Person(provider.issuer)
    statuses = [
        give_password(person, begin(person, client), "nobody").status_code for _ in range(PERSON_AT_ADDRESS + 1)
    ]
    assert statuses == [401] * PERSON_AT_ADDRESS + [429]
