"""The HTTP endpoints of an issuer, one module each; `mount()` puts them under the issuer's path."""

from __future__ import annotations

from flask import Blueprint, Flask, Response

from idp_mock import browser, pages
from idp_mock.endpoints import (
    assets,
    authorize,
    consent,
    consents,
    device,
    home,
    introspection,
    jwks,
    login,
    logout,
    metadata,
    par,
    registration,
    revocation,
    token,
    userinfo,
)
from idp_mock.issuer import Issuer
from idp_mock.server import IssuerServer


def mount(app: Flask, issuer: Issuer) -> None:
    """Register every endpoint of the issuer on the application."""
    server = IssuerServer(issuer)
    blueprint = Blueprint(f"issuer:{issuer.url}".replace(".", "_"), __name__, url_prefix=issuer.path or None)
    for module in (authorize, login, consent, logout, token, par, device, introspection, revocation):
        module.add_routes(blueprint, server)
    for module in (home, assets, userinfo, consents, jwks, registration):
        module.add_routes(blueprint, issuer)
    metadata.add_routes(app, blueprint, issuer)

    def finish(response: Response) -> Response:
        return browser.store_cookie(issuer, response)

    def stale(_error: Exception) -> Response:
        return pages.error_page(
            issuer,
            "This page has expired, was sent already, or belongs to another browser. "
            "Go back to the application and start again.",
            code="stale_form",
        )

    blueprint.after_request(finish)
    blueprint.register_error_handler(browser.StaleForm, stale)
    app.register_blueprint(blueprint)
