"""Rate limits at their two places in the request path."""

from __future__ import annotations

from secure_api.pipeline.context import RequestContext
from secure_api.pipeline.services import Services
from secure_api.principal import Principal


def limit_address(services: Services, context: RequestContext) -> None:
    """Count the request by address before anything that costs. Raises `RateLimited`."""
    services.limiter.hit_address(context.address)


def limit_principal(services: Services, context: RequestContext) -> None:
    """Count the request by caller in the endpoint's class. Raises `RateLimited`."""
    services.limiter.hit_class(context.declaration.rate_limit, _key(context.principal, context.address))


def _key(principal: Principal, address: str) -> str:
    if principal.user_id is not None:
        return f"user:{principal.user_id}"
    if principal.client_id is not None:
        return f"client:{principal.client_id}"
    return f"address:{address}"
