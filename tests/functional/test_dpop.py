"""DPoP over HTTP (RFC 9449): a bound token works with its key and with nothing else (checklist lines 22 to 24)."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.security.test_token_refusals import claims
from tests.support.dpop_client import DpopClient
from tests.support.issuers import SUBJECTS, Forge, add_account, provider_table, shop_with
from tests.support.shop import Shop
from tests.unit.credentials import token_workshop as workshop
from tests.unit.outbound.loopback_server import running_server

ORDERS = "/api/v1/orders"


@pytest.fixture
def client(shop: Shop) -> DpopClient:
    """A client that has been given the nonce, if this shop asks for one."""
    client = DpopClient(shop)
    assert client.call("GET", ORDERS, bound_token(shop, client)).status_code == 200
    return client


def bound_token(shop: Shop, client: DpopClient, **changes: Any) -> str:
    return shop.idp.mint(claims(shop, cnf={"jkt": client.thumbprint}, **changes), header={"typ": "at+jwt"})


def reason(shop: Shop, answer: Any) -> Any:
    [event] = shop.events_of(answer)
    return event["reason"]


@pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP"])
def test_client_uses_its_bound_token(shop: Shop, client: DpopClient, scheme: str) -> None:
    """The scheme's case does not matter, nor how often the token is used, nor the query."""
    token = bound_token(shop, client)
    for path in (ORDERS, f"{ORDERS}?limit=1", "/api/v1/products"):
        scope = {"scope": "orders:read products:read"}
        token = bound_token(shop, client, **scope)
        assert client.call("GET", path, token, scheme=scheme).status_code == 200


def test_thief_cannot_use_a_bound_token_as_bearer(shop: Shop, client: DpopClient) -> None:
    token = bound_token(shop, client)
    assert client.call("GET", ORDERS, token).status_code == 200
    answer = shop.call("GET", ORDERS, token)
    assert answer.status_code == 401
    assert reason(shop, answer) == "sender_constrained"
    with_proof = client.send("GET", ORDERS, token, client.proof("GET", shop.api + ORDERS, token), scheme="Bearer")
    assert with_proof.status_code == 401


BAD: dict[str, tuple[Callable[[DpopClient, str, str], str], str]] = {
    "another method": (lambda c, url, t: c.proof("POST", url, t), "dpop_method"),
    "another path": (lambda c, url, t: c.proof("GET", f"{url}/x", t), "dpop_target"),
    "another host": (lambda c, _, t: c.proof("GET", f"https://evil.example{ORDERS}", t), "dpop_target"),
    "another token": (lambda c, url, _: c.proof("GET", url, "other"), "dpop_token"),
    "an old time": (lambda c, url, t: c.proof("GET", url, t, iat=1), "dpop_time"),
    "no identifier": (lambda c, url, t: c.proof("GET", url, t, jti=None), "dpop_claim"),
    "two proofs": (lambda c, url, t: f"{c.proof('GET', url, t)},{c.proof('GET', url, t)}", "dpop_malformed"),
    "no proof": (lambda _c, _url, _t: "", "dpop_malformed"),
}


@pytest.mark.parametrize("name", BAD)
def test_thief_cannot_prove_possession_with(shop: Shop, client: DpopClient, name: str) -> None:
    """401 with a DPoP challenge that names the algorithms; the event says what was wrong, the answer does not."""
    token = bound_token(shop, client)
    assert client.call("GET", ORDERS, token).status_code == 200
    make, expected = BAD[name]
    answer = client.send("GET", ORDERS, token, make(client, shop.api + ORDERS, token))
    assert answer.status_code == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith('DPoP error="invalid_dpop_proof", algs="ES256 ')
    assert "resource_metadata=" in challenge
    assert answer.json()["type"].endswith("/problems/invalid-dpop-proof")
    assert expected not in answer.text
    assert reason(shop, answer) == expected


def test_thief_cannot_use_a_bound_token_with_a_key_of_its_own(shop: Shop, client: DpopClient) -> None:
    token = bound_token(shop, client)
    assert client.call("GET", ORDERS, token).status_code == 200
    thief = DpopClient(shop)
    answer = thief.call("GET", ORDERS, token)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('DPoP error="invalid_token"')
    assert reason(shop, answer) == "wrong_key"


def test_client_cannot_send_an_unbound_token_as_bound(shop: Shop, client: DpopClient) -> None:
    token = shop.idp.mint(claims(shop), header={"typ": "at+jwt"})
    assert shop.call("GET", ORDERS, token).status_code == 200
    assert reason(shop, client.call("GET", ORDERS, token)) == "not_bound"


