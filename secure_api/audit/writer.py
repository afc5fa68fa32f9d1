"""Audit events: one row in the transaction of what they tell of, and one JSON line on standard output.

A change and its event are committed together or not at all. The line is written after the commit, so
that the stream never tells of what did not happen. No event holds a token, a cookie or a field's value.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy import JSON, String
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from secure_api.audit.events import EventName, Outcome
from secure_api.db import AnySession, Base, utc_now
from secure_api.errors import AuditUnavailable
from secure_api.principal import ANONYMOUS, Principal

# Security events are no matter of the log level: a quieter log must not lose them.
_stream = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET))

MAX_DETAIL_CHARACTERS = 500


class AuditRecord(Base):
    """One event as it is kept. Rows are added and never changed."""

    __tablename__ = "audit_events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    event: Mapped[str] = mapped_column(String(60), index=True)
    outcome: Mapped[str] = mapped_column(String(10))
    request_id: Mapped[str | None] = mapped_column(String(64), index=True)
    user_id: Mapped[UUID | None] = mapped_column(index=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Who did what to which resource, from where, and why it was allowed or refused."""

    name: EventName
    outcome: Outcome
    principal: Principal = ANONYMOUS
    request_id: str | None = None
    address: str | None = None
    action: str | None = None  # the permission, such as "orders:update"
    resource: str | None = None
    resource_id: str | None = None
    reason: str | None = None
    rule: str | None = None
    rule_source: str | None = None
    policy_digest: str | None = None
    changed: tuple[str, ...] = ()
    detail: Mapping[str, str] = field(default_factory=dict)


def record_event(session: AnySession, event: AuditEvent) -> None:
    """`event` is in the session's transaction, flushed; it is kept if and only if the caller commits.

    The JSON line follows with `emit_recorded` after the commit. Raises `AuditUnavailable` if the row
    cannot be written; the caller must then let the request fail.
    """
    body = _body(event)
    record = AuditRecord(
        id=uuid4(),
        at=utc_now(),
        event=event.name,
        outcome=event.outcome,
        request_id=event.request_id,
        user_id=event.principal.user_id,
        body=body,
    )
    session.add(record)
    try:
        session.flush()
    except SQLAlchemyError as error:
        raise AuditUnavailable(log_detail=f"audit event not written: {type(error).__name__}") from error
    session.info.setdefault("recorded_events", []).append({"event": event.name, "at": record.at.isoformat(), **body})


def emit_recorded(session: AnySession) -> None:
    """Write the JSON lines of the events that the last commit kept."""
    for line in session.info.pop("recorded_events", ()):
        _stream.info(**line)


def forget_recorded(session: AnySession) -> None:
    """Drop the lines of events that a rollback undid."""
    session.info.pop("recorded_events", None)


def _body(event: AuditEvent) -> dict[str, Any]:
    principal = event.principal
    body: dict[str, Any] = {
        "outcome": event.outcome.value,
        "actor": {
            "kind": principal.kind.value,
            "credential": principal.credential.value,
            "issuer": principal.issuer,
            "subject": principal.subject,
            "client_id": principal.client_id,
            "user_id": str(principal.user_id) if principal.user_id else None,
            "roles": sorted(principal.roles),
        },
        "request_id": event.request_id,
        "address": event.address,
        "action": event.action,
        "resource": event.resource,
        "resource_id": event.resource_id,
        "reason": event.reason,
        "rule": event.rule,
        "rule_source": event.rule_source,
        "policy_digest": event.policy_digest,
    }
    if event.changed:
        body["changed"] = sorted(event.changed)
    if event.detail:
        body["detail"] = {key: value[:MAX_DETAIL_CHARACTERS] for key, value in event.detail.items()}
    return body
