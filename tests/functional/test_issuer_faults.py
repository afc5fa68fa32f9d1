"""What callers get when an issuer is broken, slow or hostile, over HTTP and with real sockets.

Every fault has an issuer of its own in one providers file, so that one shop meets all of them at once. Each
issuer goes through the same five stages; `docs/proof/issuer-faults.md` is the table of what was seen, and is
written anew with `ISSUER_FAULTS=docs/proof/issuer-faults.md`.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from secure_api.server import free_port
from secure_api.settings import PROJECT_ROOT
from tests.support.issuers import add_account, provider_table, shop_with
from tests.support.shop import HOST, Shop
from tests.unit.credentials import token_workshop as workshop
from tests.unit.credentials.token_workshop import CLAIMS, HEADER, compact
from tests.unit.outbound.loopback_server import Answer, LoopbackServer, answer_json, drip, redirect_to, running_server

ORDERS = "/api/v1/orders"
KEYS, DISCOVERY = "/keys", "/.well-known/openid-configuration"
RIGHT = [workshop.rsa_jwk("mock", "mock-rsa")]
TTL_SECONDS, STALE_SECONDS, COOLDOWN_SECONDS = 1, 22, 1
LONGEST_FETCH_SECONDS = 8  # `OperatorClient.total_timeout_seconds`
LOADED_MACHINE_SECONDS = 12  # what a machine full of other work may add to an answer
TABLE = PROJECT_ROOT / "docs" / "proof" / "issuer-faults.md"
STAGES = ("cold", "recovered", "stale", "unknown kid", "closed", "well again")


@dataclass(frozen=True)
class Fault:
    """`path` answers wrongly; the callers must see `cold`, `stale` and `closed` at these stages."""

    path: str
    answer: Callable[[LoopbackServer], Answer]
    cold: str = "503"
    stale: str = "200"
    closed: str = "503"
    unknown_kid: str = "401 unknown_key"
    mended: str = "200"


def metadata(server: LoopbackServer, **changes: str) -> Answer:
    right = {
        "issuer": server.url,
        "authorization_endpoint": f"{server.url}/authorize",
        "token_endpoint": f"{server.url}/token",
        "jwks_uri": f"{server.url}/keys",
    }
    return answer_json({**right, **changes})


def slowly(seconds: float, answer: Answer) -> Answer:
    def wait(handler: http.server.BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        answer(handler)

    return wait


HEAD = b"HTTP/1.1 200 OK\r\n"
JSON_HEAD = HEAD + b"Content-Type: application/json\r\n\r\n"
# With the metadata in hand (it is kept for an hour), a fault of the discovery document is not noticed.
UNNOTICED = {"stale": "200", "closed": "200"}

FAULTS: dict[str, Fault] = {
    "keys: refuses connections": Fault(KEYS, lambda _: lambda _: None),  # see `DeadEndpoint`
    "keys: hangs up": Fault(KEYS, lambda _: lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)),
    "keys: status 500": Fault(KEYS, lambda _: answer_json({"keys": RIGHT}, status=500)),
    "keys: status 404": Fault(KEYS, lambda _: answer_json({"keys": RIGHT}, status=404)),
    "keys: 2 s late": Fault(KEYS, lambda _: slowly(2, answer_json({"keys": RIGHT})), cold="200", closed="200"),
    "keys: silent": Fault(KEYS, lambda server: lambda _: server.stop.wait(60)),
    "keys: endless headers": Fault(KEYS, lambda server: drip(HEAD, b"X: y\r\n", server.stop)),
    "keys: endless body": Fault(KEYS, lambda server: drip(JSON_HEAD, b" ", server.stop)),
    "keys: redirect": Fault(KEYS, lambda server: redirect_to(f"{server.url}/elsewhere")),
    "keys: HTML": Fault(KEYS, lambda _: answer_json(b"<html></html>", content_type="text/html")),
    "keys: HTML called JSON": Fault(KEYS, lambda _: answer_json(b"<html></html>")),
    "keys: empty body": Fault(KEYS, lambda _: answer_json(b"")),
    "keys: empty set": Fault(KEYS, lambda _: answer_json({"keys": []})),
    "keys: 10 MB": Fault(KEYS, lambda _: answer_json(b'{"keys": [' + b" " * 10_000_000 + b"]}")),
    "keys: the metadata instead": Fault(KEYS, metadata),
    "keys: another key under the same kid": Fault(
        KEYS,
        lambda _: answer_json({"keys": [workshop.rsa_jwk("attacker", "mock-rsa")]}),
        cold="401 bad_signature",
        stale="401 bad_signature",
        closed="401 bad_signature",
    ),
    "keys: the key withdrawn": Fault(
        KEYS,
        lambda _: answer_json({"keys": [workshop.rsa_jwk("attacker", "new-rsa")]}),
        cold="401 unknown_key",
        stale="401 unknown_key",
        closed="401 unknown_key",
    ),
    "keys: private and symmetric keys only": Fault(
        KEYS,
        lambda _: answer_json(
            {"keys": [{**RIGHT[0], "d": "AQAB"}, {"kty": "oct", "kid": "mock-rsa", "k": "c2VjcmV0"}]}
        ),
    ),
    "discovery: status 500": Fault(DISCOVERY, lambda _: answer_json({}, status=500), **UNNOTICED),
    "discovery: silent": Fault(DISCOVERY, lambda server: lambda _: server.stop.wait(60), **UNNOTICED),
    "discovery: HTML": Fault(DISCOVERY, lambda _: answer_json(b"<html></html>", content_type="text/html"), **UNNOTICED),
    "discovery: redirect": Fault(DISCOVERY, lambda server: redirect_to(f"{server.url}/elsewhere"), **UNNOTICED),
    "discovery: another issuer": Fault(DISCOVERY, lambda s: metadata(s, issuer="https://evil.example"), **UNNOTICED),
    "discovery: the issuer with a slash": Fault(DISCOVERY, lambda s: metadata(s, issuer=f"{s.url}/"), **UNNOTICED),
    "discovery: keys on another origin": Fault(
        DISCOVERY,
        lambda s: metadata(s, jwks_uri="http://127.0.0.1:9/keys"),
        # Well-formed metadata of the right issuer is kept for an hour, so its mending is seen only then.
        **dict.fromkeys(("stale", "closed", "unknown_kid", "mended"), "503"),
    ),
}
DEAD = "keys: refuses connections"


class DeadEndpoint:
    """Keys at an address where, most of the time, nothing listens."""

    def __init__(self) -> None:
        self.port = free_port(HOST)
        self._server: http.server.ThreadingHTTPServer | None = None

    def up(self) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer_json({"keys": RIGHT})(self)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = http.server.ThreadingHTTPServer((HOST, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def down(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@dataclass(frozen=True)
class Seen:
    """What one caller got: the status and the audited reason, the seconds, and the body's members."""

    answer: str
    seconds: float
    body: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass
