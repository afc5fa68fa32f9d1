"""What the stages work with: made once in `create_app`, the same for every request."""

from __future__ import annotations

from dataclasses import dataclass

from secure_api.credentials.access_tokens import AccessTokenVerifier
from secure_api.credentials.proof_replay import ProofReplay
from secure_api.credentials.providers import ProviderRegistry
from secure_api.credentials.sessions import SessionLimits
from secure_api.pipeline.policies_in_force import PoliciesInForce
from secure_api.settings import Settings
from secure_api.web.client_certificates import Network
from secure_api.web.csrf import FormTokens
from secure_api.web.limits import RateLimiter

EXTENSION = "secure_api"


@dataclass(frozen=True, slots=True)
class Services:
    """The parts that the stages use; `app.extensions["secure_api"]` holds the one instance."""

    settings: Settings
    policies: PoliciesInForce
    limiter: RateLimiter
    providers: ProviderRegistry
    access_tokens: AccessTokenVerifier
    proof_replay: ProofReplay
    trusted_proxies: tuple[Network, ...]
    session_limits: SessionLimits
    form_tokens: FormTokens
