"""Stage `authenticate`: from the credential to the principal."""

from __future__ import annotations

from secure_api.credentials.access_tokens import VerifiedToken
from secure_api.credentials.accounts import Account, find_account, find_account_by_id
from secure_api.credentials.sessions import LiveSession, find_session, is_stale, touch_session
from secure_api.db import begin_write
from secure_api.errors import (
    AccountRequired,
    AuthenticationRequired,
    BadRequest,
    InvalidToken,
    PermissionDenied,
)
from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.services import Services
from secure_api.principal import ANONYMOUS, CredentialKind, Principal, PrincipalKind
from secure_api.web.cookies import COOKIES
from secure_api.web.csrf import FORM_MEMBER, require_csrf_header, require_same_origin

BEARER = "bearer"


def authenticate(services: Services, context: RequestContext) -> None:
    """Fill `context.principal`, or refuse.

    An Authorization header makes the session cookie ignored; two of them are 400 (RFC 6750 §2). Raises
    `BadRequest`, `AuthenticationRequired`, `InvalidToken`, `AccountRequired`, `CsrfRefused`.
    """
    headers = context.request.headers.getlist("Authorization")
    # WSGI servers join repeated headers with a comma, which no credential of ours can hold.
    if len(headers) > 1 or any("," in header for header in headers):
        raise BadRequest("Send one Authorization header.", log_detail="two Authorization headers")
    if headers:
        context.principal = _from_header(services, context, headers[0])
    elif cookie := context.request.cookies.get(COOKIES.session):
        context.principal = _from_session(services, context, cookie)
    if context.principal.kind is PrincipalKind.ANONYMOUS:
        if context.declaration.authentication == "required":
            raise AuthenticationRequired("Send an access token, or sign in.", log_detail="no credential")
    elif context.principal.credential not in context.declaration.credentials:
        raise PermissionDenied("This endpoint does not accept that kind of credential.", log_detail="credential kind")


def _from_header(services: Services, context: RequestContext, header: str) -> Principal:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != BEARER:
        raise InvalidToken("unsupported_scheme", log_detail=f"scheme {scheme[:20]!r}")
    verified = services.access_tokens.verify_access_token(token.strip(" "))
    if verified.claims.acts_as_client:
        # A client that acts for itself must never be taken for a user of that name (RFC 9700 §4.15).
        return _client(verified)
    account = find_account(context.session, verified.provider.issuer, verified.claims.subject)
    if account is None:
        raise AccountRequired(
            "Sign in to this service once before an application can act for you.", log_detail="unknown subject"
        )
    return _user(_usable(account), verified)


def _from_session(services: Services, context: RequestContext, cookie: str) -> Principal:
    live = find_session(context.session, cookie, services.session_limits)
    if live is None:
        return ANONYMOUS  # over or ended: the same as not signed in
    if context.writes:
        require_same_origin(context.request, services.settings.base_url)
        if context.declaration.surface == "page":
            services.form_tokens.verify(live.session_id, context.request.form.get(FORM_MEMBER))
        else:
            require_csrf_header(context.request)
    account = find_account_by_id(context.session, live.user_id)
    if account is None or account.disabled:
        return ANONYMOUS
    _touch(context, live)
    return Principal(
        kind=PrincipalKind.USER,
        credential=CredentialKind.SESSION,
        issuer=account.issuer,
        subject=account.subject,
        user_id=account.user_id,
        customer_id=account.customer_id,
        roles=account.roles,
        scopes=None,
        acr=live.acr,
        auth_time=live.auth_time,
        session_id=live.session_id,
        display_name=account.name,
    )


def _touch(context: RequestContext, live: LiveSession) -> None:
    if not is_stale(live):
        return
    # A transaction of its own: the request's may be read-only, or be rolled back.
    context.session.rollback()
    begin_write(context.session)
    touch_session(context.session, live.session_id)
    context.session.commit()


def _usable(account: Account) -> Account:
    if account.disabled:
        raise InvalidToken("user_disabled", log_detail=f"user {account.user_id} is disabled")
    return account


def _user(account: Account, verified: VerifiedToken) -> Principal:
    claims = verified.claims
    return Principal(
        kind=PrincipalKind.USER,
        credential=CredentialKind.ACCESS_TOKEN,
        issuer=account.issuer,
        subject=account.subject,
        user_id=account.user_id,
        customer_id=account.customer_id,
        client_id=claims.client_id,
        roles=account.roles,
        scopes=claims.scopes,
        acr=claims.acr,
        auth_time=claims.auth_time,
        display_name=account.name,
    )


def _client(verified: VerifiedToken) -> Principal:
    return Principal(
        kind=PrincipalKind.CLIENT,
        credential=CredentialKind.ACCESS_TOKEN,
        issuer=verified.provider.issuer,
        subject=verified.claims.subject,
        client_id=verified.claims.client_id,
        scopes=verified.claims.scopes,
    )
