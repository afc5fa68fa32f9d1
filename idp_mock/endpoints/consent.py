"""The consent page: who asks, for what, for how long; nothing is granted before the person says yes.

RFC 6749 §10.12, ASVS v5.0.0-10.7.
"""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from idp_mock import authorization, browser, pages
from idp_mock.authorization_details import described_details, read_details
from idp_mock.issuer import Issuer
from idp_mock.redirect_uris import form_action_source
from idp_mock.server import IssuerServer
from idp_mock.stores.records import Authentication, Interaction


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    issuer = server.issuer
    path = issuer.profile.paths["consent"]

    def show() -> Response:
        handle, interaction = browser.interaction_for_page(issuer)
        return _consent_page(issuer, handle, interaction, _signed_in(issuer))

    def submit() -> Response:
        handle, interaction = browser.interaction_for_form(issuer)
        if "deny" in request.form:
            return authorization.deny(server, handle, interaction)
        authentication = _signed_in(issuer)
        # Another tab may have signed somebody else in since the page was shown.
        if "allow" not in request.form or interaction.asked_sub != authentication.sub:
            raise browser.StaleForm
        parameters = MultiDict(interaction.parameters)
        client = issuer.registry.clients[parameters["client_id"]]
        key = authorization.consent_key(authentication.sub, client)
        allowed = frozenset(parameters["scope"].split()) | (issuer.stores.consents.get(key) or frozenset())
        issuer.stores.consents.put(key, allowed, issuer.lifetimes.consent)
        interaction = browser.change_interaction(issuer, handle, lambda record: replace(record, consented=True))
        return authorization.resume(server, handle, interaction, authentication)

    blueprint.add_url_rule(path, "consent", show, methods=["GET"])
    blueprint.add_url_rule(path, "consent_submit", submit, methods=["POST"])


def _signed_in(issuer: Issuer) -> Authentication:
    authentication = browser.signed_in(issuer)
    if authentication is None:
        raise browser.StaleForm
    return authentication


def _consent_page(issuer: Issuer, handle: str, interaction: Interaction, authentication: Authentication) -> Response:
    browser.change_interaction(issuer, handle, lambda record: replace(record, asked_sub=authentication.sub))
    parameters = MultiDict(interaction.parameters)
    client = issuer.registry.clients[parameters["client_id"]]
    scopes = parameters["scope"].split()
    return pages.page(
        issuer,
        "consent.html",
        form_target=form_action_source(parameters["redirect_uri"]),
        client=client,
        handle=handle,
        csrf_token=interaction.csrf_token,
        person=issuer.users.by_sub(authentication.sub),
        wishes=[(scope, issuer.scopes[scope]) for scope in dict.fromkeys(scopes)],
        resources=parameters.getlist("resource") or [issuer.registry.default_resource],
        access_minutes=issuer.lifetimes.access_token // 60,
        offline_days=issuer.lifetimes.refresh_absolute // 86_400 if "offline_access" in scopes else 0,
        remembered_days=issuer.lifetimes.consent // 86_400,
        details=described_details(
            read_details(client, parameters.get("authorization_details") or None), issuer.registry.details_types
        ),
        target=form_action_source(parameters["redirect_uri"]),
    )
