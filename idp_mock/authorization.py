"""Decides what an authorization request still needs: a sign-in, a consent, or nothing more; then answers it.

OIDC Core §3.1.2.3 to §3.1.2.6.
"""

from __future__ import annotations

from enum import Enum

from authlib.oauth2 import OAuth2Error
from authlib.oidc.core.errors import ConsentRequiredError, LoginRequiredError
from flask import Response
from werkzeug.datastructures import MultiDict

from idp_mock import browser, pages
from idp_mock.backchannel import remember_client
from idp_mock.clients import Client
from idp_mock.grants.authorization_code import StrictAuthorizationCodeGrant
from idp_mock.grants.authorization_request import AuthorizationRequest
from idp_mock.grants.device_code import deny_device
from idp_mock.grants.pushed_request import effective_parameters
from idp_mock.issuer import Issuer
from idp_mock.server import IssuerServer
from idp_mock.stores.records import Authentication, Interaction
from idp_mock.users import ACR_MFA, ACR_PASSWORD, User


class Need(Enum):
    """What the person has to do next."""

    SIGN_IN = "login"
    CONSENT = "consent"
    NOTHING = "nothing"


def begin(server: IssuerServer, values: MultiDict[str, str]) -> Response:
    """Answer a new authorization request: an error, a page to go to, or the code at once."""
    issuer = server.issuer
    try:
        values = effective_parameters(issuer, values)
        grant = server.authorization_grant(values)
        if user := _user_signed_in_without_page(issuer, grant.facts):
            acr, amr = strength_of_one_click(user, grant.facts.acr_values)
            return _answer(server, grant, browser.sign_in(issuer, user, acr=acr, amr=amr, unattended=True))
        authentication = browser.signed_in(issuer)
        need = _need(issuer, grant.facts, authentication, None)
        if need is Need.NOTHING:
            return _answer(server, grant, authentication)
        handle = browser.begin_interaction(issuer, values)
    except OAuth2Error as error:
        return _refuse(server, error, values)
    return _go_to(issuer, need, handle)


def resume(server: IssuerServer, handle: str, interaction: Interaction, authentication: Authentication) -> Response:
    """Go on after a page: to the next page, or back to the client."""
    issuer = server.issuer
    if interaction.device is not None:
        return Response(
            status=303, headers={"Location": f"{issuer.endpoint_path('device')}/confirm?interaction={handle}"}
        )
    try:
        grant = server.authorization_grant(MultiDict(interaction.parameters))
        need = _need(issuer, grant.facts, authentication, interaction)
        if need is Need.NOTHING:
            if not browser.end_interaction(issuer, handle):
                raise browser.StaleForm
            return _answer(server, grant, authentication)
    except OAuth2Error as error:
        browser.end_interaction(issuer, handle)
        return _refuse(server, error, MultiDict(interaction.parameters))
    return _go_to(issuer, need, handle)


def deny(server: IssuerServer, handle: str, interaction: Interaction) -> Response:
    """Tell the client that the person said no."""
    if not browser.end_interaction(server.issuer, handle):
        raise browser.StaleForm
    if interaction.device is not None:
        deny_device(server.issuer, interaction.device)
        return pages.page(server.issuer, "device_done.html", allowed=False)
    try:
        grant = server.authorization_grant(MultiDict(interaction.parameters))
    except OAuth2Error as error:
        return _refuse(server, error, MultiDict(interaction.parameters))
    return _answer(server, grant, None)


def strength_of_one_click(user: User, acr_values: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The `acr` and `amr` of a sign-in that a click stands in for: as strong as asked, if the person can."""
    if ACR_MFA in acr_values and ACR_MFA in user.acr:
        return ACR_MFA, ("pwd", "otp", "mfa")
    return ACR_PASSWORD, ("pwd",)


def consent_key(user_sub: str, client: Client) -> str:
    return f"{user_sub} {client.client_id}"


def _user_signed_in_without_page(issuer: Issuer, facts: AuthorizationRequest) -> User | None:
    # `prompt=none` asks about an existing session, so it is answered honestly even here.
    if not issuer.auto_login or facts.login_hint is None or "none" in facts.prompts:
        return None
    return issuer.users.by_hint(facts.login_hint)


def _need(
    issuer: Issuer,
    facts: AuthorizationRequest,
    authentication: Authentication | None,
    interaction: Interaction | None,
) -> Need:
    silent = "none" in facts.prompts
    fresh = interaction is not None and authentication is not None and interaction.signed_in_sub == authentication.sub
    if authentication is None or not _is_good_enough(issuer, facts, authentication, fresh):
        if silent:
            raise LoginRequiredError(redirect_uri=facts.redirect_uri)
        return Need.SIGN_IN
    if facts.hinted_sub is not None and facts.hinted_sub != authentication.sub:
        # Somebody else signed in than the client asked for (OIDC Core §3.1.2.1, id_token_hint).
        raise LoginRequiredError(redirect_uri=facts.redirect_uri)
    if not _is_consented(issuer, facts, authentication, interaction):
        if silent:
            raise ConsentRequiredError(redirect_uri=facts.redirect_uri)
        return Need.CONSENT
    return Need.NOTHING


def _is_good_enough(issuer: Issuer, facts: AuthorizationRequest, authentication: Authentication, fresh: bool) -> bool:
    user = issuer.users.by_sub(authentication.sub)
    if user is None:
        return False
    if fresh:
        return True
    if facts.prompts & {"login", "select_account"}:
        return False
    age = issuer.now() - authentication.auth_time
    if facts.max_age_seconds is not None and (facts.max_age_seconds == 0 or age > facts.max_age_seconds):
        return False
    if facts.hinted_sub is not None and facts.hinted_sub != user.sub:
        return False
    hinted = issuer.users.by_hint(facts.login_hint) if facts.login_hint else None
    if hinted is not None and hinted.sub != user.sub:
        return False
    wants_more = ACR_MFA in facts.acr_values and authentication.acr != ACR_MFA
    return not (wants_more and issuer.reaches_mfa and ACR_MFA in user.acr)


def _is_consented(
    issuer: Issuer, facts: AuthorizationRequest, authentication: Authentication, interaction: Interaction | None
) -> bool:
    if interaction is not None and interaction.consented:
        return True
    if "consent" in facts.prompts:
        return False
    if facts.client.skips_consent:
        return True
    if facts.authorization_details:
        # What was allowed once in detail is not allowed again unseen.
        return False
    earlier = issuer.stores.consents.get(consent_key(authentication.sub, facts.client))
    return earlier is not None and set(facts.scopes) <= earlier


def _answer(
    server: IssuerServer, grant: StrictAuthorizationCodeGrant, authentication: Authentication | None
) -> Response:
    if authentication is not None and "openid" in grant.facts.scopes:
        remember_client(server.issuer, authentication, grant.facts.client)
    response: Response = server.create_authorization_response(grant.request, grant_user=authentication, grant=grant)
    return response


def _refuse(server: IssuerServer, error: OAuth2Error, values: MultiDict[str, str]) -> Response:
    if error.redirect_uri:
        # Authlib adds it only to errors that its own frame raised (RFC 6749 §4.1.2.1).
        error.state = error.state or values.get("state")
        return server.refusal(error)
    # The client or its redirect URI is wrong: sending the browser anywhere would make us an open redirector.
    return pages.error_page(server.issuer, str(error.description), code=error.error)


def _go_to(issuer: Issuer, need: Need, handle: str) -> Response:
    return Response(status=303, headers={"Location": f"{issuer.endpoint_path(need.value)}?interaction={handle}"})
