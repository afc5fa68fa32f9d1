"""The provider misbehaves when asked to: each fault shows, and the next honest answer is honest again."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from idp_mock.faults.injector import FAULTS
from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient, answer_of

DOCUMENT = Path("docs/identity-provider-faults.md")
ALGORITHMS = ["ES256", "RS256"]


@pytest.fixture(scope="module")
def liar() -> Iterator[IdpServer]:
    """A provider of this module's own, so that no fault reaches another test."""
    with IdpServer() as server:
        yield server


@pytest.fixture(autouse=True)
def honest_afterwards(liar: IdpServer) -> Iterator[None]:
    yield
    liar.clear_faults()


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, claims


def keys_of(idp: IdpServer) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = requests.get(f"{idp.issuer}/jwks", timeout=TIMEOUT_SECONDS).json()["keys"]
    return keys


def is_signed(idp: IdpServer, token: str) -> bool:
    try:
        jwt.decode(token, KeySet.import_key_set({"keys": keys_of(idp)}), ALGORITHMS)
    except (JoseError, ValueError):
        return False
    return True


def at_hash(access_token: str) -> str:
    digest = hashlib.sha256(access_token.encode()).digest()[:16]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_honest(idp: IdpServer, body: dict[str, Any]) -> bool:
    """Whether a token response is as the honest provider makes it, in every respect that a fault changes."""
    now = time.time()
    for name, typ, audience in (
        ("id_token", "JWT", "example-cli"),
        ("access_token", "at+jwt", "http://127.0.0.1:8000"),
    ):
        header, claims = opened(body[name])
        if not is_signed(idp, body[name]) or header.get("typ") != typ or "kid" not in header:
            return False
        times = claims.get("iat", 0) <= now + 1 < claims.get("exp", 0) <= now + 302 and "nbf" not in claims
        if not times or claims.get("aud") != audience or claims.get("iss") != idp.issuer or "sub" not in claims:
            return False
    claims = opened(body["id_token"])[1]
    return claims["nonce"] == "n-1" and claims["at_hash"] == at_hash(body["access_token"]) and "groups" not in claims


def tokens(idp: IdpServer) -> dict[str, Any]:
    return OAuthClient(idp.issuer).tokens("alice", nonce="n-1")


# fault → its options, how it shows in header and claims, and whether the signature is still good
TOKEN_CASES: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any], dict[str, Any]], bool], bool]] = {
    "token_typ_missing": ({}, lambda header, _: "typ" not in header, True),
    "token_typ_other": ({"typ": "secevent+jwt"}, lambda header, _: header["typ"] == "secevent+jwt", True),
    "token_aud_swapped": ({}, lambda _, claims: claims["aud"] == "https://somebody-else.example", True),
    "token_iss_swapped": ({}, lambda _, claims: claims["iss"] == "https://attacker.example", True),
    "token_unsigned": ({}, lambda header, _: header["alg"] == "none", False),
    "token_hmac_public_key": ({}, lambda header, _: header["alg"] == "HS256", False),
    "token_wrong_key": ({}, lambda header, _: header["alg"] == "ES256", False),
    "token_unknown_kid": ({}, lambda header, _: header["alg"] == "ES256", False),
    "token_kid_missing": ({}, lambda header, _: "kid" not in header, False),
    "token_expired": ({}, lambda _, claims: claims["exp"] < time.time() - 3000, True),
    "token_far_future": ({}, lambda _, claims: claims["exp"] > time.time() + 300_000_000, True),
    "token_not_yet_valid": ({}, lambda _, claims: claims["nbf"] > time.time() + 3000, True),
    "token_claims_missing": ({"claims": ["sub", "exp"]}, lambda _, claims: not {"sub", "exp"} & set(claims), True),
    "token_claims_set": ({"claims": {"sub": "x", "iat": None}}, lambda _, c: c["sub"] == "x" and "iat" not in c, True),
    "clock_skew": ({"seconds": 900}, lambda _, claims: claims["iat"] > time.time() + 800, True),
    "groups_huge": ({"count": 5000}, lambda _, claims: len(claims["groups"]) == 5000, True),
}


