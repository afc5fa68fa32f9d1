"""A DPoP proof counts once, for all workers; and the nonces that close the gaps (RFC 9449 §8, §9 and §11.1).

Used proofs are kept in Redis where it is configured, else in the database. A memory can lose them: Redis when
it restarts, and by being away. So a proof is taken without a nonce only if the memory that answers has been
complete since before the proof was made. Else the sender is asked for a new proof with a nonce, and a nonce
tells which memory was in use when it was handed out:

* Redis answers: a nonce of Redis that is no older than Redis's memory, or no nonce and a later proof;
* Redis is configured but away: a nonce of the database, so that nothing that Redis knows can come again;
* only the database is configured: it forgets nothing, so a nonce is asked for only where the provider wants it.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import LargeBinary, delete
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.credentials.single_use import insert_once
from secure_api.db import AnySession, Base, begin_write
from secure_api.errors import DpopNonceRequired, InvalidDpopProof, OutboundFailed
from secure_api.outbound.shared_memory import SharedMemory
from secure_api.protocol import base64url
from secure_api.protocol.dpop import CLOCK_SKEW_SECONDS, MAX_AGE_SECONDS, VerifiedProof
from secure_api.protocol.reasons import Reason

NONCE_SECONDS: Final = 300
KEPT_SECONDS: Final = CLOCK_SKEW_SECONDS + MAX_AGE_SECONDS + 1
_PURGE_EVERY: Final = 64  # one insert in so many also takes the expired rows away
_MAC_BYTES: Final = 16

Memory = Literal["database", "redis"]


class UsedProof(Base):
    """A proof that was used, by its SHA-256, until it is too old to be taken anyway."""

    __tablename__ = "used_dpop_proofs"

    proof_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ProofReplay:
    """Lets each proof pass once. One object serves all threads; workers share what was used."""

    def __init__(self, secret: str, shared: SharedMemory | None, clock: Callable[[], datetime]) -> None:
        """Args: `secret` is the deployment's, from which the nonces' key is made; `shared` is Redis, if configured."""
        self._key = hashlib.sha256(f"dpop nonce:{secret}".encode()).digest()
        self._shared = shared
        self._clock = clock

    def use_proof(self, session: AnySession, proof: VerifiedProof, *, nonce_required: bool) -> None:
        """Returns only for the first use of `proof` by anyone.

        With the database as memory it commits a transaction of its own: call it before rows are loaded.

        Raises: `errors.DpopNonceRequired` with a new nonce; `errors.InvalidDpopProof` with reason
        DPOP_REPLAYED. Source: RFC 9449 §8.2, §9 and §11.1.
        """
        digest = hashlib.sha256(f"{proof.thumbprint}:{proof.proof_id}".encode()).digest()
        now = self._clock()
        if self._shared is not None:
            try:
                first, since = self._shared.set_once(digest.hex(), seconds=KEPT_SECONDS, now=now.timestamp())
            except OutboundFailed:
                nonce_required = True
            else:
                nonce_required = nonce_required or proof.issued_at - CLOCK_SKEW_SECONDS <= since
                self._check_nonce(proof, "redis", since, required=nonce_required)
                _refuse_second(first)
                return
        self._check_nonce(proof, "database", 0, required=nonce_required)
        _refuse_second(_keep_in_database(session, digest, now))

    def new_nonce(self, memory: Memory) -> str:
        """A nonce that is taken for five minutes, while `memory` keeps the used proofs."""
        return self._nonce(memory, int(self._clock().timestamp()))

    def _check_nonce(self, proof: VerifiedProof, memory: Memory, since: float, *, required: bool) -> None:
        if proof.nonce is None and not required:
            return
        moment = self._clock().timestamp()
        issued_at = self._issued_at(proof.nonce, memory)
        if issued_at is None or not max(since - 1, moment - NONCE_SECONDS) <= issued_at <= moment + 1:
            raise DpopNonceRequired(Reason.DPOP_NONCE, self.new_nonce(memory))

    def _issued_at(self, nonce: str | None, memory: Memory) -> int | None:
        """When this deployment handed out `nonce` for `memory`; None if it never did."""
        seconds = (nonce or "").partition(".")[0]
        if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 12):
            return None
        expected = self._nonce(memory, int(seconds))
        return int(seconds) if hmac.compare_digest((nonce or "").encode(), expected.encode()) else None

    def _nonce(self, memory: Memory, seconds: int) -> str:
        mac = hmac.digest(self._key, f"{memory}:{seconds}".encode(), "sha256")[:_MAC_BYTES]
        return f"{seconds}.{base64url.encode(mac)}"


def _keep_in_database(session: AnySession, digest: bytes, now: datetime) -> bool:
    # A transaction of its own: the request's may be read-only, or be rolled back.
    session.rollback()
    begin_write(session)
    if random.randrange(_PURGE_EVERY) == 0:  # noqa: S311  # nosec B311 - spreads the work, guards nothing
        session.execute(delete(UsedProof).where(UsedProof.expires_at <= now))
    until = now + timedelta(seconds=KEPT_SECONDS)
    first = insert_once(session, UsedProof, proof_hash=digest, expires_at=until)
    session.commit()
    return first


def _refuse_second(first: bool) -> None:
    if not first:
        raise InvalidDpopProof(Reason.DPOP_REPLAYED)
