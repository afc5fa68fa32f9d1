"""Renders the pages people see. Every page is unframable, uncached, script-free and reads its style from a file.

RFC 9700 §4.16, OWASP ASVS v5.0.0-3.4.
"""

from __future__ import annotations

from typing import Any

from flask import Response, make_response, render_template

from idp_mock.issuer import Issuer


def page(issuer: Issuer, template: str, *, status: int = 200, form_target: str = "", **values: Any) -> Response:
    """One page. `form_target` is the CSP source to which a form of this page may finally redirect."""
    response = make_response(render_template(template, issuer=issuer, **values), status)
    set_page_headers(response, form_target)
    return response


def error_page(issuer: Issuer, message: str, *, code: str = "invalid_request", status: int = 400) -> Response:
    """Says what went wrong, in place: it never sends the browser on."""
    return page(issuer, "error.html", status=status, message=message, code=code)


def set_page_headers(response: Response, form_target: str = "") -> None:
    targets = f"'self' {form_target}".strip()
    # Chromium applies form-action to the redirect after a form post too, so the client's origin is listed.
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        f"form-action {targets}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["X-Frame-Options"] = "DENY"
    # Not `no-referrer`: with it browsers send `Origin: null` from our own forms.
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
