"""The account of a person whose first sign of life is an access token."""

from __future__ import annotations

from secure_api.audit import AuditEvent, EventName, Outcome, emit_recorded, record_event
from secure_api.credentials.access_tokens import VerifiedToken
from secure_api.credentials.accounts import Account, create_account, find_account
from secure_api.db import begin_write
from secure_api.errors import AccountRequired
from secure_api.pipeline.context import RequestContext
from secure_api.principal import CredentialKind, Principal, PrincipalKind


def account_of_first_token(context: RequestContext, verified: VerifiedToken) -> Account:
    """A new account without any role, where the provider's table says `provision = "token"`.

    It is kept with its audit event, in a transaction of its own: the request's may be read-only. Of several
    first requests at once, one makes the account.

    Raises: `errors.AccountRequired` where the provider's table says otherwise; `errors.AuditUnavailable`.
    """
    issuer, subject = verified.provider.issuer, verified.claims.subject
    if verified.provider.provision != "token":
        raise AccountRequired(
            "Sign in to this service once before an application can act for you.", log_detail="unknown subject"
        )
    session = context.session
    session.rollback()
    begin_write(session)
    user_id = create_account(session, issuer, subject)
    if user_id is not None:
        principal = Principal(
            PrincipalKind.USER,
            CredentialKind.ACCESS_TOKEN,
            issuer=issuer,
            subject=subject,
            user_id=user_id,
            client_id=verified.claims.client_id,
        )
        event = AuditEvent(
            name=EventName.USER_CREATED,
            outcome=Outcome.SUCCESS,
            principal=principal,
            request_id=context.request_id,
            address=context.address,
            detail={"provider": verified.provider.name},
        )
        record_event(session, event)
    session.commit()
    emit_recorded(session)
    account = find_account(session, issuer, subject, verified.references)
    if account is None:
        raise AccountRequired("Your account was removed a moment ago.", log_detail="account gone")
    return account
