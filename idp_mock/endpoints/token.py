"""The token endpoint: form-encoded posts only, nothing repeated, nothing in the query, nothing cached.

RFC 6749 §3.2 and §5.
"""

from __future__ import annotations

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from flask import Blueprint, Response, request

from idp_mock.server import IssuerServer


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    def token() -> Response:
        response = _refusal(server) or server.create_token_response()
        response.headers["Cache-Control"] = "no-store"
        response.headers["Pragma"] = "no-cache"
        return response

    blueprint.add_url_rule(server.issuer.profile.paths["token"], "token", token, methods=["POST"])


def _refusal(server: IssuerServer) -> Response | None:
    if request.mimetype != "application/x-www-form-urlencoded":
        problem = "Send the parameters as application/x-www-form-urlencoded."
    elif request.args:
        # A query string ends up in logs and histories (RFC 6749 §2.3.1).
        problem = "Send the parameters in the body, not in the query."
    elif any(len(values) > 1 for name, values in request.form.lists() if name != "resource"):
        problem = "A parameter was sent more than once."
    elif not request.form.get("grant_type"):
        problem = "The parameter 'grant_type' is required."
    else:
        return None
    return server.refusal(InvalidRequestError(problem))