def test_thief_cannot_replay_a_proof_at_any_worker(shop: Shop, client: DpopClient) -> None:
    """The proof was good once; of 12 more requests, each on its own connection, every worker refuses it."""
    token = bound_token(shop, client)
    proof = client.proof("GET", shop.api + ORDERS, token)
    assert client.send("GET", ORDERS, token, proof).status_code == 200
    answers = [client.send("GET", ORDERS, token, proof) for _ in range(12)]
    assert {answer.status_code for answer in answers} == {401}
    assert {reason(shop, answer) for answer in answers} == {"dpop_replayed"}
    assert client.call("GET", ORDERS, token).status_code == 200


def test_thief_cannot_choose_the_target_with_the_host_header(shop: Shop, client: DpopClient) -> None:
    """`htu` is compared with the configured address: a proof for another host fails, whatever `Host` says."""
    token = bound_token(shop, client)
    honest = client.send(
        "GET", ORDERS, token, client.proof("GET", shop.api + ORDERS, token), headers={"Host": "x.example"}
    )
    assert honest.status_code == 200
    forged = client.proof("GET", f"http://x.example{ORDERS}", token)
    answer = client.send("GET", ORDERS, token, forged, headers={"Host": "x.example"})
    assert reason(shop, answer) == "dpop_target"


def test_two_dpop_fields_are_refused(shop: Shop, client: DpopClient) -> None:
    token = bound_token(shop, client)
    connection = http.client.HTTPConnection(urlsplit(shop.api).netloc, timeout=10)
    connection.putrequest("GET", ORDERS)
    connection.putheader("Authorization", f"DPoP {token}")
    for _ in range(2):
        connection.putheader("DPoP", client.proof("GET", shop.api + ORDERS, token))
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 401


def test_who_sends_no_credential_is_told_both_schemes(shop: Shop) -> None:
    challenge = shop.call("GET", ORDERS).headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer resource_metadata=")
    assert ', DPoP algs="ES256 ' in challenge


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Forge]]:
    """A shop where one provider demands DPoP of everyone with nonces, and another of one client."""
    with running_server() as forge, running_server() as okta:
        forge.publish(workshop.JWKS[workshop.MOCK])
        okta.publish(workshop.JWKS[workshop.OKTA])
        tables = provider_table("forge", forge.url, "rfc9068", "dpop_required = true\ndpop_nonce = true\n")
        client_id = workshop.OKTA_CLAIMS["cid"]
        tables += provider_table("okta", okta.url, "okta", f'dpop_clients = ["{client_id}"]\n')
        with shop_with(tmp_path_factory.mktemp("strict"), tables) as shop:
            add_account(shop.engine, forge.url, "alice")
            add_account(shop.engine, okta.url, SUBJECTS["okta"])
            yield shop, Forge({"forge": forge, "okta": okta}, shop.api)


def test_client_cannot_send_a_plain_token_where_dpop_is_demanded(strict: tuple[Shop, Forge]) -> None:
    """Of a whole provider, or of one client; the same provider's other client may."""
    shop, forge = strict
    client = DpopClient(shop)
    for name in ("forge", "okta"):
        bound = forge.claiming(name, cnf={"jkt": client.thumbprint})
        assert client.call("GET", ORDERS, bound).status_code == 200
        answer = shop.call("GET", ORDERS, forge.good(name))
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("DPoP error=")
        assert reason(shop, answer) == "dpop_required"
    assert shop.call("GET", ORDERS, forge.claiming("okta", cid="another client")).status_code == 200


def test_a_provider_can_demand_a_nonce(strict: tuple[Shop, Forge]) -> None:
    """Without it: 401 `use_dpop_nonce` with a nonce; with it: 200, again and again; with an invented one: 401."""
    shop, forge = strict
    client = DpopClient(shop)
    token = forge.claiming(cnf={"jkt": client.thumbprint})
    challenged = client.send("GET", ORDERS, token, client.proof("GET", shop.api + ORDERS, token))
    assert challenged.status_code == 401
    assert challenged.headers["WWW-Authenticate"].startswith('DPoP error="use_dpop_nonce"')
    assert challenged.headers["Cache-Control"] == "no-store"
    assert challenged.json()["type"].endswith("/problems/use-dpop-nonce")
    client.nonce = challenged.headers["DPoP-Nonce"]
    for _ in range(2):
        answer = client.send("GET", ORDERS, token, client.proof("GET", shop.api + ORDERS, token))
        assert answer.status_code == 200
    invented = client.proof("GET", shop.api + ORDERS, token, nonce="1.AAAA")
    assert client.send("GET", ORDERS, token, invented).status_code == 401
