"""Signing in and allowing access, as a person with a browser does it; and what a stranger cannot do with the pages."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest
import requests

from idp_mock.testing import CLI_REDIRECT, TIMEOUT_SECONDS, IdpServer, OAuthClient, Person, answer_of, hidden_fields

WEB = "http://127.0.0.1:8000/auth/callback/mock"
PASSWORD = "correct horse battery"


@pytest.fixture
def alice(idp: IdpServer) -> Person:
    return Person(idp.issuer)


@pytest.fixture
def cli(idp: IdpServer) -> OAuthClient:
    return OAuthClient(idp.issuer)


def web_client(idp: IdpServer) -> OAuthClient:
    return OAuthClient(idp.issuer, "shop-web", WEB, "openid profile", secret=idp.shop_web_secret)


def authorize(person: Person, client: OAuthClient, **changes: str | None) -> requests.Response:
    return person.open(f"{client.issuer}/authorize", client.parameters(**changes))


def is_page(response: requests.Response, title: str) -> bool:
    return response.status_code == 200 and f"<title>{title}" in response.text


def code_of(response: requests.Response) -> str:
    return answer_of(response.headers["Location"])["code"]


def error_of(response: requests.Response) -> str:
    return answer_of(response.headers["Location"])["error"]


def test_a_person_signs_in_and_allows(alice: Person, cli: OAuthClient) -> None:
    """Checklist 51, 53: sign-in page, consent page, code; every answer to a form is a 303."""
    page = authorize(alice, cli, prompt="consent")
    assert is_page(page, "Sign in")
    consent = alice.press(page, "user", "alice")
    assert alice.form_status == 303
    assert is_page(consent, "Allow access")
    done = alice.press(consent, "allow")
    assert alice.form_status == done.status_code == 303
    assert cli.token(code=code_of(done)).status_code == 200


def test_the_consent_page_names_client_scopes_and_lifetime(idp: IdpServer, alice: Person) -> None:
    """Checklist 53: in plain words, before anything is granted."""
    client = OAuthClient(idp.issuer, scope="openid orders:read offline_access")
    consent = alice.sign_in(client, prompt="consent")
    for words in (
        "Example command-line client",
        "Alice Ahlberg",
        "See your orders",
        "orders:read",
        "5 minutes",
        "30 days",
        "http://127.0.0.1:8000",
        "http://127.0.0.1:51234",
    ):
        assert words in consent.text
    assert "Change prices" not in consent.text


@pytest.mark.parametrize("where", ["sign-in", "consent"])
def test_a_person_can_say_no(idp: IdpServer, cli: OAuthClient, where: str) -> None:
    """RFC 6749 §4.1.2.1: access_denied with state and iss, and no code."""
    person = Person(idp.issuer)
    page = authorize(person, cli, prompt="consent", state="s-2")
    if where == "consent":
        page = person.press(page, "user", "bob")
    answer = answer_of(person.press(page, "deny").headers["Location"])
    assert answer["error"] == "access_denied"
    assert (answer["state"], answer["iss"]) == ("s-2", idp.issuer)


def test_consent_is_remembered_for_the_same_scopes_only(idp: IdpServer) -> None:
    """ASVS v5.0.0-10.7: asked once for the same client and scopes; a further scope asks again."""
    person = Person(idp.issuer)
    client = OAuthClient(idp.issuer, scope="openid orders:read")
    assert code_of(person.press(person.sign_in(client, "dave", prompt="consent"), "allow"))
    assert code_of(authorize(person, client))
    assert is_page(authorize(person, OAuthClient(idp.issuer, scope="openid products:read")), "Allow access")
    assert is_page(authorize(person, client, prompt="consent"), "Allow access")
    somebody_else = Person(idp.issuer)
    assert is_page(somebody_else.sign_in(client, "erin"), "Allow access")


def test_the_first_party_client_is_not_asked_for(idp: IdpServer) -> None:
    """A client registered with consent = "skip" goes straight on, unless it asks for the page."""
    person = Person(idp.issuer)
    assert person.sign_in(web_client(idp), "carol").headers["Location"].startswith(WEB)
    assert is_page(authorize(person, web_client(idp), prompt="consent"), "Allow access")


def test_single_sign_on_across_clients(idp: IdpServer, cli: OAuthClient) -> None:
    """OIDC Core §3.1.2.3: a second application signs in without a sign-in page, and prompt=none works."""
    person = Person(idp.issuer)
    person.sign_in(web_client(idp), "bob")
    assert is_page(authorize(person, cli, scope="openid orders:write"), "Allow access")
    assert code_of(authorize(person, web_client(idp), prompt="none"))


def test_prompt_none_shows_no_page(idp: IdpServer, cli: OAuthClient) -> None:
    """OIDC Core §3.1.2.6: login_required and consent_required instead of a page, iss included."""
    person = Person(idp.issuer)
    refused = answer_of(authorize(person, cli, prompt="none", state="s-3").headers["Location"])
    assert (refused["error"], refused["state"], refused["iss"]) == ("login_required", "s-3", idp.issuer)
    person.sign_in(web_client(idp), "mia")
    assert code_of(authorize(person, web_client(idp), prompt="none"))
    asked = authorize(person, cli, prompt="none", scope="openid products:write")
    assert error_of(asked) == "consent_required"
    assert answer_of(asked.headers["Location"])["iss"] == idp.issuer


@pytest.mark.parametrize("changes", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}])
def test_a_client_can_ask_for_a_new_sign_in(idp: IdpServer, changes: dict[str, str]) -> None:
    """OIDC Core §3.1.2.1: the page comes although there is a session; afterwards auth_time is new."""
    person, client = Person(idp.issuer), web_client(idp)
    code_of(person.sign_in(client, "bob"))
    assert code_of(authorize(person, client))
    page = authorize(person, client, **changes)
    assert is_page(page, "Sign in")
    assert code_of(person.press(page, "user", "bob"))


def test_an_old_sign_in_does_not_satisfy_max_age(idp: IdpServer) -> None:
    """OIDC Core §3.1.2.1: too old asks again; young enough does not; silently it is login_required."""
    person, client = Person(idp.issuer), web_client(idp)
    code_of(person.sign_in(client, "bob"))
    assert code_of(authorize(person, client, max_age="60"))
    time.sleep(2.1)
    assert is_page(authorize(person, client, max_age="1"), "Sign in")
    assert error_of(authorize(person, client, max_age="1", prompt="none")) == "login_required"


def test_a_login_hint_fills_the_form_and_does_not_sign_in(one_user_idp: IdpServer) -> None:
    """OIDC Core §3.1.2.1: without --auto-login a hint is only a hint; another person's session is not used."""
    client, person = OAuthClient(one_user_idp.issuer, "app", scope="openid"), Person(one_user_idp.issuer)
    page = authorize(person, client, login_hint="pat")
    assert is_page(page, "Sign in")
    assert 'value="pat"' in page.text
    assert code_of(password_sign_in(person, page))
    assert code_of(authorize(person, client, login_hint="pat@example.org"))
    assert code_of(authorize(person, client, login_hint="unknown"))
    assert is_page(authorize(person, client, login_hint="sam"), "Sign in")


