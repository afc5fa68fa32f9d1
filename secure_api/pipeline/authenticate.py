"""Stage `authenticate`: from the credential to the principal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from secure_api.credentials.access_tokens import VerifiedToken
from secure_api.credentials.accounts import Account, find_account, find_account_by_id
from secure_api.credentials.possession import Possession
from secure_api.credentials.revocation import is_revoked
from secure_api.credentials.sessions import LiveSession, find_session, is_stale, touch_session
from secure_api.db import begin_write, utc_now
from secure_api.errors import (
    AmbiguousCredentials,
    AuthenticationRequired,
    InvalidDpopProof,
    InvalidToken,
    PermissionDenied,
)
from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.first_token import account_of_first_token
from secure_api.pipeline.services import Services
from secure_api.principal import ANONYMOUS, CredentialKind, Principal, PrincipalKind
from secure_api.protocol.dpop import VerifiedProof, verify_proof
from secure_api.protocol.reasons import Reason, refused
from secure_api.web.client_certificates import HEADER as CERTIFICATE_HEADER
from secure_api.web.client_certificates import verified_thumbprint
from secure_api.web.cookies import COOKIES
from secure_api.web.csrf import FORM_MEMBER, require_csrf_header, require_same_origin

BEARER = "bearer"
DPOP = "dpop"


def authenticate(services: Services, context: RequestContext) -> None:
    """Fill `context.principal` and the `policies` to judge it by, or refuse.

    An Authorization header makes the session cookie ignored; two of them are 400 (RFC 6750 §2). Raises
    `AmbiguousCredentials`, `AuthenticationRequired`, `InvalidToken`, `AccountRequired`, `CsrfRefused`,
    `ServiceUnavailable`.
    """
    context.policies = services.policies.for_request(context.session)
    headers = context.request.headers.getlist("Authorization")
    # WSGI servers join repeated headers with a comma, which no credential of ours can hold.
    if len(headers) > 1 or any("," in header for header in headers):
        raise AmbiguousCredentials("Send one Authorization header.", log_detail="two_credentials")
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
    token = token.strip(" ")
    if scheme.lower() not in {BEARER, DPOP}:
        raise InvalidToken("unsupported_scheme", log_detail=f"scheme {scheme[:20]!r}")
    proof = _proof(services, context, token) if scheme.lower() == DPOP else None
    certificates = context.request.headers.getlist(CERTIFICATE_HEADER)
    possession = Possession(
        dpop_thumbprint=proof.thumbprint if proof else None,
        certificate_thumbprint=verified_thumbprint(context.request.environ, certificates, services.trusted_proxies),
    )
    verified = services.access_tokens.verify_access_token(token, possession)
    claims = verified.claims
    kind = CredentialKind.ACCESS_TOKEN if proof is None else CredentialKind.DPOP_TOKEN
    if proof is not None:
        services.proof_replay.use_proof(context.session, proof, nonce_required=verified.provider.dpop_nonce)
    elif verified.provider.demands_dpop(claims.client_id):
        raise InvalidDpopProof(Reason.DPOP_REQUIRED)
    account = None
    if not claims.acts_as_client:
        # One round trip for the record, its roles and the revocation.
        account = find_account(context.session, verified.provider.issuer, claims.subject, verified.references)
    if account.revoked if account is not None else is_revoked(context.session, verified.references):
        services.access_tokens.forget(token)
        raise refused(Reason.REVOKED)
    if claims.acts_as_client:
        # A client that acts for itself must never be taken for a user of that name (RFC 9700 §4.15).
        return _client(verified, kind)
    if account is None:
        account = account_of_first_token(context, verified)
    return _user(_usable(account, claims.issued_at), verified, kind)


def _proof(services: Services, context: RequestContext, token: str) -> VerifiedProof:
    """The proof of possession of this request; not yet known to be new."""
    request = context.request
    return verify_proof(
        request.headers.getlist("DPoP"),
        method=request.method,
        # Not the Host header, which the sender writes; and the path as it was received, before any decoding.
        target=services.settings.base_url + received_path(request.environ),
        access_token=token,
        now=utc_now(),
    )


def received_path(environ: Mapping[str, Any]) -> str:
    """The path of the request line, undecoded and without query (WSGI servers keep it beside PEP 3333's parts)."""
    line = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or quote(environ.get("PATH_INFO", "/")))
    return (line if line.startswith("/") else urlsplit(line).path).partition("?")[0]


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


def _usable(account: Account, issued_at: datetime | None) -> Account:
    if account.disabled:
        raise InvalidToken("user_disabled", log_detail=f"user {account.user_id} is disabled")
    # A token that does not say when it was issued may be older than the revocation.
    if account.tokens_not_before is not None and (issued_at is None or issued_at < account.tokens_not_before):
        raise refused(Reason.REVOKED, "issued before all tokens of the user were revoked")
    return account


def _user(account: Account, verified: VerifiedToken, credential: CredentialKind) -> Principal:
    claims = verified.claims
    return Principal(
        kind=PrincipalKind.USER,
        credential=credential,
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


def _client(verified: VerifiedToken, credential: CredentialKind) -> Principal:
    return Principal(
        kind=PrincipalKind.CLIENT,
        credential=credential,
        issuer=verified.provider.issuer,
        subject=verified.claims.subject,
        client_id=verified.claims.client_id,
        scopes=verified.claims.scopes,
    )