@pytest.mark.parametrize("kind", ["id_token", "access_token"])
@pytest.mark.parametrize("name", TOKEN_CASES)
def test_a_faulty_token_and_the_next_is_honest(liar: IdpServer, name: str, kind: str) -> None:
    """Checklist 10 to 21 and 68 need these tokens; one thing is wrong, the other token is untouched."""
    options, shows, signed = TOKEN_CASES[name]
    assert is_honest(liar, tokens(liar))
    liar.fault(name, token=kind, **options)
    body = tokens(liar)
    assert shows(*opened(body[kind]))
    assert signed is (is_signed(liar, body[kind]) and "kid" in opened(body[kind])[0])
    assert opened(body["id_token"])[1]["at_hash"] == at_hash(body["access_token"])
    other = "access_token" if kind == "id_token" else "id_token"
    assert is_signed(liar, body[other])
    assert is_honest(liar, tokens(liar))


def test_a_wrong_key_hides_behind_the_published_kid(liar: IdpServer) -> None:
    """RFC 8725 §3.6: the two kinds of unknown key differ in the `kid` they claim."""
    published = {key["kid"] for key in keys_of(liar)}
    assert opened(tokens(liar)["id_token"])[0]["kid"] in published
    liar.fault("token_wrong_key")
    assert opened(tokens(liar)["id_token"])[0]["kid"] in published
    liar.fault("token_unknown_kid")
    assert opened(tokens(liar)["id_token"])[0]["kid"] not in published


@pytest.mark.parametrize(("name", "member"), [("id_token_nonce_wrong", "nonce"), ("id_token_at_hash_wrong", "at_hash")])
def test_a_wrong_binding_in_the_id_token(liar: IdpServer, name: str, member: str) -> None:
    """Checklist 58, 68: the ID token is signed and current, and is not of this sign-in."""
    assert is_honest(liar, tokens(liar))
    liar.fault(name)
    body = tokens(liar)
    assert is_signed(liar, body["id_token"])
    assert opened(body["id_token"])[1][member] not in ("n-1", at_hash(body["access_token"]))
    assert is_honest(liar, tokens(liar))


def test_the_id_token_can_be_missing(liar: IdpServer) -> None:
    """OIDC Core §3.1.3.3: a client that asked for openid must not go on without it."""
    liar.fault("id_token_missing")
    assert "id_token" not in tokens(liar)
    assert is_honest(liar, tokens(liar))


def test_keys_can_be_withdrawn_and_duplicated(liar: IdpServer) -> None:
    """RFC 7517 §4.5: the key that signed is gone, or its `kid` is also a foreign key's; then all is well again."""
    token = tokens(liar)["id_token"]
    assert is_signed(liar, token)
    kid = opened(token)[0]["kid"]
    liar.fault("jwks_key_withdrawn")
    assert kid not in {key["kid"] for key in keys_of(liar)}
    liar.fault("jwks_kid_duplicated")
    twins = [key for key in keys_of(liar) if key["kid"] == kid]
    assert len(twins) == 2
    assert twins[0] != twins[1]
    assert is_signed(liar, token)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"])
def test_documents_can_name_somebody_else(liar: IdpServer, path: str) -> None:
    """Checklist 67: another issuer, or an endpoint of somebody else's."""

    def document() -> dict[str, Any]:
        found: dict[str, Any] = requests.get(liar.issuer + path, timeout=TIMEOUT_SECONDS).json()
        return found

    honest = document()
    liar.fault("metadata_issuer_swapped")
    assert document() == {**honest, "issuer": "https://attacker.example"}
    liar.fault("metadata_member_swapped", member="jwks_uri", value="https://attacker.example/keys")
    assert document() == {**honest, "jwks_uri": "https://attacker.example/keys"}
    assert document() == honest