def test_an_id_token_hint_for_somebody_else_is_not_answered(idp: IdpServer) -> None:
    """OIDC Core §3.1.2.1, id_token_hint: login_required when another person is or becomes signed in."""
    client = web_client(idp)
    hint = client.tokens("alice")["id_token"]
    person = Person(idp.issuer)
    code_of(person.sign_in(client, "alice"))
    assert code_of(authorize(person, client, id_token_hint=hint, prompt="none"))
    other = Person(idp.issuer)
    code_of(other.sign_in(client, "bob"))
    assert error_of(authorize(other, client, id_token_hint=hint, prompt="none")) == "login_required"
    page = authorize(other, client, id_token_hint=hint)
    assert is_page(page, "Sign in")
    assert error_of(other.press(page, "user", "bob")) == "login_required"


def test_a_stronger_sign_in_is_given_where_the_person_can(idp: IdpServer) -> None:
    """OIDC Core §3.1.2.1, acr_values: mfa for Alice, who has it; pwd for Bob, who has not."""
    client = OAuthClient(idp.issuer, scope="openid")
    assert client.userinfo(client.tokens("alice", acr_values="mfa")["access_token"]).status_code == 200
    header_and_claims = {name: client.tokens(name, acr_values="mfa")["id_token"] for name in ("alice", "bob")}
    payloads = {name: _payload(token) for name, token in header_and_claims.items()}
    assert payloads["alice"]["acr"] == "mfa"
    assert "otp" in payloads["alice"]["amr"]
    assert payloads["bob"]["acr"] == "pwd"
    person, web = Person(idp.issuer), web_client(idp)
    code_of(person.sign_in(web, "alice"))
    assert code_of(authorize(person, web, acr_values="pwd"))
    assert is_page(authorize(person, web, acr_values="mfa"), "Sign in")


