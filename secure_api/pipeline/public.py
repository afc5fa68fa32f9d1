"""The one list of endpoints that are open to everyone, each with the reason.

A reviewer reads this page to know what has no `endpoint()` declaration. They are limited by address, and
none reads a guarded table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flask import Flask, request

from secure_api.web.limits import RateLimiter

PUBLIC_ENDPOINTS: Mapping[str, str] = MappingProxyType(
    {
        "pages.static": "style sheets of our own pages",
        "web.healthz": "liveness probes; says only that the process answers",
        "web.readyz": "readiness probes; says only yes or no",
        "web.protected_resource_metadata": "clients must find it before they have a token (RFC 9728 §3)",
        "web.problem_page": "explains an error type; the same for everyone",
        "login.start": "begins a sign-in; makes nothing but a short-lived transaction",
        "login.callback": "ends a sign-in; bound to its transaction and its browser",
        "login.logout": "ends the caller's own session; needs the session's form token",
        "pages.home": "says what this is and where to sign in",
        "pages.sign_in": "offers the identity providers",
    }
)

_UNLIMITED = frozenset({"web.healthz", "web.readyz"})  # a probe must not fail because others are busy


def limit_public_endpoints(app: Flask, limiter: RateLimiter) -> None:
    """Count requests to public endpoints, and to paths that lead nowhere, by address."""

    @app.before_request
    def limit() -> None:
        if request.endpoint is None or request.endpoint in PUBLIC_ENDPOINTS.keys() - _UNLIMITED:
            limiter.hit_address(request.remote_addr or "")