class Observations:
    """What every issuer's callers saw, stage by stage, and what the API asked of it and logged."""

    seen: dict[str, dict[str, Seen]] = field(default_factory=dict)
    asked: dict[str, Counter[str]] = field(default_factory=dict)
    logged: dict[str, str] = field(default_factory=dict)


def token_of(issuer: str, audience: str, *, key_id: str = "mock-rsa", times: Mapping[str, int] | None = None) -> str:
    """A good token of this issuer, but for its `kid` and its times."""
    now = int(time.time())
    claims = {**CLAIMS, "iss": issuer, "aud": audience, "iat": now, "exp": now + 600, "auth_time": now, **(times or {})}
    return compact({**HEADER, "kid": key_id}, claims)


def ask(shop: Shop, token: str) -> Seen:
    started = time.monotonic()
    answer = shop.call("GET", ORDERS, token)
    seconds = time.monotonic() - started
    events = shop.events_of(answer)
    reason = f" {events[0]['reason']}" if events else ""
    return Seen(f"{answer.status_code}{reason}", seconds, answer.json(), dict(answer.headers))


def slug(number: int) -> str:
    return f"fault-{number}"


@dataclass(frozen=True)
class World:
    """One shop, an issuer per fault, three healthy ones (skew, and two floods of `kid`s), and one that turns mute."""

    shop: Shop
    faulty: Mapping[str, LoopbackServer]
    dead: DeadEndpoint
    healthy: LoopbackServer
    flooded: LoopbackServer
    flooded_often: LoopbackServer
    mute: LoopbackServer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    cache = f"key_cache = {{ttl_seconds = {TTL_SECONDS}, cooldown_seconds = {COOLDOWN_SECONDS}, "
    cache += f"retry_seconds = 1, stale_seconds = {STALE_SECONDS}}}\n"
    with contextlib.ExitStack() as stack:
        dead = DeadEndpoint()
        stack.callback(dead.down)
        faulty = {name: stack.enter_context(running_server()) for name in FAULTS}
        healthy, flooded, flooded_often, mute = (stack.enter_context(running_server()) for _ in range(4))
        tables = ""
        for number, (name, server) in enumerate(faulty.items()):
            pinned = f'jwks_uri = "http://{HOST}:{dead.port}/keys"\n' if name == DEAD else ""
            tables += provider_table(slug(number), server.url, "rfc9068", pinned + cache)
        tables += provider_table("healthy", healthy.url, "rfc9068")
        tables += provider_table("flooded", flooded.url, "rfc9068", "key_cache = {cooldown_seconds = 60}\n")
        tables += provider_table("flooded-often", flooded_often.url, "rfc9068", "key_cache = {cooldown_seconds = 2}\n")
        tables += provider_table("mute", mute.url, "rfc9068")
        for server in (*faulty.values(), healthy, flooded, flooded_often):
            server.publish(RIGHT)
        shop = stack.enter_context(shop_with(tmp_path_factory.mktemp("faults"), tables))
        for server in (*faulty.values(), healthy, flooded, flooded_often):
            add_account(shop.engine, server.url, "alice")
        # The servers' own stop events end the answers that never end; the shop must be gone before.
        yield World(shop, faulty, dead, healthy, flooded, flooded_often, mute)