def _payload(token: str) -> dict[str, str]:
    payload: dict[str, str] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return payload


def test_the_session_cookie_changes_at_sign_in(idp: IdpServer, alice: Person) -> None:
    """ASVS v5.0.0-7.2.4: a cookie planted before sign-in is worth nothing afterwards."""
    page = authorize(alice, web_client(idp))
    before = {cookie.name: cookie.value for cookie in alice.cookies}
    assert code_of(alice.press(page, "user", "alice"))
    after = {cookie.name: cookie.value for cookie in alice.cookies}
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    planted = Person(idp.issuer)
    planted.cookies.update(before)
    assert error_of(authorize(planted, web_client(idp), prompt="none")) == "login_required"


def test_a_new_sign_in_ends_the_old_cookie(idp: IdpServer) -> None:
    """ASVS v5.0.0-7.2.4: a copy of the cookie taken before a re-authentication is worth nothing after it."""
    person, thief = Person(idp.issuer), Person(idp.issuer)
    code_of(person.sign_in(web_client(idp), "bob"))
    thief.cookies.update(person.cookies)
    assert code_of(authorize(thief, web_client(idp), prompt="none"))
    code_of(person.sign_in(web_client(idp), "bob", prompt="login"))
    assert code_of(authorize(person, web_client(idp), prompt="none"))
    assert error_of(authorize(thief, web_client(idp), prompt="none")) == "login_required"


def test_the_session_cookie_is_out_of_reach_of_scripts(idp: IdpServer) -> None:
    """ASVS v5.0.0-3.3: HttpOnly, SameSite; not Secure only because this issuer is plain http on loopback."""
    response = OAuthClient(idp.issuer).authorize(login_hint="alice")
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_pages_are_unframable_and_script_free(alice: Person, cli: OAuthClient) -> None:
    """Checklist 52: the strict policy on every page, with the client's origin for the last redirect of a form."""
    sign_in = authorize(alice, cli, prompt="consent")
    consent = alice.press(sign_in, "user", "alice")
    for page in (sign_in, consent):
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self' http://127.0.0.1:51234;" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<script|style=|<style|\son\w+=", page.text)
        assert 'name="viewport"' in page.text
    error = alice.open(f"{cli.issuer}/authorize?client_id=nobody")
    assert "form-action 'self';" in error.headers["Content-Security-Policy"]


@pytest.mark.parametrize("changes", [{"csrf_token": ""}, {"csrf_token": "wrong"}, {"interaction": "wrong"}])
def test_a_stranger_cannot_send_the_forms(idp: IdpServer, cli: OAuthClient, changes: dict[str, str]) -> None:
    """Checklist 52: CSRF-protected; the person's own form works afterwards."""
    person = Person(idp.issuer)
    page = authorize(person, cli, prompt="consent")
    fields = hidden_fields(page)
    refused = person.post(f"{idp.issuer}/login", {**fields, "user": "alice", **changes})
    assert refused.status_code == 400
    consent = person.press(page, "user", "alice")
    refused = person.post(f"{idp.issuer}/consent", {**hidden_fields(consent), "allow": "1", **changes})
    assert refused.status_code == 400
    assert code_of(person.press(consent, "allow"))


@pytest.mark.parametrize("origin", ["https://attacker.example", "null", "http://localhost:1"])
def test_a_form_from_another_origin_is_refused(idp: IdpServer, cli: OAuthClient, origin: str) -> None:
    """Checklist 52: even with a token, a foreign Origin is not our page; our own is."""
    person = Person(idp.issuer)
    fields = {**hidden_fields(authorize(person, cli, prompt="consent")), "user": "alice"}
    assert person.post(f"{idp.issuer}/login", fields, {"Origin": origin}).status_code == 400
    assert is_page(person.post(f"{idp.issuer}/login", fields, {"Origin": idp.issuer}), "Allow access")


