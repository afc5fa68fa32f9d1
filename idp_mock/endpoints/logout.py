"""End of the session: at once when a client proves with an ID token whose session it means, else after a question.

OpenID Connect RP-Initiated Logout 1.0 §2, §3 and §6, on Authlib's end-session endpoint; every other application of
the session is told (Back-Channel Logout 1.0).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oidc.rpinitiated import EndSessionEndpoint, EndSessionRequest
from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from idp_mock import browser, pages
from idp_mock.backchannel import end_session
from idp_mock.redirect_uris import form_action_source
from idp_mock.server import IdpRequest, IssuerServer
from idp_mock.tokens import ID_TOKEN_TYP


class StrictEndSession(EndSessionEndpoint):  # type: ignore[misc]  # Authlib ships no types
    """Accepts only this issuer's ID tokens as a hint: Authlib's would take an access token too."""

    def _validate_id_token_hint(self, id_token_hint: str) -> dict[str, Any]:
        issuer = self.server.issuer
        claims: dict[str, Any] | None = issuer.keys.verify(id_token_hint, ID_TOKEN_TYP)
        if claims is None or claims.get("iss") != issuer.url:
            raise InvalidRequestError("The 'id_token_hint' was not issued here.")
        return claims

    def is_post_logout_redirect_uri_legitimate(self, *_: Any) -> bool:
        """Without a hint the person is asked first, which confirms the redirect to a registered address."""
        return True


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    issuer = server.issuer
    path = issuer.profile.paths["logout"]
    endpoint = StrictEndSession(server)

    def logout() -> Response:
        if any(len(values) > 1 for _, values in request.args.lists()):
            return pages.error_page(issuer, "A parameter was sent more than once.")
        wish = _read(endpoint, request.args)
        if isinstance(wish, str):
            return pages.error_page(issuer, wish)
        authentication = browser.signed_in(issuer)
        if authentication is None and wish.needs_confirmation:
            # Nobody to ask, and no proof of who asks: end here instead of redirecting (§3).
            return pages.page(issuer, "signed_out.html", told=[])
        if authentication is None or (wish.id_token_claims or {}).get("sid") == authentication.sid:
            return _end(server, wish)
        handle = browser.begin_interaction(issuer, request.args)
        return Response(status=303, headers={"Location": f"{issuer.path}{path}/confirm?interaction={handle}"})

    def logout_by_post() -> Response:
        # As at the authorization endpoint: only a GET brings our cookie along from another site.
        return Response(
            status=303, headers={"Location": f"{issuer.path}{path}?{urlencode([*request.form.items(True)])}"}
        )

    def confirm() -> Response:
        handle, interaction = browser.interaction_for_page(issuer)
        wish = _read(endpoint, MultiDict(interaction.parameters))
        if isinstance(wish, str):
            raise browser.StaleForm
        authentication = browser.signed_in(issuer)
        return pages.page(
            issuer,
            "confirm_sign_out.html",
            form_target=form_action_source(wish.redirect_uri) if wish.redirect_uri else "",
            handle=handle,
            csrf_token=interaction.csrf_token,
            client=wish.client,
            person=issuer.users.by_sub(authentication.sub) if authentication else None,
        )

    def confirmed() -> Response:
        handle, interaction = browser.interaction_for_form(issuer)
        browser.end_interaction(issuer, handle)
        wish = _read(endpoint, MultiDict(interaction.parameters))
        if isinstance(wish, str) or "stay" in request.form:
            return pages.page(issuer, "stayed.html")
        return _end(server, wish)

    blueprint.add_url_rule(path, "logout", logout, methods=["GET"])
    blueprint.add_url_rule(path, "logout_by_post", logout_by_post, methods=["POST"])
    blueprint.add_url_rule(f"{path}/confirm", "logout_confirm", confirm, methods=["GET"])
    blueprint.add_url_rule(f"{path}/confirm", "logout_confirmed", confirmed, methods=["POST"])


def _read(endpoint: StrictEndSession, values: MultiDict[str, str]) -> EndSessionRequest | str:
    """The validated wish, or why it is refused."""
    try:
        url = endpoint.server.issuer.endpoint_url("logout")
        return endpoint.validate_request(IdpRequest("GET", url, values))
    except OAuth2Error as error:
        return str(error.description)


def _end(server: IssuerServer, wish: EndSessionRequest) -> Response:
    issuer = server.issuer
    authentication = browser.signed_in(issuer)
    browser.sign_out(issuer)
    deliveries = end_session(issuer, authentication) if authentication else []
    if wish.redirect_uri:
        return Response(status=303, headers={"Location": wish.redirect_uri})
    told = [issuer.registry.clients[delivery.client_id].name for delivery in deliveries]
    return pages.page(issuer, "signed_out.html", told=told)