@pytest.fixture(scope="module")
def observations(world: World) -> Observations:
    """Every issuer through the stages, all at once."""
    found = Observations(seen={name: {} for name in FAULTS})
    usual = {name: dict(server.answers) for name, server in world.faulty.items()}

    def break_all() -> None:
        world.dead.down()
        for name, fault in FAULTS.items():
            world.faulty[name].answers[fault.path] = fault.answer(world.faulty[name])

    def mend_all() -> None:
        world.dead.up()
        for name, server in world.faulty.items():
            server.answers.update(usual[name])

    def stage(stage_name: str, key_id: str = "mock-rsa") -> None:
        def one(name: str) -> None:
            token_text = token_of(world.faulty[name].url, world.shop.api, key_id=key_id)
            found.seen[name][stage_name] = ask(world.shop, token_text)

        with ThreadPoolExecutor(len(FAULTS)) as pool:
            list(pool.map(one, FAULTS))

    break_all()
    stage("cold")
    mend_all()
    time.sleep(COOLDOWN_SECONDS + 0.2)
    stage("recovered")
    fetched_at = time.monotonic()
    break_all()
    time.sleep(TTL_SECONDS + 0.2)
    stage("stale")
    stage("unknown kid", key_id="no-such-key")
    time.sleep(max(0.0, fetched_at + TTL_SECONDS + STALE_SECONDS + 0.5 - time.monotonic()))
    stage("closed")
    mend_all()
    time.sleep(COOLDOWN_SECONDS + 0.2)
    stage("well again")
    found.asked = {name: server.asked for name, server in world.faulty.items()}
    log = world.shop.log.read_text()
    for number, (name, server) in enumerate(world.faulty.items()):
        found.logged[name] = first_warning(log, slug(number), {server.url: "<issuer>", str(world.dead.port): "<port>"})
    return found


def first_warning(log: str, provider: str, names: Mapping[str, str]) -> str:
    for line in log.splitlines():
        for kind in ("keys", "metadata"):
            start = line.find(f"{kind} of {provider}: ")
            if start >= 0:
                text = line[start:].partition('"')[0].removeprefix(f"{kind} of {provider}: ")
                for old, new in names.items():
                    text = text.replace(old, new)
                return text.replace("<issuer>/.well-known/openid-configuration", "<issuer>/…")
    return ""