def test_another_browser_cannot_finish_an_interaction(idp: IdpServer, cli: OAuthClient) -> None:
    """RFC 9700 §4.16: the pages of a request belong to the browser that made it."""
    victim, attacker = Person(idp.issuer), Person(idp.issuer)
    page = authorize(attacker, cli, prompt="consent")
    code_of(victim.sign_in(web_client(idp), "bob"))
    assert victim.open(page.url).status_code == 400
    assert victim.post(f"{idp.issuer}/login", {**hidden_fields(page), "user": "bob"}).status_code == 400
    assert is_page(attacker.press(page, "user", "alice"), "Allow access")


def test_consent_counts_only_for_the_person_who_saw_the_page(idp: IdpServer, cli: OAuthClient) -> None:
    """Two tabs: after somebody else signed in, the first one's Allow is refused."""
    person = Person(idp.issuer)
    consent = person.sign_in(cli, "alice", prompt="consent")
    code_of(person.press(authorize(person, web_client(idp), prompt="login"), "user", "bob"))
    assert person.press(consent, "allow").status_code == 400


def test_the_consent_page_cannot_be_skipped(idp: IdpServer, cli: OAuthClient) -> None:
    """A form posted straight to consent, without having seen the page, grants nothing."""
    person = Person(idp.issuer)
    page = authorize(person, cli, prompt="consent")
    fields = hidden_fields(page)
    assert person.post(f"{idp.issuer}/consent", {**fields, "allow": "1"}).status_code == 400
    code_of(person.press(person.press(page, "user", "alice"), "allow"))


def test_a_form_sent_twice_answers_once(idp: IdpServer, cli: OAuthClient) -> None:
    """One interaction, one code."""
    person = Person(idp.issuer)
    consent = person.sign_in(cli, "alice", prompt="consent")
    assert code_of(person.press(consent, "allow"))
    assert person.press(consent, "allow").status_code == 400
    assert person.press(consent, "deny").status_code == 400


def test_a_form_sent_by_sixteen_threads_answers_once(idp: IdpServer, cli: OAuthClient) -> None:
    """One interaction, one code, under concurrency too."""
    person = Person(idp.issuer)
    form = {**hidden_fields(person.sign_in(cli, "alice", prompt="consent")), "allow": "1"}
    cookies = {cookie.name: cookie.value or "" for cookie in person.cookies}

    def send(_: int) -> bool:
        response = requests.post(
            f"{idp.issuer}/consent", data=form, cookies=cookies, allow_redirects=False, timeout=TIMEOUT_SECONDS
        )
        return "code=" in response.headers.get("Location", "")

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(send, range(16))).count(True) == 1


@pytest.mark.parametrize("name", ["nobody", "", "usr_01J9ALICE7Q2M"])
def test_one_click_signs_in_only_the_people_listed(idp: IdpServer, cli: OAuthClient, name: str) -> None:
    person = Person(idp.issuer)
    page = authorize(person, cli, prompt="consent")
    assert person.post(f"{idp.issuer}/login", {**hidden_fields(page), "user": name}).status_code == 401
    assert is_page(person.press(page, "user", "alice"), "Allow access")


CLIENTS = """
default_resource = "https://api.example"
[[clients]]
client_id = "app"
name = "<b>App</b> & friends"
type = "public"
application_type = "native"
consent = "skip"
redirect_uris = ["http://127.0.0.1/callback"]
scopes = ["openid", "email"]
"""


@pytest.fixture(scope="module")
def one_user_idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdpServer]:
    """An issuer with passwords, without one-click, auto-login and test endpoints."""
    folder: Path = tmp_path_factory.mktemp("idp")
    stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()
    long_stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(rounds=4)).decode()
    (folder / "users.toml").write_text(
        f'[[users]]\nusername = "pat"\nsub = "1"\nemail = "pat@example.org"\npassword_hash = "{stored}"\n'
        f'[[users]]\nusername = "long"\nsub = "2"\nemail = "long@example.org"\npassword_hash = "{long_stored}"\n'
        '[[users]]\nusername = "sam"\nsub = "3"\nemail = "sam@example.org"\n'
    )
    (folder / "clients.toml").write_text(CLIENTS)
    options = ["--users", str(folder / "users.toml"), "--clients", str(folder / "clients.toml")]
    with IdpServer(options) as server:
        yield server


