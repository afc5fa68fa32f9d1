"""The in-memory store: expired records leave, live ones are bounded, changes are atomic."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from idp_mock.stores import fingerprint, new_secret
from idp_mock.stores.memory import MemoryStore


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_record_ends_exactly_at_its_time() -> None:
    """Checklist 32: a 60-second code is gone after 60 seconds, also before anything cleans up."""
    clock = Clock()
    store: MemoryStore[str] = MemoryStore(clock)
    store.put("a", "record", 60)
    clock.now += 59.9
    assert store.get("a") == "record"
    clock.now += 0.1
    assert store.get("a") is None
    assert store.change("a", str.upper) is None
    assert store.remove("a") is None


def test_expired_records_leave_memory() -> None:
    """10,000 flows in a row leave nothing behind."""
    clock = Clock()
    store: MemoryStore[int] = MemoryStore(clock)
    for number in range(10_000):
        store.put(str(number), number, 60)
        clock.now += 1
    assert len(store) == 59
    assert len(store._ends) < 200


def test_a_record_stored_again_lives_until_its_new_end() -> None:
    clock = Clock()
    store: MemoryStore[int] = MemoryStore(clock)
    for number in range(1_000):
        store.put("same", number, 60)
        clock.now += 1
    assert store.get("same") == 999
    assert len(store) == 1
    assert len(store._ends) < 100


def test_a_full_store_drops_what_ends_first() -> None:
    """A flood of requests cannot fill the memory, nor push out what lives longer."""
    store: MemoryStore[int] = MemoryStore(Clock(), max_entries=10)
    store.put("session", 1, 3600)
    for number in range(100):
        store.put(str(number), number, 60)
    assert len(store) == 10
    assert store.get("session") == 1


def test_of_many_changes_at_once_one_is_the_first() -> None:
    """Checklist 31, 38: only one thread sees the record unused."""
    store: MemoryStore[bool] = MemoryStore(Clock())
    store.put("code", False, 60)
    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(lambda _: store.change("code", lambda _used: True), range(200)))
    assert seen.count(False) == 1


def test_secrets_are_long_and_stored_by_digest() -> None:
    """ASVS v5.0.0-7.2.3: at least 128 random bits; the key does not give the secret away."""
    secret = new_secret()
    assert len(secret) >= 43
    assert secret not in fingerprint(secret)
    assert fingerprint(secret) == fingerprint(secret) != fingerprint(new_secret())
