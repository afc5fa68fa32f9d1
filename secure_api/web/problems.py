"""The only renderer of errors: RFC 9457 for API callers, a page for people at a browser.

Only `public_detail` and `extensions` leave the process. An error that is not ours is a generic 500
whose request id leads to the log line (ASVS v5.0.0-16.5.1).
"""

from __future__ import annotations

import traceback
from functools import partial
from typing import Any

import orjson
import structlog
from flask import Flask, Response, redirect, render_template, request, url_for
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as WerkzeugMethodNotAllowed
from werkzeug.wrappers import Response as BaseResponse

from secure_api.errors import (
    AmbiguousCredentials,
    AuthenticationRequired,
    BadRequest,
    DpopNonceRequired,
    InsufficientScope,
    InvalidDpopProof,
    InvalidToken,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    SecureApiError,
    ServiceUnavailable,
    StepUpRequired,
    UnsupportedMediaType,
)
from secure_api.protocol.challenge import bearer_challenge, dpop_challenge
from secure_api.protocol.dpop import PROOF_ALGORITHMS
from secure_api.web.request_ids import current_request_id

MEDIA_TYPE = "application/problem+json"
PAGE_BLUEPRINTS = frozenset({"pages", "login"})
_log = structlog.get_logger("secure_api.errors")

_FROM_FRAMEWORK: dict[int, type[SecureApiError]] = {
    400: BadRequest,
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
}


def register_problems(app: Flask, base_url: str, resource_metadata_url: str) -> None:
    """Turn every error of the app into a problem response."""

    @app.errorhandler(SecureApiError)
    def ours(error: SecureApiError) -> BaseResponse:
        if error.status >= 500:
            _log.error("request_failed", reason=str(error), error=type(error).__name__)
        if isinstance(error, AuthenticationRequired) and request.blueprint in PAGE_BLUEPRINTS:
            return redirect(url_for("pages.sign_in", return_to=request.path), code=303)
        response = _render(error, base_url)
        _add_headers(response, error, resource_metadata_url)
        return response

    @app.errorhandler(HTTPException)
    def from_framework(error: HTTPException) -> BaseResponse:
        if error.code is not None and error.code < 400:
            return Response(error.get_response())  # type: ignore[arg-type]
        kind = _FROM_FRAMEWORK.get(error.code or 500, SecureApiError if (error.code or 500) >= 500 else BadRequest)
        response = _render(kind(log_detail=str(error.code)), base_url)
        if isinstance(error, WerkzeugMethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return response

    @app.errorhandler(OperationalError)
    def database_away(error: OperationalError) -> BaseResponse:
        _log.error("database_unavailable", error=type(error.orig).__name__)
        return _render(ServiceUnavailable(), base_url)

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> BaseResponse:
        # The last resort: the trace goes to the log, the caller gets the request id and nothing else.
        _log.error(
            "unexpected_error", error=type(error).__name__, trace="".join(traceback.format_exception(error))[-4000:]
        )
        return _render(SecureApiError(), base_url)


def problem_document(error: SecureApiError, base_url: str) -> dict[str, Any]:
    """The error as RFC 9457 members, with the request id that support will ask for."""
    document: dict[str, Any] = {
        "type": f"{base_url}/problems/{error.slug}",
        "title": error.title,
        "status": error.status,
    }
    if error.public_detail:
        document["detail"] = error.public_detail
    return {**document, **error.extensions, "request_id": current_request_id()}


def _render(error: SecureApiError, base_url: str) -> Response:
    if request.blueprint in PAGE_BLUEPRINTS:
        html = render_template("problem.html", error=error, request_id=current_request_id())
        return Response(html, status=error.status, mimetype="text/html")
    body = orjson.dumps(problem_document(error, base_url))
    return Response(body, status=error.status, content_type=MEDIA_TYPE)


def _add_headers(response: Response, error: SecureApiError, resource_metadata_url: str) -> None:
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, DpopNonceRequired):
        response.headers["DPoP-Nonce"] = error.nonce
        response.headers["Cache-Control"] = "no-store"  # a nonce is for one client (RFC 9449 §8.2)
    for challenge in _challenges(error, resource_metadata_url):
        response.headers.add("WWW-Authenticate", challenge)


def _challenges(error: SecureApiError, resource_metadata_url: str) -> list[str]:
    """The challenges of RFC 6750 §3 and RFC 9449 §7.1, with RFC 9728's link to how a token is had.

    Who sent no credential is told every scheme, who sent one is answered in its own. None for other errors.
    """
    link = resource_metadata_url
    dpop = partial(dpop_challenge, algorithms=PROOF_ALGORITHMS, resource_metadata=link)
    if isinstance(error, AuthenticationRequired):
        return [bearer_challenge(resource_metadata=link), dpop()]
    if isinstance(error, InvalidDpopProof):
        return [dpop(error="use_dpop_nonce" if isinstance(error, DpopNonceRequired) else "invalid_dpop_proof")]
    by_scheme = dpop if _sent_dpop() else partial(bearer_challenge, resource_metadata=link)
    if isinstance(error, InvalidToken):
        return [by_scheme(error="invalid_token")]
    if isinstance(error, AmbiguousCredentials):
        return [bearer_challenge(error="invalid_request", resource_metadata=link)]
    if isinstance(error, InsufficientScope):
        return [by_scheme(error="insufficient_scope", scopes=error.required)]
    if isinstance(error, StepUpRequired):
        acr, max_age = error.extensions.get("acr_values"), error.extensions.get("max_age")
        return [by_scheme(error="insufficient_user_authentication", acr_values=acr or (), max_age_seconds=max_age)]
    return []


def _sent_dpop() -> bool:
    return request.headers.get("Authorization", "").partition(" ")[0].lower() == "dpop"