def password_sign_in(
    person: Person, page: requests.Response, name: str = "pat", password: str = PASSWORD
) -> requests.Response:
    form = {**hidden_fields(page), "username": name, "password": password}
    return person.post(f"{person.issuer}/login", form)


@pytest.mark.parametrize("name", ["pat", "PAT", "pat@example.org"])
def test_a_person_signs_in_with_a_password(one_user_idp: IdpServer, name: str) -> None:
    """ASVS v5.0.0-6.3: name or email address, and the password."""
    client, person = OAuthClient(one_user_idp.issuer, "app", scope="openid"), Person(one_user_idp.issuer)
    done = password_sign_in(person, authorize(person, client), name)
    assert done.headers["Location"].startswith(CLI_REDIRECT)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("pat", "wrong"),
        ("pat", ""),
        ("pat", PASSWORD + "\0"),
        ("pat", "\0"),
        ("nobody", PASSWORD),
        ("sam", ""),
        ("sam", "nobody"),
        ("long", "x" * 73),
        ("", ""),
    ],
)
def test_a_wrong_password_signs_nobody_in(one_user_idp: IdpServer, name: str, password: str) -> None:
    """ASVS v5.0.0-6.3.8: one message for an unknown name and a wrong password; the page stays usable."""
    client, person = OAuthClient(one_user_idp.issuer, "app", scope="openid"), Person(one_user_idp.issuer)
    page = authorize(person, client)
    refused = password_sign_in(person, page, name, password)
    assert refused.status_code == 401
    assert "This name and password do not match." in refused.text
    assert "Location" in password_sign_in(person, page).headers


def test_guessing_ends_after_five_attempts(one_user_idp: IdpServer) -> None:
    """ASVS v5.0.0-6.3.1: then even the right password needs a new start."""
    client, person = OAuthClient(one_user_idp.issuer, "app", scope="openid"), Person(one_user_idp.issuer)
    page = authorize(person, client)
    statuses = [password_sign_in(person, page, password=f"guess {number}").status_code for number in range(5)]
    assert statuses == [401, 401, 401, 401, 429]
    assert password_sign_in(person, page).status_code == 400
    assert "Location" in password_sign_in(person, authorize(person, client)).headers


def test_one_click_is_off_unless_asked_for(one_user_idp: IdpServer) -> None:
    """A name alone signs in only where --one-click was given."""
    client, person = OAuthClient(one_user_idp.issuer, "app", scope="openid"), Person(one_user_idp.issuer)
    page = authorize(person, client)
    fields = hidden_fields(page)
    assert person.post(f"{person.issuer}/login", {**fields, "user": "pat"}).status_code == 401
    assert "Location" in password_sign_in(person, page).headers


def test_test_endpoints_are_absent_unless_asked_for(idp: IdpServer, one_user_idp: IdpServer) -> None:
    url = "/_test/tokens"
    assert requests.post(idp.issuer + url, json={}, timeout=TIMEOUT_SECONDS).status_code == 200
    assert requests.post(one_user_idp.issuer + url, json={}, timeout=TIMEOUT_SECONDS).status_code == 404


def test_names_are_escaped_on_the_page(one_user_idp: IdpServer) -> None:
    """Checklist 52: output escaped, the client's name and the hint alike."""
    person = Person(one_user_idp.issuer)
    client = OAuthClient(one_user_idp.issuer, "app", scope="openid")
    page = authorize(person, client, login_hint='"><script>alert(1)</script>')
    assert "&lt;b&gt;App&lt;/b&gt; &amp; friends" in page.text
    assert "<script>" not in page.text


def test_unknown_pages_and_large_bodies_are_plain_refusals(idp: IdpServer) -> None:
    assert requests.get(f"{idp.issuer}/", timeout=TIMEOUT_SECONDS).status_code == 200
    assert requests.get(f"{idp.issuer}/nothing-here", timeout=TIMEOUT_SECONDS).status_code == 404
    large = requests.post(f"{idp.issuer}/token", data={"code": "x" * 70_000}, timeout=TIMEOUT_SECONDS)
    assert large.status_code == 413
    wrong_method = requests.get(f"{idp.issuer}/token", timeout=TIMEOUT_SECONDS)
    assert wrong_method.status_code == 405
    assert set(wrong_method.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
