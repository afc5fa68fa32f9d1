"""Builds the identity provider: reads the files, makes the issuers, mounts their endpoints. All wiring is here."""

from __future__ import annotations

import logging

from flask import Flask, Response, jsonify
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException

from idp_mock import pages
from idp_mock.clients import load_clients
from idp_mock.config import Config
from idp_mock.endpoints import mint, mount
from idp_mock.issuer import Issuer
from idp_mock.profiles.default import DEFAULT_PROFILE
from idp_mock.stores import Stores
from idp_mock.users import load_users

_MAX_BODY_BYTES = 64 * 1024


def create_app(config: Config) -> Flask:
    """The WSGI application; raises `ConfigError` when a file or an issuer is wrong."""
    # Authlib's grants log whole token responses at DEBUG.
    logging.getLogger("authlib").setLevel(logging.INFO)
    app = Flask("idp_mock", template_folder="pages/templates", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = _MAX_BODY_BYTES
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    issuers = {url: _issuer(url, config) for url in config.issuers}
    app.extensions["idp_mock"] = issuers
    for issuer in issuers.values():
        mount(app, issuer)
    if config.test_endpoints:
        mint.add_routes(app, issuers)
    app.add_url_rule("/healthz", "healthz", lambda: jsonify(status="ok"))

    main_issuer = issuers[config.issuers[0]]

    def http_error(error: HTTPException) -> Response:
        response = pages.error_page(
            main_issuer, error.description or error.name, code=error.name.lower(), status=error.code or 500
        )
        if "Allow" in (headers := dict(error.get_headers())):
            response.headers["Allow"] = headers["Allow"]
        return response

    def harden(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Cache-Control", "no-store")
        if main_issuer.is_secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response

    app.register_error_handler(HTTPException, http_error)
    app.after_request(harden)
    return app


def _issuer(url: str, config: Config) -> Issuer:
    return Issuer(
        url=url,
        profile=DEFAULT_PROFILE,
        registry=load_clients(config.clients_file, config.environment, config.audience),
        users=load_users(config.users_file, config.environment),
        lifetimes=config.lifetimes,
        clock=config.clock,
        stores=Stores.in_memory(config.clock),
        one_click=config.one_click,
        auto_login=config.auto_login,
    )
