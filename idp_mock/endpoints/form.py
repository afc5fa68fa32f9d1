"""The strict form endpoints that clients call: form-encoded posts only, nothing repeated, nothing in the query.

RFC 6749 §3.2 and §5, RFC 9449 §5 and §8. Errors are JSON and never cached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from flask import Response, request

from idp_mock import dpop
from idp_mock.server import IdpRequest, IssuerServer

_REPEATABLE = frozenset({"resource", "audience"})
_JSON = [("Content-Type", "application/json")]


def answered(
    server: IssuerServer, endpoint: str, answer: Callable[[IdpRequest], Response | tuple[int, dict[str, Any]]]
) -> Response:
    """The answer to a well-formed form, or the OAuth error; not to be cached, and with a nonce for the next proof."""
    try:
        result = answer(_form_request(server, endpoint))
        response = result if isinstance(result, Response) else server.handle_response(*result, _JSON)
    except OAuth2Error as error:
        # These endpoints never redirect, whatever the error was made for.
        error.redirect_uri = None
        response = server.refusal(error)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    if "DPoP" in request.headers:
        response.headers["DPoP-Nonce"] = dpop.fresh_nonce(server.issuer)
    return response


def _form_request(server: IssuerServer, endpoint: str) -> IdpRequest:
    if request.mimetype != "application/x-www-form-urlencoded":
        raise InvalidRequestError("Send the parameters as application/x-www-form-urlencoded.")
    if request.args:
        # A query string ends up in logs and histories (RFC 6749 §2.3.1).
        raise InvalidRequestError("Send the parameters in the body, not in the query.")
    if any(len(values) > 1 for name, values in request.form.lists() if name not in _REPEATABLE):
        raise InvalidRequestError("A parameter was sent more than once.")
    url = server.issuer.endpoint_url(endpoint)
    key = dpop.proof_key(server.issuer, request.headers, "POST", url)
    return IdpRequest("POST", url, request.form, request.headers.get("Authorization"), key)
