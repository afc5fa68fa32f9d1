"""What a person allowed, application by application, and the way to take it back.

ASVS v5.0.0-10.7.3: taking back ends the consent and everything that was issued from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from idp_mock import browser, pages
from idp_mock.issuer import Issuer
from idp_mock.tokens import revoke_grant


@dataclass(frozen=True, slots=True)
class Consent:
    """One line of the page; `wishes` are scopes with the words that the consent page used."""

    client_id: str
    name: str
    wishes: list[tuple[str, str]]


def add_routes(blueprint: Blueprint, issuer: Issuer) -> None:
    path = issuer.profile.paths["consents"]

    def show() -> Response:
        authentication = browser.signed_in(issuer)
        if authentication is None:
            return pages.page(issuer, "consents.html", person=None)
        handle = browser.begin_interaction(issuer, MultiDict())
        return pages.page(
            issuer,
            "consents.html",
            person=issuer.users.by_sub(authentication.sub),
            consents=_consents(issuer, authentication.sub),
            handle=handle,
            csrf_token=browser.change_interaction(issuer, handle, lambda record: record).csrf_token,
        )

    def revoke() -> Response:
        handle, _ = browser.interaction_for_form(issuer)
        authentication = browser.signed_in(issuer)
        if authentication is None or not browser.end_interaction(issuer, handle):
            raise browser.StaleForm
        revoke_consent(issuer, authentication.sub, request.form.get("revoke", ""))
        return Response(status=303, headers={"Location": issuer.path + path})

    blueprint.add_url_rule(path, "consents", show, methods=["GET"])
    blueprint.add_url_rule(path, "consents_revoke", revoke, methods=["POST"])


def revoke_consent(issuer: Issuer, sub: str, client_id: str) -> None:
    """Forget the consent and end every grant that this person gave this client."""
    issuer.stores.consents.remove(f"{sub} {client_id}")
    for grant_id, grant in issuer.stores.grants.with_prefix(""):
        if grant.client_id == client_id and grant.authentication is not None and grant.authentication.sub == sub:
            revoke_grant(issuer, grant_id)


def _consents(issuer: Issuer, sub: str) -> list[Consent]:
    prefix = f"{sub} "
    found = []
    for key, scopes in issuer.stores.consents.with_prefix(prefix):
        client = issuer.registry.clients.get(key.removeprefix(prefix))
        if client is not None:
            wishes = [(scope, issuer.scopes[scope]) for scope in sorted(scopes)]
            found.append(Consent(client.client_id, client.name, wishes))
    return sorted(found, key=lambda consent: consent.name)
