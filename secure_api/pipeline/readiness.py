"""Readiness: this process follows the newest policies, and its token verifier refuses what it must."""

from __future__ import annotations

from collections.abc import Callable

from secure_api.audit import AuditEvent, EventName, Outcome, emit_recorded, record_event
from secure_api.credentials.self_attack import SelfAttack
from secure_api.db import AnySession, begin_write
from secure_api.errors import ServiceUnavailable


class Readiness:
    """What `/readyz` asks beside the database. A self-attack that succeeded leaves one event per process."""

    def __init__(self, self_attack: SelfAttack, require_policies: Callable[[AnySession], None]) -> None:
        """Attacks once, so that the log of the start tells; `require_policies` raises if the rules are behind."""
        self._self_attack = self_attack
        self._require_policies = require_policies
        self._told = False
        self_attack.run()

    def require(self, session: AnySession) -> None:
        """Pass only if this process may serve. Raises `ServiceUnavailable`; `AuditUnavailable` as `record_event`."""
        self._require_policies(session)
        accepted = self._self_attack.run()
        if not accepted:
            return
        if not self._told:
            session.rollback()
            begin_write(session)
            reason = "; ".join(accepted)[:500]
            record_event(session, AuditEvent(name=EventName.SYS_SELF_ATTACK, outcome=Outcome.FAILURE, reason=reason))
            session.commit()
            emit_recorded(session)
            self._told = True
        raise ServiceUnavailable(log_detail=f"known-bad tokens were accepted: {'; '.join(accepted)}")
