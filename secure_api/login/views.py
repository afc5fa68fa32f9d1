"""Sign-in and sign-out in a browser. Tokens stay on this side; the browser gets one opaque cookie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Blueprint, redirect, request, url_for
from werkzeug.wrappers import Response

from secure_api.audit import AuditEvent, EventName, Outcome, emit_recorded, forget_recorded, record_event
from secure_api.credentials.accounts import Account, find_account_by_id
from secure_api.credentials.sealing import Sealer
from secure_api.credentials.sessions import (
    LiveSession,
    SessionLimits,
    end_session,
    end_session_of_token,
    find_session,
    sealed_id_token,
    start_session,
)
from secure_api.db import begin_write, database
from secure_api.errors import AuditUnavailable, BadRequest, CsrfRefused, LoginFailed, SecureApiError, ServiceUnavailable
from secure_api.login.provisioning import Provisioned, provision
from secure_api.login.relying_party import RelyingParty, SignedIn
from secure_api.login.return_to import local_path_or_default
from secure_api.login.transactions import LoginTransaction, begin_transaction, take_transaction
from secure_api.principal import ANONYMOUS, CredentialKind, Principal, PrincipalKind
from secure_api.settings import Settings
from secure_api.web.cookies import COOKIES, clear_cookie, session_cookie_seconds, set_cookie
from secure_api.web.csrf import FORM_MEMBER, FormTokens, require_same_origin
from secure_api.web.limits import RateLimiter
from secure_api.web.request_ids import current_request_id


@dataclass(frozen=True, slots=True)
class LoginParts:
    """What the login views work with."""

    settings: Settings
    relying_party: RelyingParty
    session_limits: SessionLimits
    form_tokens: FormTokens
    sealer: Sealer
    limiter: RateLimiter


def login_blueprint(parts: LoginParts) -> Blueprint:
    """The blueprint under `/auth`."""
    blueprint = Blueprint("login", __name__, url_prefix="/auth")

    @blueprint.get("/login/<provider_name>")
    def start(provider_name: str) -> Response:
        """Begin a sign-in: a fresh transaction bound to this browser, then off to the provider."""
        parts.limiter.hit_class("login", request.remote_addr or "")
        lifetime = timedelta(seconds=parts.settings.login_transaction_seconds)
        with _refusal_recorded(EventName.AUTHN_LOGIN_FAIL, provider_name):
            provider = parts.relying_party.provider(provider_name)
            parts.relying_party.prepare(provider)
        begin_write(database.session)
        begun = begin_transaction(
            database.session,
            provider=provider.name,
            return_to=local_path_or_default(request.args.get("return_to")),
            lifetime=lifetime,
            browser=request.cookies.get(COOKIES.login),
        )
        database.session.commit()
        response = redirect(parts.relying_party.authorization_url(provider, begun), code=303)
        set_cookie(response, COOKIES.login, begun.browser, max_age_seconds=int(lifetime.total_seconds()))
        return response

    @blueprint.get("/callback/<provider_name>")
    def callback(provider_name: str) -> Response:
        """End a sign-in: a new session, or an explained refusal and no session at all."""
        parts.limiter.hit_class("login", request.remote_addr or "")
        with _refusal_recorded(EventName.AUTHN_LOGIN_FAIL, provider_name):
            return _finish(parts, provider_name)

    @blueprint.post("/logout")
    def logout(*_: Any) -> Response:
        """End this session here and at the provider, and have the browser forget what it kept."""
        with _refusal_recorded(EventName.AUTHZ_FAIL, "own session"):
            require_same_origin(request, parts.settings.base_url)
            live = find_session(database.session, request.cookies.get(COOKIES.session, ""), parts.session_limits)
            target = _end(parts, live) if live is not None else None
        response = redirect(target or url_for("pages.sign_in", signed_out=1), code=303)
        clear_cookie(response, COOKIES.session)
        response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
        return response

    return blueprint


@contextmanager
def _refusal_recorded(name: EventName, provider_name: str) -> Iterator[None]:
    """What a public endpoint refuses leaves one event too, in a transaction of its own, and is raised again."""
    try:
        yield
    except (LoginFailed, CsrfRefused, BadRequest, ServiceUnavailable) as error:
        database.session.rollback()
        forget_recorded(database.session)
        if not isinstance(error, AuditUnavailable):
            detail = {"provider": provider_name[:40], "detail": error.log_detail}
            _record(name, Outcome.FAILURE, reason=_reason(error), detail=detail)
        raise


def _reason(error: SecureApiError) -> str:
    """The short code of a refusal, for the audit log."""
    if isinstance(error, LoginFailed):
        return error.reason
    return "provider_unavailable" if isinstance(error, ServiceUnavailable) else error.slug


def _finish(parts: LoginParts, provider_name: str) -> Response:
    provider = parts.relying_party.provider(provider_name)
    parameters = _single_parameters()
    transaction = _take(parameters, provider.name)
    signed_in = parts.relying_party.complete(provider, transaction, parameters)
    roles = provider.roles_for(signed_in.identity.groups)
    begin_write(database.session)
    account = provision(database.session, signed_in.identity, roles, may_create=provider.provision != "never")
    token = _open_session(parts, provider.name, account, signed_in)
    database.session.commit()
    emit_recorded(database.session)
    response = redirect(local_path_or_default(transaction.return_to), code=303)
    set_cookie(response, COOKIES.session, token, max_age_seconds=session_cookie_seconds(parts.settings))
    clear_cookie(response, COOKIES.login)
    return response


def _single_parameters() -> Mapping[str, str]:
    """The callback's parameters, each there once; unknown ones are ignored (RFC 6749 §3.1)."""
    values: dict[str, str] = {}
    for name, given in request.args.lists():
        if len(given) > 1:
            raise BadRequest("A parameter is there twice.", log_detail="repeated callback parameter")
        values[name] = given[0]
    return values


