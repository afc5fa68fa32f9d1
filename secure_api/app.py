"""`create_app`: all wiring, in order, on one page."""

from __future__ import annotations

from datetime import timedelta

import structlog
from flask import Flask

from secure_api.audit.logging import configure_logging
from secure_api.credentials.access_tokens import AccessTokenVerifier
from secure_api.credentials.introspection import Introspector
from secure_api.credentials.issuer_keys import issuer_keys_of
from secure_api.credentials.proof_replay import ProofReplay
from secure_api.credentials.providers import ProviderRegistry, load_providers
from secure_api.credentials.sealing import Sealer
from secure_api.credentials.self_attack import SelfAttack
from secure_api.credentials.sessions import SessionLimits
from secure_api.db import database, utc_now
from secure_api.db.base import engine_options, prepare_engine
from secure_api.db.scoping import guard_engine
from secure_api.errors import SettingsError
from secure_api.login.relying_party import RelyingParty
from secure_api.login.views import LoginParts, login_blueprint
from secure_api.outbound.operator import OperatorClient
from secure_api.outbound.shared_memory import SharedMemory
from secure_api.pages.views import blueprint as pages
from secure_api.pipeline.completeness import require_complete_declarations
from secure_api.pipeline.policies_in_force import PoliciesInForce
from secure_api.pipeline.public import limit_public_endpoints
from secure_api.pipeline.readiness import Readiness
from secure_api.pipeline.services import EXTENSION, Services
from secure_api.policy.loader import load_policies
from secure_api.policy.policy_set import PolicySet
from secure_api.protocol.origin import origin_of
from secure_api.protocol.resource_metadata import metadata_url
from secure_api.resources import SCOPES, resource_schemas
from secure_api.resources.orders.v1 import blueprint as orders_v1
from secure_api.resources.products.v1 import blueprint as products_v1
from secure_api.settings import Settings
from secure_api.web.client_certificates import parse_networks
from secure_api.web.csrf import FormTokens
from secure_api.web.headers import page_csp, register_headers
from secure_api.web.limits import RateLimiter, load_rate_limits
from secure_api.web.problems import register_problems
from secure_api.web.public_views import public_blueprint
from secure_api.web.request_ids import register_request_ids


def create_app(settings: Settings) -> Flask:
    """The application, wired and checked. Opens no connection yet.

    Raises `SettingsError`, `PolicyError` or `UndeclaredRoute`: each names what to mend and where.
    """
    configure_logging(settings.log_level)
    app = Flask(__name__, static_folder=None)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url),
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        MAX_FORM_MEMORY_SIZE=settings.max_body_bytes,
    )

    # What stands around every request.
    register_request_ids(app)
    talisman = register_headers(app, settings)
    register_problems(app, settings.base_url, metadata_url(settings.base_url))
    limiter = RateLimiter(load_rate_limits(settings.rate_limits), settings.redis_url)
    limiter.init_app(app)
    limit_public_endpoints(app, limiter)

    # Data and rules.
    database.init_app(app)
    with app.app_context():
        engine = database.engine
    prepare_engine(engine)
    guard_engine(engine)

    def load() -> PolicySet:
        return load_policies(settings.policies, resource_schemas(), known_scopes=SCOPES.keys())

    def load_again() -> PolicySet:
        loaded = load()
        require_complete_declarations(app, loaded, limiter)
        return loaded

    policies = PoliciesInForce(load(), load_again, engine, settings.policies)

    # Who may be believed.
    providers = load_providers(
        settings.identity_providers, settings.variables, allow_http_loopback=not settings.is_production
    )
    _report_providers(settings, providers)
    clients = {provider.name: OperatorClient(provider.origins) for provider in providers}
    issuer_keys = issuer_keys_of(providers, lambda provider: clients[provider.name])
    session_limits = SessionLimits(
        idle=timedelta(seconds=settings.session_idle_seconds),
        absolute=timedelta(seconds=settings.session_absolute_seconds),
    )
    form_tokens = FormTokens(settings.secret_key)
    access_tokens = AccessTokenVerifier(providers, issuer_keys, utc_now, Introspector(clients, issuer_keys, utc_now))
    readiness = Readiness(SelfAttack(access_tokens, providers, utc_now), policies.require_loaded)
    app.extensions[EXTENSION] = Services(
        settings=settings,
        policies=policies,
        limiter=limiter,
        providers=providers,
        access_tokens=access_tokens,
        proof_replay=ProofReplay(
            settings.secret_key,
            SharedMemory(settings.redis_url, settings.secret_key) if settings.redis_url else None,
            utc_now,
        ),
        trusted_proxies=parse_networks(settings.trusted_proxies),
        session_limits=session_limits,
        form_tokens=form_tokens,
    )

    # Routes.
    login = LoginParts(
        settings=settings,
        relying_party=RelyingParty(providers, issuer_keys, clients, settings.base_url),
        session_limits=session_limits,
        form_tokens=form_tokens,
        sealer=Sealer(settings.secret_key, "upstream id token"),
        limiter=limiter,
    )
    issuers = [provider.issuer for provider in providers]
    app.register_blueprint(public_blueprint(settings.base_url, issuers, sorted(SCOPES), ready=readiness.require))
    app.register_blueprint(login_blueprint(login))
    app.register_blueprint(pages)
    app.register_blueprint(orders_v1)
    app.register_blueprint(products_v1)

    # Pages load style sheets and submit forms that end at a provider; the API's answers do neither.
    targets = sorted({origin_of(provider.issuer) for provider in providers if provider.login})
    for name, view in app.view_functions.items():
        if name.startswith(("pages.", "login.", "web.problem_page")) and name != "pages.static":
            app.view_functions[name] = talisman(content_security_policy=page_csp(targets))(view)

    require_complete_declarations(app, policies.current, limiter)
    return app


def _report_providers(settings: Settings, providers: ProviderRegistry) -> None:
    """Say which provider tables are left out and why. Raises `SettingsError` for the mock in production."""
    if settings.is_production and providers.by_name("mock") is not None:
        raise SettingsError([f"{settings.identity_providers}: the mock identity provider is refused in production"])
    for name, reason in providers.disabled.items():
        structlog.get_logger("secure_api").info("identity_provider_left_out", provider=name, reason=reason)
