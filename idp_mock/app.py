"""Builds the identity provider: reads the files, makes the issuers, mounts their endpoints. All wiring is here."""

from __future__ import annotations

import logging
from dataclasses import replace

from flask import Flask, Response, jsonify
from jinja2 import StrictUndefined
from sqlalchemy import Engine
from werkzeug.exceptions import HTTPException

from idp_mock import pages
from idp_mock.clients import load_clients
from idp_mock.config import Config
from idp_mock.cors import add_cross_origin_headers
from idp_mock.endpoints import faults, jwks, mint, mount
from idp_mock.faults.injector import Injector
from idp_mock.issuer import Issuer
from idp_mock.keys import KeyRing
from idp_mock.profiles.imitated import profile_of
from idp_mock.registration import KnownClients
from idp_mock.stores import Stores
from idp_mock.stores.sql import open_database
from idp_mock.toml_file import ConfigError
from idp_mock.users import UserDirectory, load_users

_MAX_BODY_BYTES = 64 * 1024


def create_app(config: Config) -> Flask:
    """The WSGI application; raises `ConfigError` when a file or an issuer is wrong."""
    # Authlib's grants log whole token responses at DEBUG.
    logging.getLogger("authlib").setLevel(logging.INFO)
    app = Flask("idp_mock", template_folder="pages/templates", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = app.config["MAX_FORM_MEMORY_SIZE"] = _MAX_BODY_BYTES
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    database = open_database(config.store) if config.store else None
    issuers = {url: _issuer(url, config, database) for url in config.issuers}
    app.extensions["idp_mock"] = issuers
    for issuer in issuers.values():
        mount(app, issuer)
    if config.test_endpoints:
        injector = Injector(issuers)
        injector.surround(app)
        mint.add_routes(app, issuers)
        jwks.add_test_routes(app, issuers)
        faults.add_routes(app, injector)
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

    add_cross_origin_headers(app, issuers.values())
    app.register_error_handler(HTTPException, http_error)
    app.after_request(harden)
    return app


def _issuer(url: str, config: Config, database: Engine | None) -> Issuer:
    profile = profile_of(url)
    registry = load_clients(config.clients_file, config.environment, config.audience)
    clients = {client_id: profile.client(client) for client_id, client in registry.clients.items()}
    people = load_users(config.users_file, config.environment)
    users = UserDirectory(tuple(profile.person(user) for user in people.users))
    if same := sorted(client_id for client_id in clients if users.by_sub(client_id)):
        # Its own tokens, whose `sub` is the client, would read as that person's (RFC 9700 §4.15).
        raise ConfigError(f"{config.clients_file}: client_id {same[0]!r} is also the sub of a user")
    clock = config.clock
    stores = Stores.in_database(database, url, clock) if database is not None else Stores.in_memory(clock)
    return Issuer(
        url=url,
        profile=profile,
        registry=replace(registry, clients=KnownClients(clients, stores.clients)),
        users=users,
        keys=KeyRing(profile.signing_algorithms, stores.keys, clock, config.rotate_keys_seconds),
        lifetimes=config.lifetimes,
        clock=clock,
        stores=stores,
        one_click=config.one_click,
        auto_login=config.auto_login,
        pkce_optional=url == config.conformance_issuer,
    )
