"""Signing out of one application signs out of all: logout tokens to every client of the session."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient, Person, answer_of

SECRET = "0123456789abcdef0123456789abcdef"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class Receiver:
    """The applications' side: keeps each posted form by path and answers as told."""

    forms: dict[str, list[dict[str, list[str]]]] = field(default_factory=dict)
    delay_seconds: float = 0
    status: int = 200
    port: int = 0

    def tokens(self, path: str) -> list[str]:
        return [form["logout_token"][0] for form in self.forms.get(path, [])]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            kept.forms.setdefault(self.path, []).append(parse_qs(text, strict_parsing=True))
            time.sleep(kept.delay_seconds)
            self.send_response(kept.status)
            if kept.status == 302:
                self.send_header("Location", f"http://127.0.0.1:{kept.port}/redirected")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kept
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def emptied(receiver: Receiver, provider: IdpServer) -> None:
    receiver.forms.clear()
    receiver.delay_seconds, receiver.status = 0, 200
    provider.clear_faults()


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[IdpServer]:
    """Three applications: two take logout tokens, one cannot."""
    text = 'default_resource = "https://api.example"\n'
    for name in ("one", "two", "three", "gone"):
        text += f"""
[[clients]]
client_id = "{name}"
name = "Application {name}"
type = "confidential"
client_secret = "{SECRET}"
redirect_uris = ["https://{name}.example/callback"]
post_logout_redirect_uris = ["https://{name}.example/bye"]
scopes = ["openid", "profile"]
consent = "skip"
"""
        if name in ("one", "two"):
            text += f'backchannel_logout_uri = "http://127.0.0.1:{receiver.port}/{name}"\n'
        if name == "gone":
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                text += f'backchannel_logout_uri = "http://127.0.0.1:{probe.getsockname()[1]}/gone"\n'
    file = tmp_path_factory.mktemp("idp") / "clients.toml"
    file.write_text(text)
    with IdpServer(["--one-click", "--test-endpoints", "--clients", str(file)]) as server:
        yield server


def application(idp: IdpServer, name: str) -> OAuthClient:
    return OAuthClient(idp.issuer, name, f"https://{name}.example/callback", "openid profile", secret=SECRET)


def sign_in(person: Person, client: OAuthClient, user: str = "alice") -> str:
    """The client's ID token; the person signs in, or single sign-on does it."""
    page = person.open(client.address("authorize"), client.parameters())
    if "Location" not in page.headers:
        page = person.press(page, "user", user)
    body = client.token(code=answer_of(page.headers["Location"])["code"]).json()
    return str(body["id_token"])


def log_out(person: Person, client: OAuthClient, id_token: str) -> requests.Response:
    return person.open(client.address("logout"), {"id_token_hint": id_token})


