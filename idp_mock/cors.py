"""Cross-origin reading for registered browser applications, at the endpoints that scripts call. Never at pages.

RFC 9700 §2.6: the authorization endpoint is a place that browsers go to, not one that scripts read.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from flask import Flask, Response, request

from idp_mock.issuer import Issuer
from idp_mock.places import METADATA, places

SCRIPT_ENDPOINTS = frozenset({METADATA, "jwks", "userinfo", "token", "revoke"})
_METHODS = "GET, POST"
_REQUEST_HEADERS = "Authorization, Content-Type, DPoP"
_RESPONSE_HEADERS = "WWW-Authenticate, DPoP-Nonce"
_MAX_AGE_SECONDS = "600"


def add_cross_origin_headers(app: Flask, issuers: Iterable[Issuer]) -> None:
    """Let the registered origins read what scripts need; no credentials, no wildcard."""
    known = places(issuers)

    def finish(response: Response) -> Response:
        place = known.get(request.path)
        if place is None or place[1] not in SCRIPT_ENDPOINTS:
            return response
        # Caches must not give one origin's answer to another, nor one without the header to an origin.
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is None or origin not in registered_origins(place[0]):
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _RESPONSE_HEADERS
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = _METHODS
            response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            response.headers["Access-Control-Max-Age"] = _MAX_AGE_SECONDS
        return response

    app.after_request(finish)


def registered_origins(issuer: Issuer) -> frozenset[str]:
    """Where the public web clients live: the origins of their redirect URIs. A client with a secret is no script."""
    return frozenset(
        _origin(uri)
        for client in issuer.registry.clients.values()
        if not client.confidential and client.application_type == "web"
        for uri in client.redirect_uris
        if uri.startswith(("https://", "http://"))
    )


def _origin(uri: str) -> str:
    """The origin as a browser writes it: lower case, no default port (RFC 6454 §6.2)."""
    parts = urlsplit(uri)
    default = {"https": 443, "http": 80}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")
