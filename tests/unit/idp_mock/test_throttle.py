"""Guessing gets slower without letting a stranger lock somebody out (ASVS v5.0.0-6.3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from idp_mock.app import create_app
from idp_mock.config import Config
from idp_mock.issuer import Issuer
from idp_mock.throttle import ADDRESS, PERSON, PERSON_AT_ADDRESS, WINDOW_SECONDS, SignInThrottle

ISSUER = "http://localhost:9000"


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> SignInThrottle:
    config = Config(issuers=(ISSUER,), environment={"SHOP_WEB_CLIENT_SECRET": "s" * 40}, clock=clock)
    issuer: Issuer = create_app(config).extensions["idp_mock"][ISSUER]
    return SignInThrottle(issuer)


def test_waiting_helps(throttle: SignInThrottle, clock: Clock) -> None:
    """The limit ends by itself after the window."""
    for _ in range(PERSON_AT_ADDRESS):
        assert not throttle.refuses("alice", "192.0.2.1")
        throttle.failed("alice", "192.0.2.1")
    assert throttle.refuses("alice", "192.0.2.1")
    clock.now += WINDOW_SECONDS
    assert not throttle.refuses("alice", "192.0.2.1")


def test_a_stranger_cannot_lock_somebody_out(throttle: SignInThrottle) -> None:
    """Failures from many addresses stop other addresses, not the one from which the person signs in."""
    assert not throttle.refuses("alice", "10.0.0.1")
    throttle.succeeded("alice", "10.0.0.1")
    for number in range(PERSON):
        throttle.failed("alice", f"192.0.2.{number}")
    assert throttle.refuses("alice", "198.51.100.7")
    assert throttle.refuses("alice@shop.example", "198.51.100.7")
    assert not throttle.refuses("alice", "10.0.0.1")
    assert not throttle.refuses("bob", "198.51.100.7")


def test_one_address_cannot_try_everybody(throttle: SignInThrottle) -> None:
    """Password spraying: many names from one address; other addresses go on."""
    for number in range(ADDRESS):
        assert not throttle.refuses(f"user{number}", "192.0.2.1")
        throttle.failed(f"user{number}", "192.0.2.1")
    assert throttle.refuses("alice", "192.0.2.1")
    assert not throttle.refuses("alice", "192.0.2.2")