def _take(parameters: Mapping[str, str], provider_name: str) -> LoginTransaction:
    """The transaction, used up in a transaction of its own: whatever follows, it cannot be used again."""
    begin_write(database.session)
    transaction = take_transaction(
        database.session,
        state=parameters.get("state", ""),
        browser=request.cookies.get(COOKIES.login),
        provider=provider_name,
    )
    database.session.commit()
    return transaction


def _open_session(parts: LoginParts, provider_name: str, account: Provisioned, signed_in: SignedIn) -> str:
    """A new session for the account and the events of the sign-in; the session that the browser had is over."""
    session = database.session
    if old := request.cookies.get(COOKIES.session):
        end_session_of_token(session, old)
    token, record = start_session(
        session,
        user_id=account.user_id,
        provider=provider_name,
        acr=signed_in.acr,
        auth_time=signed_in.auth_time,
        limits=parts.session_limits,
        upstream_sid=signed_in.upstream_sid,
        user_agent=request.headers.get("User-Agent"),
        address=request.remote_addr,
    )
    record.sealed_id_token = parts.sealer.seal(signed_in.id_token, bound_to=record.id.bytes)
    principal = Principal(
        kind=PrincipalKind.USER,
        credential=CredentialKind.SESSION,
        issuer=signed_in.identity.issuer,
        subject=signed_in.identity.subject,
        user_id=account.user_id,
        roles=account.roles,
        scopes=None,
        session_id=record.id,
    )
    if account.created:
        _add_event(EventName.USER_CREATED, Outcome.SUCCESS, principal)
    elif account.roles_changed:
        _add_event(EventName.USER_UPDATED, Outcome.SUCCESS, principal, changed=("roles",))
    _add_event(EventName.AUTHN_LOGIN_SUCCESS, Outcome.SUCCESS, principal, detail={"provider": provider_name})
    return token


def _end(parts: LoginParts, live: LiveSession) -> str | None:
    """End the session with its event; where to go to end the provider's session too."""
    parts.form_tokens.verify(live.session_id, request.form.get(FORM_MEMBER))
    session = database.session
    sealed = sealed_id_token(session, live.session_id)
    account = find_account_by_id(session, live.user_id)
    session.rollback()
    begin_write(session)
    end_session(session, live.session_id)
    _add_event(EventName.SESSION_ENDED, Outcome.SUCCESS, _principal_of(account, live))
    session.commit()
    emit_recorded(session)
    id_token = parts.sealer.unseal(sealed, bound_to=live.session_id.bytes) if sealed else None
    return parts.relying_party.logout_url(live.provider, id_token)


def _principal_of(account: Account | None, live: LiveSession) -> Principal:
    if account is None:
        return ANONYMOUS
    return Principal(
        kind=PrincipalKind.USER,
        credential=CredentialKind.SESSION,
        issuer=account.issuer,
        subject=account.subject,
        user_id=account.user_id,
        roles=account.roles,
        scopes=None,
        session_id=live.session_id,
    )


def _record(name: EventName, outcome: Outcome, *, reason: str, detail: Mapping[str, str]) -> None:
    begin_write(database.session)
    _add_event(name, outcome, ANONYMOUS, reason=reason, detail=detail)
    database.session.commit()
    emit_recorded(database.session)


def _add_event(
    name: EventName,
    outcome: Outcome,
    principal: Principal,
    *,
    reason: str | None = None,
    detail: Mapping[str, str] | None = None,
    changed: tuple[str, ...] = (),
) -> None:
    record_event(
        database.session,
        AuditEvent(
            name=name,
            outcome=outcome,
            principal=principal,
            request_id=current_request_id(),
            address=request.remote_addr,
            action="login",
            reason=reason,
            changed=changed,
            detail=detail or {},
        ),
    )
