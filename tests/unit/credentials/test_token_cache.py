"""The cache of verified tokens: cheap on a hit, and never the reason why a token is accepted."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from secure_api.credentials.access_tokens import AccessTokenVerifier
from secure_api.credentials.bounded_cache import BoundedCache
from secure_api.credentials.issuer_keys import issuer_keys_of
from secure_api.credentials.providers import load_providers
from secure_api.errors import InvalidToken
from secure_api.protocol import jwks
from secure_api.protocol.reasons import Reason
from tests.unit.credentials.token_workshop import (
    CLAIMS,
    HEADER,
    MOCK,
    NOW,
    PROVIDERS,
    SECONDS,
    DocumentClient,
    compact,
    rsa_jwk,
)

TOKEN = compact(HEADER, CLAIMS)


class Bench:
    """A verifier whose clocks the test turns, and which counts signature checks."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = folder / "providers.toml"
        path.write_text(PROVIDERS)
        registry = load_providers(path, {})
        self.now = NOW
        self.client = DocumentClient()
        self.checks = 0
        keys = issuer_keys_of(registry, lambda _: self.client, self._seconds)  # type: ignore[arg-type,return-value]
        self.verifier = AccessTokenVerifier(registry, keys, self._time)
        accepts = jwks.VerificationKey.accepts

        def counted(key: jwks.VerificationKey, message: bytes, signature: bytes) -> bool:
            self.checks += 1
            return accepts(key, message, signature)

        monkeypatch.setattr(jwks.VerificationKey, "accepts", counted)

    def _time(self) -> datetime:
        return self.now

    def _seconds(self) -> float:
        return (self.now - NOW).total_seconds()

    def after(self, seconds: float) -> Bench:
        self.now = NOW + timedelta(seconds=seconds)
        return self


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_token_that_comes_again_is_not_checked_again(bench: Bench) -> None:
    first = bench.verifier.verify_access_token(TOKEN)
    assert bench.verifier.verify_access_token(TOKEN) is first
    assert bench.checks == 1


def test_client_cannot_use_a_cached_token_past_its_expiry(bench: Bench) -> None:
    """The same instant refuses it with the cache as without: `exp` plus the issuer's clock skew."""
    bench.verifier.verify_access_token(TOKEN)
    assert bench.after(329.5).verifier.verify_access_token(TOKEN).claims.subject == "alice"
    assert bench.checks == 1
    with pytest.raises(InvalidToken) as refusal:
        bench.after(330).verifier.verify_access_token(TOKEN)
    assert refusal.value.reason == Reason.EXPIRED


@pytest.mark.parametrize("claim", ["nbf", "iat", "auth_time"])
def test_client_cannot_use_a_cached_token_before_its_time(bench: Bench, claim: str) -> None:
    """A clock that is set back refuses what it would refuse without the cache."""
    token = compact(HEADER, {**CLAIMS, claim: SECONDS})
    bench.verifier.verify_access_token(token)
    assert bench.after(-30).verifier.verify_access_token(token)
    with pytest.raises(InvalidToken) as refusal:
        bench.after(-31).verifier.verify_access_token(token)
    assert refusal.value.reason == Reason.NOT_YET_VALID


def test_client_cannot_use_a_cached_token_of_a_withdrawn_key(bench: Bench) -> None:
    bench.verifier.verify_access_token(TOKEN)
    bench.client.documents[f"{MOCK}/keys"] = {"keys": [rsa_jwk("other", "other-rsa", alg="RS256")]}
    token = compact(HEADER, {**CLAIMS, "exp": SECONDS + 3000})
    bench.verifier.verify_access_token(token)
    with pytest.raises(InvalidToken) as refusal:
        bench.after(601).verifier.verify_access_token(token)
    assert refusal.value.reason == Reason.UNKNOWN_KEY


def test_client_cannot_use_a_cached_token_after_its_key_was_replaced_under_the_same_name(bench: Bench) -> None:
    token = compact(HEADER, {**CLAIMS, "exp": SECONDS + 3000})
    bench.verifier.verify_access_token(token)
    bench.client.documents[f"{MOCK}/keys"] = {"keys": [rsa_jwk("other", "mock-rsa", alg="RS256")]}
    with pytest.raises(InvalidToken) as refusal:
        bench.after(601).verifier.verify_access_token(token)
    assert refusal.value.reason == Reason.BAD_SIGNATURE


def test_a_refused_token_is_not_kept(bench: Bench) -> None:
    expired = compact(HEADER, {**CLAIMS, "exp": SECONDS - 31})
    for _ in range(2):
        with pytest.raises(InvalidToken):
            bench.verifier.verify_access_token(expired)
    assert bench.checks == 2


def test_client_cannot_change_a_cached_token(bench: Bench) -> None:
    """The whole text is the key of the cache: another payload under the same signature is another token."""
    bench.verifier.verify_access_token(TOKEN)
    header, _, signature = TOKEN.split(".")
    payload = compact(HEADER, {**CLAIMS, "sub": "mallory"}).split(".")[1]
    with pytest.raises(InvalidToken) as refusal:
        bench.verifier.verify_access_token(f"{header}.{payload}.{signature}")
    assert refusal.value.reason == Reason.BAD_SIGNATURE


def test_a_forgotten_token_is_checked_again(bench: Bench) -> None:
    bench.verifier.verify_access_token(TOKEN)
    bench.verifier.forget(TOKEN)
    bench.verifier.verify_access_token(TOKEN)
    assert bench.checks == 2


def test_a_bound_token_stays_refused_as_bearer_on_a_hit(bench: Bench) -> None:
    bound = compact(HEADER, {**CLAIMS, "cnf": {"jkt": "x" * 43}})
    for _ in range(2):
        with pytest.raises(InvalidToken) as refusal:
            bench.verifier.verify_access_token(bound)
        assert refusal.value.reason == Reason.SENDER_CONSTRAINED


def test_the_cache_holds_no_more_than_its_entries_and_bytes() -> None:
    cache: BoundedCache[str] = BoundedCache(max_entries=3, max_bytes=100)
    for number in range(5):
        cache.put(bytes([number]), str(number), 10)
    assert [cache.get(bytes([number])) for number in range(5)] == [None, None, "2", "3", "4"]
    cache.put(b"big", "big", 85)
    assert (len(cache), cache.size_bytes, cache.get(b"big")) == (2, 95, "big")
    cache.put(b"too big", "too big", 101)
    assert cache.get(b"too big") is None
    cache.put(b"big", "smaller", 1)
    cache.drop(b"big")
    cache.drop(b"absent")
    assert (len(cache), cache.size_bytes) == (1, 10)


def test_a_token_of_odd_characters_is_refused_and_not_a_fault(bench: Bench) -> None:
    for text in ("\udcff", "ü" * 20, json.dumps({"payload": "x"})):
        with pytest.raises(InvalidToken):
            bench.verifier.verify_access_token(text)