RESPONSE_CASES: dict[str, Callable[[dict[str, str], str], bool]] = {
    "response_iss_missing": lambda answer, _: "iss" not in answer and answer["state"] == "s-1",
    "mix_up": lambda answer, _: answer["iss"] == "https://attacker.example",
    "response_state_wrong": lambda answer, _: answer["state"] != "s-1",
    "code_replayed": lambda answer, earlier: answer["code"] == earlier,
}


@pytest.mark.parametrize("name", RESPONSE_CASES)
def test_an_authorization_response_can_be_wrong(liar: IdpServer, name: str) -> None:
    """Checklist 64 to 66, RFC 9207, RFC 9700 §4.4."""
    client = OAuthClient(liar.issuer)

    def answer() -> dict[str, str]:
        return answer_of(client.authorize(login_hint="alice", state="s-1").headers["Location"])

    first = answer()
    assert (first["state"], first["iss"]) == ("s-1", liar.issuer)
    liar.fault(name)
    assert RESPONSE_CASES[name](answer(), first["code"])
    last = answer()
    assert (last["state"], last["iss"]) == ("s-1", liar.issuer)
    assert client.token(code=last["code"]).status_code == 200


def test_userinfo_can_be_of_somebody_else(liar: IdpServer) -> None:
    """Checklist 69, OIDC Core §5.3.2: another `sub`, the other claims as they were; huge groups too."""
    client = OAuthClient(liar.issuer)
    token = client.tokens()["access_token"]
    honest = client.userinfo(token).json()
    liar.fault("userinfo_sub_swapped")
    assert client.userinfo(token).json() == {**honest, "sub": "usr_01J9BOBBB4X8K"}
    liar.fault("userinfo_sub_swapped", sub="victim")
    assert client.userinfo(token).json()["sub"] == "victim"
    liar.fault("userinfo_groups_huge", count=3000)
    assert len(client.userinfo(token).json()["groups"]) == 3000
    assert client.userinfo(token).json() == honest


def test_introspection_can_lie(liar: IdpServer) -> None:
    """Checklist 26: a live token is dead, and a token that never was is alive; then the truth."""
    callback = "http://127.0.0.1:8000/auth/callback/mock"
    client = OAuthClient(liar.issuer, "shop-web", callback, "openid", secret=liar.shop_web_secret)
    live = client.tokens()["access_token"]

    def state(token: str) -> dict[str, Any]:
        auth = (client.client_id, client.secret or "")
        answer = requests.post(client.address("introspect"), data={"token": token}, auth=auth, timeout=TIMEOUT_SECONDS)
        found: dict[str, Any] = answer.json()
        return found

    honest = state(live)
    assert honest["active"] is True
    liar.fault("introspection_lies", active=False)
    assert state(live) == {"active": False}
    liar.fault("introspection_lies", claims={"sub": "victim", "scope": "orders:delete"})
    lie = state("never-issued")
    assert (lie["active"], lie["sub"], lie["scope"]) == (True, "victim", "orders:delete")
    assert state("never-issued") == {"active": False}
    assert state(live) == honest


def test_an_endpoint_can_be_slow(liar: IdpServer) -> None:
    url = f"{liar.issuer}/jwks"
    liar.fault("answer_slow", endpoint="jwks", seconds=1.5)
    begun = time.monotonic()
    assert requests.get(url, timeout=TIMEOUT_SECONDS).json()["keys"]
    assert time.monotonic() - begun >= 1.5
    begun = time.monotonic()
    assert requests.get(url, timeout=TIMEOUT_SECONDS).json()["keys"]
    assert time.monotonic() - begun < 1


def test_an_answer_can_be_endless(liar: IdpServer) -> None:
    """Bytes go on arriving: a timeout for each read never fires, a total deadline must."""
    liar.fault("answer_endless", endpoint="userinfo", seconds=3)
    begun = time.monotonic()
    with requests.get(f"{liar.issuer}/userinfo", stream=True, timeout=1) as answer:
        assert answer.status_code == 200
        assert sum(1 for _ in answer.iter_content(1)) > 5
    assert time.monotonic() - begun >= 2.5
    assert requests.get(f"{liar.issuer}/userinfo", timeout=TIMEOUT_SECONDS).status_code == 401


