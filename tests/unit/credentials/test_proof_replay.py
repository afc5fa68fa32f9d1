"""A DPoP proof counts once, whatever memory is there, and what a memory has lost is not taken on trust."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from secure_api.credentials.proof_replay import ProofReplay, UsedProof
from secure_api.errors import DpopNonceRequired, InvalidDpopProof, OutboundFailed
from secure_api.protocol.dpop import VerifiedProof
from secure_api.protocol.reasons import Reason
from tests.unit.credentials.token_workshop import NOW, SECONDS


class ImaginaryRedis:
    """A memory that the test switches off and empties."""

    def __init__(self) -> None:
        self.away = False
        self.flush()

    def flush(self) -> None:
        self.names: set[str] = set()
        self.since: float | None = None

    def set_once(self, name: str, *, seconds: int, now: float) -> tuple[bool, float]:
        assert seconds > 60
        if self.away:
            raise OutboundFailed(log_detail="redis: ConnectionError")
        self.since = now if self.since is None else self.since
        first = name not in self.names
        self.names.add(name)
        return first, self.since


class Guard:
    """`ProofReplay` at a time that the test sets."""

    def __init__(self, session: Session, redis: ImaginaryRedis | None = None, secret: str = "s" * 48) -> None:
        self.session = session
        self.now = NOW
        self.replay = ProofReplay(secret, redis, self._clock)  # type: ignore[arg-type]

    def _clock(self) -> datetime:
        return self.now

    def use(self, proof: VerifiedProof, *, nonce_required: bool = False) -> None:
        self.replay.use_proof(self.session, proof, nonce_required=nonce_required)

    def asked_for_nonce(self, proof: VerifiedProof, *, nonce_required: bool = False) -> str:
        with pytest.raises(DpopNonceRequired) as challenge:
            self.use(proof, nonce_required=nonce_required)
        return challenge.value.nonce


def proof(proof_id: str, *, key: str = "k", at: float = SECONDS, nonce: str | None = None) -> VerifiedProof:
    return VerifiedProof(key, proof_id, at, nonce)


def refused_as_replayed(use: Callable[[], None]) -> bool:
    with pytest.raises(InvalidDpopProof) as refusal:
        use()
    return refusal.value.reason == Reason.DPOP_REPLAYED


def test_a_proof_counts_once_in_the_database(session: Session, engine: Engine) -> None:
    """Also for another worker: here another session, with a guard of its own."""
    Guard(session).use(proof("p1"))
    with Session(engine) as other:
        assert refused_as_replayed(lambda: Guard(other).use(proof("p1")))
        Guard(other).use(proof("p2"))
        Guard(other).use(proof("p1", key="another sender's"))


def test_a_nonce_is_asked_for_where_the_provider_wants_one(session: Session) -> None:
    guard = Guard(session)
    nonce = guard.asked_for_nonce(proof("p1"), nonce_required=True)
    guard.use(proof("p2", nonce=nonce), nonce_required=True)
    assert refused_as_replayed(lambda: guard.use(proof("p2", nonce=nonce), nonce_required=True))
    guard.use(proof("p3", nonce=nonce), nonce_required=True)


@pytest.mark.parametrize("bad", ["", "x", "1.AAAA", f"{SECONDS}.", f"{SECONDS}", "9" * 30 + ".A", "١٢.A"])
def test_sender_cannot_make_up_a_nonce(session: Session, bad: str) -> None:
    guard = Guard(session)
    nonce = guard.asked_for_nonce(proof("p1"), nonce_required=True)
    guard.use(proof("p2", nonce=nonce))
    guard.asked_for_nonce(proof("p3", nonce=bad))
    other = Guard(session, secret="t" * 48).asked_for_nonce(proof("p4"), nonce_required=True)
    guard.asked_for_nonce(proof("p5", nonce=other))


def test_a_nonce_is_over_after_five_minutes(session: Session) -> None:
    guard = Guard(session)
    nonce = guard.asked_for_nonce(proof("p1"), nonce_required=True)
    guard.now = NOW + timedelta(seconds=300)
    guard.use(proof("p2", nonce=nonce))
    guard.now = NOW + timedelta(seconds=301)
    guard.asked_for_nonce(proof("p3", nonce=nonce))


def test_a_proof_counts_once_in_redis(session: Session) -> None:
    redis = ImaginaryRedis()
    guard = Guard(session, redis)
    redis.since = SECONDS - 100
    guard.use(proof("p1"))
    assert refused_as_replayed(lambda: guard.use(proof("p1")))
    assert session.scalar(select(func.count()).select_from(UsedProof)) == 0


def test_sender_cannot_replay_what_redis_forgot(session: Session) -> None:
    """After a flush, a proof without nonce may be an old one, and a nonce from before it as well."""
    redis = ImaginaryRedis()
    redis.since = SECONDS - 1000
    guard = Guard(session, redis)
    old_nonce = guard.replay.new_nonce("redis")
    guard.use(proof("p1"))
    guard.use(proof("p2", nonce=old_nonce))
    redis.flush()
    guard.now = NOW + timedelta(seconds=10)
    new_nonce = guard.asked_for_nonce(proof("p1"))
    guard.asked_for_nonce(proof("p2", nonce=old_nonce))
    guard.use(proof("p3", nonce=new_nonce))
    guard.now = NOW + timedelta(seconds=60)
    guard.use(proof("p4", at=SECONDS + 41))


def test_sender_cannot_replay_while_redis_is_away(session: Session) -> None:
    """The database takes over, and takes only what was made for it; it remembers those, and Redis wants its own."""
    redis = ImaginaryRedis()
    redis.since = SECONDS - 1000
    guard = Guard(session, redis)
    of_redis = guard.replay.new_nonce("redis")
    guard.use(proof("p1"))
    guard.use(proof("p2", nonce=of_redis))
    redis.away = True
    of_database = guard.asked_for_nonce(proof("p1"))
    guard.asked_for_nonce(proof("p2", nonce=of_redis))
    guard.use(proof("p3", nonce=of_database))
    assert refused_as_replayed(lambda: guard.use(proof("p3", nonce=of_database)))
    redis.away = False
    guard.asked_for_nonce(proof("p3", nonce=of_database))


def test_used_proofs_leave_the_table_in_time(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secure_api.credentials.proof_replay.random.randrange", lambda _: 0)
    guard = Guard(session)
    guard.use(proof("p1"))
    guard.now = NOW + timedelta(seconds=90)
    assert refused_as_replayed(lambda: guard.use(proof("p1")))
    guard.now = NOW + timedelta(seconds=91)
    guard.use(proof("p2"))
    assert session.scalar(select(func.count()).select_from(UsedProof)) == 1
