"""The record of which policies are in force: one row for each reload, the newest one counts.

A row names the digest of the files, not their content: whoever can write to the database can announce
files, but cannot make rules. A process adopts a generation only if its own folder has that digest, so
that no two workers ever follow one number with different rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from secure_api.audit import AuditEvent, EventName, Outcome, emit_recorded, record_event
from secure_api.db import AnySession, Base, begin_write, utc_now
from secure_api.errors import StartupError
from secure_api.policy.policy_set import PolicySet
from secure_api.principal import CredentialKind, Principal, PrincipalKind

_OURSELVES = Principal(PrincipalKind.SERVICE, CredentialKind.NONE)


class PolicyGeneration(Base):
    """One announced version of the policy files. Rows are added and never changed."""

    __tablename__ = "policy_generations"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Generation:
    """A number that only grows, and the digest of the files that it announced."""

    number: int
    digest: str


NO_GENERATION = Generation(0, "")
_NEWEST = select(PolicyGeneration.number, PolicyGeneration.digest).order_by(PolicyGeneration.number.desc()).limit(1)


def newest_generation(session: AnySession) -> Generation:
    """The generation in force; number 0 where none was ever announced. One read of one index entry."""
    row = session.execute(_NEWEST).one_or_none()
    return Generation(*row) if row else NO_GENERATION


def announce_policies(engine: Engine, load: Callable[[], PolicySet], *, trigger: str) -> tuple[Generation, bool]:
    """The folder's policies are checked and in force for every worker; true if they differ from those before.

    The announcement and its event are committed together.

    Args:
        engine: where generations are kept.
        load: reads and checks the folder.
        trigger: what asked for it ("command" or "signal"), for the event.

    Raises:
        StartupError: if the folder is faulty. An alert event is kept, and the old policies stay in force.
        AuditUnavailable: if the event cannot be written; nothing is announced then.
    """
    try:
        policies = load()
    except StartupError as error:
        record_refusal(engine, error, trigger=trigger)
        raise
    with Session(engine, autoflush=False) as session:
        begin_write(session)
        before = newest_generation(session)
        if before.digest == policies.digest:
            return before, False
        after = Generation(before.number + 1, policies.digest)
        session.add(PolicyGeneration(number=after.number, digest=after.digest, at=utc_now()))
        detail = {"trigger": trigger, "generation": str(after.number), "previous_digest": before.digest}
        _keep(session, EventName.SYS_POLICY_CHANGED, Outcome.SUCCESS, after.digest, detail)
    return after, True


def record_refusal(
    engine: Engine, error: StartupError, *, trigger: str, generation: Generation = NO_GENERATION
) -> None:
    """Keep the alert that policy files were refused, in a transaction of its own. Raises `AuditUnavailable`."""
    with Session(engine, autoflush=False) as session:
        begin_write(session)
        detail = {"trigger": trigger, "faults": error.log_detail, "process": str(os.getpid())}
        if generation != NO_GENERATION:
            detail["generation"] = str(generation.number)
        _keep(session, EventName.SYS_POLICY_REFUSED, Outcome.FAILURE, generation.digest or None, detail)


def _keep(session: Session, name: EventName, outcome: Outcome, digest: str | None, detail: dict[str, str]) -> None:
    event = AuditEvent(name=name, outcome=outcome, principal=_OURSELVES, policy_digest=digest, detail=detail)
    record_event(session, event)
    session.commit()
    emit_recorded(session)