def test_an_answer_can_be_too_big(liar: IdpServer) -> None:
    liar.fault("answer_oversized", endpoint="metadata", bytes=5_000_000)
    url = f"{liar.issuer}/.well-known/openid-configuration"
    answer = requests.get(url, timeout=TIMEOUT_SECONDS)
    assert len(answer.content) >= 5_000_000
    assert answer.json() == {}
    assert requests.get(url, timeout=TIMEOUT_SECONDS).json()["issuer"] == liar.issuer


@pytest.mark.parametrize(
    ("name", "options", "status", "start"),
    [
        ("answer_error", {"status": 503}, 503, "{}"),
        ("answer_html", {}, 200, "<!doctype html>"),
        ("answer_not_json", {}, 200, '{"issuer": "'),
        ("answer_redirect", {"location": "https://attacker.example/x", "status": 302}, 302, ""),
    ],
)
def test_any_endpoint_can_answer_something_else(
    liar: IdpServer, name: str, options: dict[str, Any], status: int, start: str
) -> None:
    """The token endpoint and the metadata: the honest work is not done, and is done the next time."""
    client = OAuthClient(liar.issuer)
    code = client.code()
    liar.fault(name, endpoint="token", **options)
    wrong = client.token(code=code)
    assert wrong.status_code == status
    assert client.token(code=code).status_code == 200
    liar.fault(name, endpoint="metadata", **options)
    url = f"{liar.issuer}/.well-known/openid-configuration"
    wrong = requests.get(url, allow_redirects=False, timeout=TIMEOUT_SECONDS)
    assert wrong.status_code == status
    assert wrong.text.startswith(start)
    assert requests.get(url, timeout=TIMEOUT_SECONDS).json()["issuer"] == liar.issuer


def test_a_lasting_fault_stays_until_it_is_cleared(liar: IdpServer) -> None:
    liar.fault("token_expired", until_cleared=True)
    assert [entry["fault"] for entry in liar.faults()] == ["token_expired"]
    assert not is_honest(liar, tokens(liar))
    assert not is_honest(liar, tokens(liar))
    liar.clear_faults()
    assert liar.faults() == []
    assert is_honest(liar, tokens(liar))


def test_a_fault_waits_for_an_answer_that_it_can_change(liar: IdpServer) -> None:
    """A refused request uses nothing up, nor does another issuer's token."""
    liar.fault("token_expired")
    assert OAuthClient(liar.issuer).token(code="wrong").status_code == 400
    assert OAuthClient(f"{liar.issuer}/okta/oauth2/default").tokens()["id_token"]
    assert len(liar.faults()) == 1
    assert not is_honest(liar, tokens(liar))
    assert liar.faults() == []


def test_faults_of_another_issuer(liar: IdpServer) -> None:
    """An Okta-like token keeps its form; a Google access token is opaque, so only its ID token can change."""
    okta = f"{liar.issuer}/okta/oauth2/default"
    liar.fault("token_claims_missing", issuer=okta, token="access_token", claims=["cid"])
    header, claims = opened(OAuthClient(okta).tokens()["access_token"])
    assert (header["alg"], "typ" in header, "cid" in claims) == ("RS256", False, False)
    assert is_honest(liar, tokens(liar))


def test_two_faults_at_once(liar: IdpServer) -> None:
    liar.set_claims({"email": "alice@attacker.example"})
    liar.fault("token_aud_swapped")
    claims = opened(tokens(liar)["id_token"])[1]
    assert (claims["email"], claims["aud"]) == ("alice@attacker.example", "https://somebody-else.example")
    claims = opened(tokens(liar)["id_token"])[1]
    assert (claims["email"], claims["aud"]) == ("alice@attacker.example", "example-cli")


