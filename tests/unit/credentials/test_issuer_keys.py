"""Fetching an issuer's keys from a real server on loopback: caching, cooldown, single flight, faults."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secure_api.credentials.identity_provider import KeyCachePolicy
from secure_api.credentials.issuer_keys import METADATA_TTL_SECONDS, IssuerKeys
from secure_api.credentials.providers import load_providers
from secure_api.errors import InvalidToken, ServiceUnavailable
from secure_api.outbound.operator import OperatorClient
from secure_api.protocol.reasons import Reason
from tests.unit.credentials import token_workshop as shop
from tests.unit.outbound.loopback_server import LoopbackServer, answer_json, drip, redirect_to, running_server

POLICY = KeyCachePolicy(ttl_seconds=600, cooldown_seconds=30, retry_seconds=5, stale_seconds=3600)
DISCOVERY = "/.well-known/openid-configuration"
OLD = [shop.ec_jwk("old", "old")]
NEW = [shop.ec_jwk("new", "new")]


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[LoopbackServer]:
    with running_server() as server:
        server.publish(OLD)
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(issuer: LoopbackServer, clock: Clock, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[IssuerKeys]:
    """Patient, so that a busy machine fails no test; impatient where the test is about a slow issuer."""
    seconds = 0.5 if any(word in request.node.name for word in ("endless", "silence", "slow")) else 20
    path = tmp_path / "providers.toml"
    path.write_text(f'[providers.x]\nissuer = "{issuer.url}"\nprofile = "rfc9068"\naudiences = ["a"]\n')
    provider = load_providers(path, {}, allow_http_loopback=True).by_name("x")
    assert provider is not None
    client = OperatorClient(provider.origins, read_timeout_seconds=20, total_timeout_seconds=seconds, max_bytes=20_000)
    yield IssuerKeys(replace(provider, key_cache=POLICY), client, clock)
    client.close()


def refusal_of(call: Callable[[], Any]) -> str:
    with pytest.raises(InvalidToken) as refusal:
        call()
    return refusal.value.reason


def test_keys_are_fetched_once(keys: IssuerKeys, issuer: LoopbackServer) -> None:
    """A hundred look-ups within the time to live cost one discovery and one fetch of the keys."""
    assert {keys.key_for("old").key_id for _ in range(100)} == {"old"}
    assert dict(issuer.asked) == {DISCOVERY: 1, "/keys": 1}


def test_rotation_is_seen_at_once(keys: IssuerKeys, issuer: LoopbackServer) -> None:
    """A token with a new `kid` brings the new key without a restart; the withdrawn one is gone."""
    keys.key_for("old")
    issuer.publish(NEW)
    assert keys.key_for("new").key_id == "new"
    assert refusal_of(lambda: keys.key_for("old")) == Reason.UNKNOWN_KEY
    assert issuer.asked["/keys"] == 3  # the look-up of the withdrawn key was one more


def test_rotation_under_the_same_kid_is_seen_after_the_time_to_live(
    keys: IssuerKeys, issuer: LoopbackServer, clock: Clock
) -> None:
    """A swapped key replaces the old one with the next fetch."""
    first = keys.key_for("old")
    issuer.publish([shop.ec_jwk("new", "old")])
    clock.now += 599
    assert keys.key_for("old") is first
    clock.now += 1
    second = keys.key_for("old")
    message = b"message"
    assert second.accepts(message, shop.sign_es256(message, "new"))
    assert not second.accepts(message, shop.sign_es256(message, "old"))


def test_attacker_cannot_make_the_api_flood_the_issuer(keys: IssuerKeys, issuer: LoopbackServer, clock: Clock) -> None:
    """200 requests at once with random `kid`s cause one fetch per cooldown, not 200."""
    keys.key_for("old")
    before = issuer.asked["/keys"]

    def attack(_: int) -> str:
        return refusal_of(lambda: keys.key_for(secrets.token_hex(8)))

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(attack, range(200))) == {Reason.UNKNOWN_KEY}
    assert issuer.asked["/keys"] - before == 1

    clock.now += 29
    attack(0)
    assert issuer.asked["/keys"] - before == 1
    clock.now += 1
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(attack, range(200)))
    assert issuer.asked["/keys"] - before == 2
    assert issuer.asked[DISCOVERY] == 1


def test_cold_start_under_attack_makes_one_fetch(keys: IssuerKeys, issuer: LoopbackServer) -> None:
    """Before any key is there, 200 random `kid`s at once cause one discovery and one fetch."""
    with ThreadPoolExecutor(32) as pool:
        reasons = set(pool.map(lambda _: refusal_of(lambda: keys.key_for(secrets.token_hex(8))), range(200)))
    assert reasons == {Reason.UNKNOWN_KEY}
    assert dict(issuer.asked) == {DISCOVERY: 1, "/keys": 1}


def test_threads_share_one_fetch(keys: IssuerKeys, issuer: LoopbackServer) -> None:
    """64 first requests at once all get the key from a single fetch."""
    barrier = threading.Barrier(16)

    def ask(_: int) -> str:
        barrier.wait(10)
        return keys.key_for("old").key_id

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(64))) == {"old"}
    assert issuer.asked["/keys"] == 1


def test_requests_do_not_wait_while_last_good_keys_serve(
    keys: IssuerKeys, issuer: LoopbackServer, clock: Clock
) -> None:
    """Past the time to live one thread asks the issuer; the others go on with the key they have."""
    keys.key_for("old")
    clock.now += 601
    asked, go_on = threading.Event(), threading.Event()
    usual = issuer.answers["/keys"]

    def held_back(handler: Any) -> None:
        asked.set()
        go_on.wait(10)
        usual(handler)

    issuer.answers["/keys"] = held_back
    first = threading.Thread(target=lambda: keys.key_for("old"))
    first.start()
    assert asked.wait(10)
    assert keys.key_for("old").key_id == "old"
    assert first.is_alive(), "the fetch was still under way"
    go_on.set()
    first.join(10)


def faults(server: LoopbackServer) -> dict[str, Any]:
    """What a broken or hostile key endpoint answers."""
    key = OLD[0]
    return {
        "down": answer_json({}, status=404),
        "error 500": answer_json({"keys": NEW}, status=500),
        "redirect": redirect_to(f"{server.url}/elsewhere"),
        "HTML": answer_json(b"<html></html>", content_type="text/html"),
        "HTML by its content": answer_json(b"<html></html>"),
        "empty body": answer_json(b""),
        "empty set": answer_json({"keys": []}),
        "no set": answer_json({"key": OLD}),
        "array": answer_json(OLD),
        "too many keys": answer_json({"keys": [{**key, "kid": str(n)} for n in range(65)]}),
        "10 MB": answer_json(b'{"keys": [' + b" " * 10_000_000 + b"]}"),
        "duplicate members": answer_json(b'{"keys": [], "keys": []}'),
        "endless headers": drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", server.stop),
        "endless body": drip(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" ", server.stop),
        "silence": lambda _: server.stop.wait(10),
        "hang-up": lambda handler: handler.connection.shutdown(socket.SHUT_RDWR),
        "only private keys": answer_json({"keys": [{**key, "d": "AA"}]}),
        "only symmetric keys": answer_json({"keys": [{"kty": "oct", "kid": "old", "k": "c2VjcmV0"}]}),
    }


@pytest.mark.parametrize("name", sorted(faults(LoopbackServer(1))))
def test_outage_leaves_last_good_keys_for_a_bounded_time(
    name: str, keys: IssuerKeys, issuer: LoopbackServer, clock: Clock
) -> None:
    """Whatever the key endpoint does wrong: the last good key serves for `stale_seconds`, then it is 503, then well."""
    usual = issuer.answers["/keys"]
    assert keys.key_for("old").key_id == "old"
    issuer.answers["/elsewhere"] = answer_json({"keys": NEW})
    issuer.answers["/keys"] = faults(issuer)[name]

    clock.now += 600
    assert keys.key_for("old").key_id == "old"
    assert refusal_of(lambda: keys.key_for("new")) == Reason.UNKNOWN_KEY
    assert issuer.asked["/keys"] == 2, "the cooldown holds during an outage too"
    assert issuer.asked["/elsewhere"] == 0, "no redirect is followed"

    clock.now += 3599
    assert keys.key_for("old").key_id == "old"
    clock.now += 1
    with pytest.raises(ServiceUnavailable):
        keys.key_for("old")

    issuer.answers["/keys"] = usual
    clock.now += 5
    assert keys.key_for("old").key_id == "old"


@pytest.mark.parametrize("path", ["/keys", DISCOVERY])
def test_outage_without_keys_is_503_and_recovers_soon(
    path: str, keys: IssuerKeys, issuer: LoopbackServer, clock: Clock
) -> None:
    """An API started before its issuer answers 503, asks at most every `retry_seconds`, and recovers by itself."""
    usual = issuer.answers[path]
    issuer.answers[path] = answer_json({}, status=500)
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            keys.key_for("old")
    assert issuer.asked[path] == 1
    issuer.answers[path] = usual
    with pytest.raises(ServiceUnavailable):
        keys.key_for("old")
    clock.now += 5
    assert keys.key_for("old").key_id == "old"


def test_slow_outage_does_not_queue_the_waiting(keys: IssuerKeys, issuer: LoopbackServer) -> None:
    """Eight requests that wait for a fetch which fails slowly are all refused after that one fetch."""
    issuer.answers["/keys"] = lambda _: issuer.stop.wait(10)

    def ask(_: int) -> bool:
        with pytest.raises(ServiceUnavailable):
            keys.key_for("old")
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))
    assert issuer.asked["/keys"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://evil.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://elsewhere.example/keys"},
    ],
)
def test_keys_cannot_come_from_another_place(
    change: dict[str, Any], keys: IssuerKeys, issuer: LoopbackServer, clock: Clock
) -> None:
    """Metadata of another issuer, or that names an address outside the provider's origins, brings no keys."""
    good = {
        "issuer": issuer.url,
        "authorization_endpoint": f"{issuer.url}/authorize",
        "token_endpoint": f"{issuer.url}/token",
        "jwks_uri": f"{issuer.url}/keys",
    }
    issuer.answers[DISCOVERY] = answer_json({**good, **change})
    with pytest.raises(ServiceUnavailable):
        keys.key_for("old")
    assert issuer.asked["/keys"] == 0
    issuer.answers[DISCOVERY] = answer_json(good)
    clock.now += METADATA_TTL_SECONDS
    assert keys.key_for("old").key_id == "old"


