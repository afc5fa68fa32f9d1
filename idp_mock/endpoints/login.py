"""The sign-in page: a button for each person where one-click is on, name and password otherwise, and a way to say no.

OIDC Core §3.1.2.3.
"""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from idp_mock import authorization, browser, pages
from idp_mock.issuer import Issuer
from idp_mock.redirect_uris import form_action_source
from idp_mock.server import IssuerServer
from idp_mock.stores.records import Authentication, Interaction
from idp_mock.users import ACR_PASSWORD

_MAX_FAILURES = 5


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    issuer = server.issuer
    path = issuer.profile.paths["login"]

    def show() -> Response:
        handle, interaction = browser.interaction_for_page(issuer)
        return _sign_in_page(issuer, handle, interaction)

    def submit() -> Response:
        handle, interaction = browser.interaction_for_form(issuer)
        if "deny" in request.form:
            return authorization.deny(server, handle, interaction)
        authentication = _sign_in(issuer, interaction)
        if authentication is None:
            return _failed(issuer, handle)
        interaction = browser.change_interaction(
            issuer, handle, lambda record: replace(record, signed_in_sub=authentication.sub)
        )
        return authorization.resume(server, handle, interaction, authentication)

    blueprint.add_url_rule(path, "login", show, methods=["GET"])
    blueprint.add_url_rule(path, "login_submit", submit, methods=["POST"])


def _sign_in(issuer: Issuer, interaction: Interaction) -> Authentication | None:
    if "user" in request.form:
        person = issuer.users.by_hint(request.form["user"]) if issuer.one_click else None
        if person is None or not person.one_click:
            return None
        wanted = tuple(MultiDict(interaction.parameters).get("acr_values", "").split())
        acr, amr = authorization.strength_of_one_click(person, wanted)
        return browser.sign_in(issuer, person, acr=acr, amr=amr)
    user = issuer.users.by_password(request.form.get("username", ""), request.form.get("password", ""))
    return browser.sign_in(issuer, user, acr=ACR_PASSWORD, amr=("pwd",)) if user else None


def _failed(issuer: Issuer, handle: str) -> Response:
    interaction = browser.change_interaction(
        issuer, handle, lambda record: replace(record, failures=record.failures + 1)
    )
    if interaction.failures >= _MAX_FAILURES:
        browser.end_interaction(issuer, handle)
        return pages.error_page(
            issuer,
            "Too many attempts. Go back to the application and start again.",
            code="too_many_attempts",
            status=429,
        )
    return _sign_in_page(issuer, handle, interaction, "This name and password do not match.", 401)


def _sign_in_page(
    issuer: Issuer, handle: str, interaction: Interaction, problem: str = "", status: int = 200
) -> Response:
    parameters = MultiDict(interaction.parameters)
    # Validated when the interaction began: both are known here.
    client = issuer.registry.clients[parameters["client_id"]]
    return pages.page(
        issuer,
        "sign_in.html",
        status=status,
        form_target=form_action_source(parameters["redirect_uri"]),
        client=client,
        handle=handle,
        csrf_token=interaction.csrf_token,
        people=[user for user in issuer.users.users if user.one_click] if issuer.one_click else [],
        has_passwords=any(user.password_hash for user in issuer.users.users),
        hint=parameters.get("login_hint", ""),
        problem=problem,
    )