@pytest.mark.parametrize(
    "wish",
    [
        {"fault": "token_expird"},
        {"fault": "token_expired", "whit": {}},
        {"fault": "token_expired", "with": {"seconds": 1}},
        {"fault": "token_expired", "with": {"token": "refresh_token"}},
        {"fault": "clock_skew", "with": {"seconds": "1"}},
        {"fault": "clock_skew", "with": {"seconds": True}},
        {"fault": "answer_slow", "with": {"endpoint": "tokens"}},
        {"fault": "token_expired", "until_cleared": 1},
        {"fault": "token_expired", "issuer": "https://elsewhere.example"},
        [],
    ],
)
def test_a_misspelt_wish_is_refused(liar: IdpServer, wish: object) -> None:
    """Else a test would believe in a fault that never happens."""
    url = f"{liar.issuer}/_test/faults"
    assert requests.post(url, json={"fault": "token_expired"}, timeout=TIMEOUT_SECONDS).status_code == 201
    refused = requests.post(url, json=wish, timeout=TIMEOUT_SECONDS)
    assert refused.status_code == 400
    assert refused.json()["error"]
    assert len(liar.faults()) == 1


@pytest.mark.parametrize("path", ["/_test/faults", "/_test/log"])
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_only_this_machine_may_ask(liar: IdpServer, path: str, method: str) -> None:
    """Neither a rebound host name nor a page of another origin reaches the test endpoints."""
    assert requests.get(liar.issuer + path, timeout=TIMEOUT_SECONDS).status_code == 200
    for headers in ({"Host": "attacker.example"}, {"Origin": "https://attacker.example"}):
        answer = requests.request(
            method, liar.issuer + path, json={"fault": "token_expired"}, headers=headers, timeout=TIMEOUT_SECONDS
        )
        assert answer.status_code == (405 if (method, path) == ("POST", "/_test/log") else 403)
    assert liar.faults() == []


def test_without_the_option_there_is_nothing() -> None:
    """The test endpoints exist only where they were asked for at start."""
    with IdpServer(["--auto-login"]) as server:
        for path in ("/_test/faults", "/_test/log", "/_test/tokens"):
            assert requests.get(server.issuer + path, timeout=TIMEOUT_SECONDS).status_code == 404
            assert requests.post(server.issuer + path, json={}, timeout=TIMEOUT_SECONDS).status_code == 404


def test_the_log_says_what_was_asked_and_no_secret(liar: IdpServer) -> None:
    """Every request with its status and faults; codes, verifiers, secrets and tokens never."""
    liar.clear_log()
    client = OAuthClient(
        liar.issuer, "shop-web", "http://127.0.0.1:8000/auth/callback/mock", "openid", secret=liar.shop_web_secret
    )
    code = client.code("alice", state="state-secret-1")
    liar.fault("token_expired")
    body = client.token(code=code).json()
    client.userinfo(body["access_token"])
    asked, redeemed, read = liar.log()
    assert (asked["endpoint"], asked["method"], asked["status"]) == ("authorize", "GET", 303)
    assert asked["parameters"]["client_id"] == "shop-web"
    assert asked["parameters"]["scope"] == "openid"
    assert (redeemed["endpoint"], redeemed["authentication"], redeemed["faults"]) == (
        "token",
        "basic",
        ["token_expired"],
    )
    assert (read["endpoint"], read["authentication"], read["status"]) == ("userinfo", "bearer", 200)
    text = json.dumps(liar.log())
    for secret in (code, client.verifier, liar.shop_web_secret, body["access_token"], "state-secret-1"):
        assert secret not in text
    assert liar.log("userinfo") == [read]


def test_the_table_is_the_code() -> None:
    """docs/identity-provider-faults.md lists every fault with what it changes, does and takes, and no other."""
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \| (.+?) \|$", DOCUMENT.read_text(), re.MULTILINE)
    told = {name: (on, does, options) for name, on, does, options in rows}
    coded = {
        fault.name: (
            fault.on,
            fault.does,
            ", ".join(f"`{name}` = `{json.dumps(value)}`" for name, value in fault.options.items()) or "–",
        )
        for fault in FAULTS.values()
    }
    assert told == coded


def test_every_fault_is_tested_here() -> None:
    """A fault without a test that shows it is a promise."""
    text = Path(__file__).read_text()
    assert [name for name in FAULTS if f'"{name}"' not in text] == []