@pytest.mark.parametrize("name", FAULTS)
def test_callers_get(name: str, observations: Observations) -> None:
    """Before any key was there: 503; after it: the last good keys, for a bounded time; then 503; then all is well."""
    fault, seen = FAULTS[name], observations.seen[name]
    assert {stage: seen[stage].answer for stage in STAGES} == {
        "cold": fault.cold,
        "recovered": fault.mended,
        "stale": fault.stale,
        "unknown kid": fault.unknown_kid,
        "closed": fault.closed,
        "well again": fault.mended,
    }
    for stage in STAGES:
        assert seen[stage].seconds < LONGEST_FETCH_SECONDS + LOADED_MACHINE_SECONDS
    assert observations.asked[name]["/elsewhere"] == 0, "no redirect is followed"


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.cold == "503"])
def test_refusal_during_an_outage_says_nothing_of_the_issuer(name: str, observations: Observations) -> None:
    """A 503 tells the caller to try again, and neither the issuer's address nor what went wrong; the log does."""
    cold = observations.seen[name]["cold"]
    assert {member: value for member, value in cold.body.items() if member not in {"type", "request_id"}} == {
        "title": "Service unavailable",
        "status": 503,
        "detail": cold.body["detail"],
    }
    assert cold.body["detail"] in {
        "The identity provider's keys cannot be fetched at the moment.",
        "The identity provider cannot be reached at the moment.",
    }
    assert "WWW-Authenticate" not in cold.headers, "the token was not judged"
    assert observations.logged[name]


def rendered(found: Observations) -> str:
    """The observations as a Markdown table."""
    rows = [
        "# What callers get when an issuer is broken",
        "",
        "Written by `tests/functional/test_issuer_faults.py` from what it saw over HTTP (real API process, real",
        "sockets, one issuer per row); the test fails where this page and the API no longer agree.",
        "",
        "- *cold*: the API has never had a key of this issuer. *stale*: it has, they are past `ttl_seconds`, and the",
        "  issuer is broken. *closed*: past `ttl_seconds` + `stale_seconds` too.",
        "- One retry period after the issuer was mended, every row but the last was 200 again. Metadata is kept for",
        "  an hour, so that of the last row, which is well-formed and the issuer's own, serves until then.",
        "- While last good keys served, a token with an unknown `kid` was 401 `unknown_key` in every row.",
        f"- Whatever the issuer does, a fetch ends within {LONGEST_FETCH_SECONDS} s. The caller's token is not judged",
        "  meanwhile: 503 without a challenge, and the body names neither issuer nor cause.",
        "",
        "| the issuer's … | cold | stale | closed | first line in the API's log |",
        "|---|---|---|---|---|",
    ]
    for name in FAULTS:
        seen = found.seen[name]
        cells = [seen[stage].answer.replace(" ", " `", 1) for stage in ("cold", "stale", "closed")]
        cells = [f"{cell}`" if "`" in cell else cell for cell in cells]
        rows.append(f"| {name} | {' | '.join(cells)} | {found.logged[name] or '(none)'} |")
    rows += [
        "",
        "## A clock that is off",
        "",
        "Tokens of a healthy issuer whose clock differs from the API's (allowed: `clock_skew_seconds`, 30 s):",
        "",
        "| token | answer |",
        "|---|---|",
        *(
            f"| {name} | {SKEWS[name][1].replace(' ', ' `', 1)}{'`' if ' ' in SKEWS[name][1] else ''} |"
            for name in SKEWS
        ),
        "",
        "## Random `kid`s",
        "",
        "200 requests at once with random `kid`s, on 32 connections: one fetch of the key set, and none of the",
        "metadata, in a cooldown of 60 s; with a cooldown of 2 s, at most one per started cooldown. All were 401",
        "`unknown_key`. The count is per worker process: each has keys of its own.",
        "",
        "## What one silent issuer costs the others",
        "",
        "While the first keys of an issuer are being fetched, its callers wait for that one fetch, each on a thread of",
        "the server. 16 of them at once hold all 8 threads, so the callers of a healthy issuer wait as well: until",
        f"the fetch ends, after 5 s for an issuer that says nothing and {LONGEST_FETCH_SECONDS} s at most. Then all",
        "are 503 at once, and for `retry_seconds` without waiting. Callers whose last good key serves do not wait.",
    ]
    return "\n".join(rows) + "\n"


def test_the_page_says_what_was_seen(observations: Observations) -> None:
    """docs/proof/issuer-faults.md is this run's table."""
    if target := os.environ.get("ISSUER_FAULTS"):
        Path(target).write_text(rendered(observations), encoding="utf-8")
    assert TABLE.read_text(encoding="utf-8") == rendered(observations)