def verified(idp: IdpServer, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    keys = KeySet.import_key_set(requests.get(f"{idp.issuer}/jwks", timeout=TIMEOUT_SECONDS).json())
    result = jwt.decode(token, keys, ["ES256"])
    return dict(result.header), dict(result.claims)


def test_one_logout_ends_all_applications(provider: IdpServer, receiver: Receiver) -> None:
    """Back-Channel Logout §2.4, §2.5: each client of the session gets its own logout token, and the page says so.

    The OpenID Foundation's module `oidcc-backchannel-rp-initiated-logout`.
    """
    person = Person(provider.issuer)
    one, two = application(provider, "one"), application(provider, "two")
    id_token = sign_in(person, one)
    second = sign_in(person, two)
    assert verified(provider, second)[1]["sid"] == verified(provider, id_token)[1]["sid"]
    page = log_out(person, one, id_token)
    assert "You are signed out" in page.text
    assert "Application one" in page.text
    assert "Application two" in page.text
    for name in ("one", "two"):
        (token,) = receiver.tokens(f"/{name}")
        header, claims = verified(provider, token)
        assert header["typ"] == "logout+jwt"
        assert set(claims) == {"iss", "sub", "aud", "iat", "exp", "jti", "events", "sid"}
        assert (claims["iss"], claims["aud"]) == (provider.issuer, name)
        assert claims["events"] == {EVENT: {}}
        identity = verified(provider, id_token)[1]
        assert (claims["sub"], claims["sid"]) == (identity["sub"], identity["sid"])
        assert 0 < claims["exp"] - claims["iat"] <= 120
        assert set(receiver.forms[f"/{name}"][0]) == {"logout_token"}
    silent = person.open(one.address("authorize"), one.parameters(prompt="none"))
    assert answer_of(silent.headers["Location"])["error"] == "login_required"


def test_only_clients_of_this_session_are_told(provider: IdpServer, receiver: Receiver) -> None:
    """Back-Channel Logout §2.5: not one that the person never used here, nor one of another session."""
    person, somebody_else = Person(provider.issuer), Person(provider.issuer)
    one, two = application(provider, "one"), application(provider, "two")
    sign_in(somebody_else, two, "bob")
    log_out(person, one, sign_in(person, one))
    assert len(receiver.tokens("/one")) == 1
    assert receiver.tokens("/two") == []
    assert sign_in(somebody_else, one)


def test_a_client_is_told_once(provider: IdpServer, receiver: Receiver) -> None:
    """Back-Channel Logout §2.4, jti: several sign-ins of one session are one logout; every token is another."""
    person, one = Person(provider.issuer), application(provider, "one")
    sign_in(person, one)
    log_out(person, one, sign_in(person, one))
    log_out(person, one, sign_in(person, one))
    tokens = receiver.tokens("/one")
    assert len(tokens) == 2
    assert len({verified(provider, token)[1]["jti"] for token in tokens}) == 2
    assert len({verified(provider, token)[1]["sid"] for token in tokens}) == 2


@pytest.mark.parametrize("status", [400, 500, 302])
def test_a_client_that_refuses_does_not_stop_the_logout(provider: IdpServer, receiver: Receiver, status: int) -> None:
    """Back-Channel Logout §2.8: an error is the client's; a redirect is not followed."""
    person, one = Person(provider.issuer), application(provider, "one")
    id_token = sign_in(person, one)
    receiver.status = status
    assert "You are signed out" in log_out(person, one, id_token).text
    assert "/redirected" not in receiver.forms
    assert provider.log("backchannel_logout")[-1]["status"] == status


def test_slow_and_dead_clients_hold_nobody(provider: IdpServer, receiver: Receiver) -> None:
    """Back-Channel Logout §2.5: delivery is bounded in time; the session is over all the same."""
    person, one = Person(provider.issuer), application(provider, "one")
    id_token = sign_in(person, one)
    sign_in(person, application(provider, "gone"))
    receiver.delay_seconds = 6
    begun = time.monotonic()
    assert "You are signed out" in log_out(person, one, id_token).text
    assert time.monotonic() - begun < 4.5
    silent = person.open(one.address("authorize"), one.parameters(prompt="none"))
    assert answer_of(silent.headers["Location"])["error"] == "login_required"


def test_a_client_without_an_address_is_just_not_told(provider: IdpServer, receiver: Receiver) -> None:
    person, three = Person(provider.issuer), application(provider, "three")
    done = person.open(
        three.address("logout"),
        {"id_token_hint": sign_in(person, three), "post_logout_redirect_uri": "https://three.example/bye"},
    )
    assert done.headers["Location"] == "https://three.example/bye"
    assert receiver.forms == {}


def test_a_confirmed_logout_tells_too(provider: IdpServer, receiver: Receiver) -> None:
    """RP-Initiated Logout §6: without a hint the person is asked; "Stay" tells nobody."""
    person, one = Person(provider.issuer), application(provider, "one")
    sign_in(person, one)
    person.press(person.open(one.address("logout")), "stay")
    assert receiver.tokens("/one") == []
    person.press(person.open(one.address("logout")), "leave")
    assert len(receiver.tokens("/one")) == 1


@pytest.mark.parametrize("name", ["token_typ_other", "token_unsigned", "token_wrong_key", "token_expired"])
def test_a_logout_token_can_be_wrong(provider: IdpServer, receiver: Receiver, name: str) -> None:
    """docs/identity-provider-faults.md, `token = "logout_token"`: once wrong, then right."""
    person, one = Person(provider.issuer), application(provider, "one")
    provider.fault(name, token="logout_token")
    log_out(person, one, sign_in(person, one))
    log_out(person, one, sign_in(person, one))
    wrong, right = receiver.tokens("/one")
    assert verified(provider, right)[0]["typ"] == "logout+jwt"
    try:
        header, claims = verified(provider, wrong)
    except (JoseError, ValueError):
        return
    assert header["typ"] != "logout+jwt" or claims["exp"] < time.time()


def test_the_documents_promise_it(provider: IdpServer) -> None:
    """Back-Channel Logout §2.1: both members, and true."""
    url = f"{provider.issuer}/.well-known/openid-configuration"
    document = requests.get(url, timeout=TIMEOUT_SECONDS).json()
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True


@pytest.mark.parametrize("uri", ["http://app.example/logout", "javascript:alert(1)", "https://app.example/x#y"])
def test_an_unsafe_address_stops_the_start(tmp_path: Any, uri: str) -> None:
    """Back-Channel Logout §2.2: https, or http on this machine; no fragment."""
    file = tmp_path / "clients.toml"
    file.write_text(
        'default_resource = "https://api.example"\n[[clients]]\nclient_id = "a"\ntype = "public"\nscopes = ["openid"]\n'
        f'redirect_uris = ["https://app.example/cb"]\nbackchannel_logout_uri = "{uri}"\n'
    )
    with pytest.raises(RuntimeError, match="backchannel_logout_uri"):
        IdpServer(["--clients", str(file)])
