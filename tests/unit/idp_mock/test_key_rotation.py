"""Signing keys: pending → active → retired, with an overlap, by hand and by schedule."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from idp_mock.cli import main
from idp_mock.keys import KeyRing
from idp_mock.stores.memory import MemoryStore
from idp_mock.stores.records import KeyRingRecord
from idp_mock.testing import TIMEOUT_SECONDS, IdpServer, OAuthClient


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def states(ring: KeyRing) -> dict[str, int]:
    return dict(Counter(state for alg, _, state, _ in ring.states() if alg == "ES256"))


def test_a_key_is_published_before_it_signs_and_after() -> None:
    """Checklist 14: a token from before the rotation verifies until the overlap ends [OIDC Core §10.1.1]."""
    clock = Clock()
    ring = KeyRing(clock=clock, overlap_seconds=100)
    old = ring.sign({"sub": "x"}, "ES256", "JWT")
    ring.announce()
    ring.announce()
    assert states(ring) == {"active": 1, "pending": 1}
    pending = next(kid for alg, kid, state, _ in ring.states() if (alg, state) == ("ES256", "pending"))
    assert ring.current("ES256").kid != pending
    ring.rotate()
    assert ring.current("ES256").kid == pending
    assert states(ring) == {"retired": 1, "active": 1}
    assert ring.verify(old, "JWT") == {"sub": "x"}
    clock.now += 100
    assert states(ring) == {"active": 1}
    assert ring.verify(old, "JWT") is None
    assert ring.verify(ring.sign({"sub": "y"}, "ES256", "JWT"), "JWT") == {"sub": "y"}


def test_keys_rotate_by_schedule() -> None:
    """Half of the time before it is due the successor is published; two rings on one store take each step once."""
    clock = Clock()
    store: MemoryStore[KeyRingRecord] = MemoryStore(clock)
    rings = [KeyRing(("ES256",), store, clock, rotate_seconds=1000, overlap_seconds=300) for _ in range(2)]
    first = rings[0].current("ES256").kid
    clock.now += 499
    assert [states(ring) for ring in rings] == [{"active": 1}] * 2
    clock.now += 1
    assert [states(ring) for ring in rings] == [{"active": 1, "pending": 1}] * 2
    clock.now += 500
    assert [states(ring) for ring in rings] == [{"retired": 1, "active": 1}] * 2
    assert rings[0].current("ES256").kid == rings[1].current("ES256").kid != first
    clock.now += 300
    assert states(rings[1]) == {"active": 1}


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_every_algorithm_signs_and_publishes_no_private_member(alg: str) -> None:
    """Checklist 57: pending and retired keys included; no warning of the library about the name EdDSA."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ring = KeyRing()
        ring.announce()
        ring.rotate()
        assert ring.verify(ring.sign({"sub": "x"}, alg, "JWT"), "JWT") == {"sub": "x"}
    assert not [key for key in ring.public_jwks() if {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key)]
    assert "'d'" not in repr(ring.states())


def test_a_running_provider_rotates_on_request(tmp_path: Path) -> None:
    """Checklist 14: without a restart; tokens from before keep working, new ones carry the new kid."""
    with IdpServer() as idp:
        client, url = OAuthClient(idp.issuer), f"{idp.issuer}/_test/keys"
        before = client.tokens()["access_token"]
        kids = {key["kid"] for key in requests.get(f"{idp.issuer}/jwks", timeout=TIMEOUT_SECONDS).json()["keys"]}
        assert requests.post(url, json={"step": "x"}, timeout=TIMEOUT_SECONDS).status_code == 400
        assert requests.post(url, json={"step": "rotate"}, timeout=TIMEOUT_SECONDS).status_code == 200
        after = {key["kid"] for key in requests.get(f"{idp.issuer}/jwks", timeout=TIMEOUT_SECONDS).json()["keys"]}
        assert (len(kids), len(after)) == (3, 6)
        assert kids < after
        assert client.userinfo(before).status_code == 200
        assert client.userinfo(client.tokens()["access_token"]).status_code == 200


def test_the_command_rotates_the_keys_of_a_running_provider(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`idp-mock keys rotate` and the process that serves share the database."""
    store = f"sqlite:///{tmp_path / 'idp.db'}"
    with IdpServer(["--auto-login", "--store", store]) as idp:
        token = OAuthClient(idp.issuer).tokens()["access_token"]
        assert main(["keys", "rotate", "--store", store, "--issuer", idp.issuer]) == 0
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert sorted(line[2] for line in lines) == ["active"] * 3 + ["retired"] * 3
        served = requests.get(f"{idp.issuer}/jwks", timeout=TIMEOUT_SECONDS).json()["keys"]
        assert {key["kid"] for key in served} == {line[1] for line in lines}
        assert OAuthClient(idp.issuer).userinfo(token).status_code == 200
    assert main(["keys", "list", "--store", "mysql://x", "--issuer", idp.issuer]) == 2