# --- a clock that is off ---------------------------------------------------------------------------------------

SKEWS: dict[str, tuple[Callable[[int], dict[str, int]], str]] = {
    "issued by a clock 10 s ahead": (lambda now: {"iat": now + 10, "nbf": now + 10, "exp": now + 310}, "200"),
    "issued by a clock 10 s behind": (lambda now: {"iat": now - 10, "nbf": now - 10, "exp": now + 290}, "200"),
    "issued by a clock 90 s ahead": (
        lambda now: {"iat": now + 90, "nbf": now + 90, "exp": now + 390},
        "401 not_yet_valid",
    ),
    "issued by a clock 90 s behind, still valid": (lambda now: {"iat": now - 90, "exp": now + 210}, "200"),
    "expired 10 s ago": (lambda now: {"iat": now - 310, "exp": now - 10}, "200"),
    "expired 90 s ago": (lambda now: {"iat": now - 390, "exp": now - 90}, "401 expired"),
}


@pytest.mark.parametrize("name", SKEWS)
def test_clock_skew(name: str, world: World) -> None:
    """10 s either way is a clock that is a little off; 90 s is not (checklist line 11)."""
    assert ask(world.shop, token_of(world.healthy.url, world.shop.api)).answer == "200"
    times, expected = SKEWS[name]
    assert (
        ask(world.shop, token_of(world.healthy.url, world.shop.api, times=times(int(time.time())))).answer == expected
    )


# --- random key ids ------------------------------------------------------------------------------------------


def flood(shop: Shop, issuer: LoopbackServer, count: int) -> Counter[int]:
    """`count` requests with random `kid`s on 32 connections at once."""
    local = threading.local()

    def one(_: int) -> int:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        token = token_of(issuer.url, shop.api, key_id=secrets.token_hex(8))
        answer = local.session.get(f"{shop.api}{ORDERS}", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        return int(answer.status_code)

    with ThreadPoolExecutor(32) as pool:
        return Counter(pool.map(one, range(count)))


def test_attacker_cannot_flood_the_issuer_with_random_kids(world: World) -> None:
    """200 requests at once, each with another `kid`: one fetch. The good token works before and after."""
    good = token_of(world.flooded.url, world.shop.api)
    assert ask(world.shop, good).answer == "200"
    assert world.flooded.asked == {DISCOVERY: 1, KEYS: 1}
    assert flood(world.shop, world.flooded, 200) == {401: 200}
    assert world.flooded.asked == {DISCOVERY: 1, KEYS: 2}
    assert ask(world.shop, good).answer == "200"


def test_attacker_cannot_make_a_cold_api_flood_the_issuer(world: World) -> None:
    """The first 200 requests of all, at once: at most one fetch per started cooldown, and one discovery."""
    started = time.monotonic()
    assert flood(world.shop, world.flooded_often, 200) == {401: 200}
    cooldowns = int((time.monotonic() - started) / 2) + 1
    assert 1 <= world.flooded_often.asked[KEYS] <= cooldowns
    assert world.flooded_often.asked[DISCOVERY] == 1
    assert ask(world.shop, token_of(world.flooded_often.url, world.shop.api)).answer == "200"


def test_a_silent_issuer_delays_the_others_by_one_fetch_at_most(world: World) -> None:
    """16 callers of an issuer without keys wait for one fetch between them; then they are 503 and the rest go on."""
    shop, token = world.shop, token_of(world.mute.url, world.shop.api)
    assert ask(shop, token_of(world.healthy.url, shop.api)).answer == "200"
    world.mute.answers[KEYS] = lambda _: world.mute.stop.wait(60)
    with ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(ask, shop, token) for _ in range(16)]
        time.sleep(0.5)
        healthy = ask(shop, token_of(world.healthy.url, shop.api))
        refused = [call.result() for call in waiting]
    assert healthy.answer == "200"
    assert {seen.answer for seen in refused} == {"503"}
    assert max(seen.seconds for seen in (healthy, *refused)) < LONGEST_FETCH_SECONDS + LOADED_MACHINE_SECONDS
    assert world.mute.asked[KEYS] == 1
    assert ask(shop, token).seconds < 2, "within `retry_seconds` nobody waits"
