"""Stage `record`: a change and its event are committed together; a refusal is recorded by itself."""

from __future__ import annotations

from secure_api.audit import AuditEvent, EventName, Outcome, emit_recorded, record_event
from secure_api.db import begin_write
from secure_api.errors import (
    AmbiguousCredentials,
    AuthenticationRequired,
    InvalidToken,
    NotFound,
    RateLimited,
    SecureApiError,
)
from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.services import Services

_WRITES = {
    "POST": EventName.SENSITIVE_CREATE,
    "PUT": EventName.SENSITIVE_UPDATE,
    "PATCH": EventName.SENSITIVE_UPDATE,
    "DELETE": EventName.SENSITIVE_DELETE,
}
_SECURITY_STATUSES = frozenset({401, 403})


def record_success(_services: Services, context: RequestContext) -> None:
    """Commit the change with its audit event. Raises `AuditUnavailable`, and then nothing is kept."""
    if not context.writes:
        context.session.rollback()  # a read holds nothing open
        return
    record_event(context.session, _event(context, _WRITES[context.request.method], Outcome.SUCCESS, None))
    context.session.commit()
    emit_recorded(context.session)


def record_denial(services: Services, context: RequestContext, error: SecureApiError) -> None:
    """Keep one event of a security refusal; other refusals, such as a malformed body, make none.

    Of a caller over a limit, one event per address, limit and minute is kept.

    Raises `AuditUnavailable` if it cannot be kept: a refusal without a trace is not an answer.
    """
    name = _denial_name(error)
    if name is None:
        return
    if isinstance(error, RateLimited) and not services.limiter.is_first_in_minute(context.address, error.log_detail):
        return  # a flood must neither fill the log nor hold its lock
    begin_write(context.session)
    record_event(context.session, _event(context, name, Outcome.FAILURE, _reason(error)))
    context.session.commit()
    emit_recorded(context.session)


def _denial_name(error: SecureApiError) -> EventName | None:
    if isinstance(error, RateLimited):
        return EventName.EXCESS_RATE_LIMIT_EXCEEDED
    if isinstance(error, InvalidToken | AmbiguousCredentials):
        return EventName.AUTHN_TOKEN_REFUSED
    if isinstance(error, NotFound) or error.status in _SECURITY_STATUSES:
        return EventName.AUTHZ_FAIL
    return None


def _reason(error: SecureApiError) -> str:
    if isinstance(error, InvalidToken):
        return error.reason
    if isinstance(error, AuthenticationRequired):
        return "no_credential"
    return error.log_detail or error.slug


def _event(context: RequestContext, name: EventName, outcome: Outcome, reason: str | None) -> AuditEvent:
    reply = context.reply
    decided = context.decision or context.grant  # the object's rule, or the function's where it came no further
    # The path's id where there is one: after a rollback the row itself would have to be read again.
    row_id = next(iter(context.path.values()), None) or (reply.row.id if reply is not None and reply.row else None)
    return AuditEvent(
        name=name,
        outcome=outcome,
        principal=context.principal,
        request_id=context.request_id,
        address=context.address,
        action=context.declaration.permission,
        resource=context.declaration.resource,
        resource_id=str(row_id) if row_id is not None else None,
        reason=reason,
        rule=decided.rule_id if decided is not None else None,
        rule_source=decided.source if decided is not None else None,
        policy_digest=decided.policy_digest if decided is not None else None,
        changed=context.changed,
    )