def test_metadata_is_kept_and_renewed(keys: IssuerKeys, issuer: LoopbackServer, clock: Clock) -> None:
    """Endpoints are fetched once an hour, survive an outage, and are shared with the key look-up."""
    keys.key_for("old")
    assert keys.metadata().token_endpoint == f"{issuer.url}/token"
    assert issuer.asked[DISCOVERY] == 1
    clock.now += METADATA_TTL_SECONDS
    issuer.answers[DISCOVERY] = answer_json({}, status=500)
    assert keys.metadata().token_endpoint == f"{issuer.url}/token"
    assert keys.metadata().token_endpoint == f"{issuer.url}/token"
    assert issuer.asked[DISCOVERY] == 2, "one failed attempt per cooldown"


def test_pinned_jwks_uri_needs_no_metadata(issuer: LoopbackServer, keys: IssuerKeys, clock: Clock) -> None:
    """With `jwks_uri` in the table, keys come from there and discovery is never asked."""
    pinned_client = OperatorClient(keys.provider.origins)
    pinned = IssuerKeys(replace(keys.provider, jwks_uri=f"{issuer.url}/keys"), pinned_client, clock)
    assert pinned.key_for("old").key_id == "old"
    pinned_client.close()
    assert issuer.asked[DISCOVERY] == 0
