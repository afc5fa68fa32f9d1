"""Security headers on every response, errors and redirects included.

Flask-Talisman sets the ones that it knows. It sends no COOP and no CORP, and decides on HSTS by a
request header that anybody can send: those are set here, from the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask, Response
from flask_talisman import Talisman

from secure_api.settings import Settings

# An API answer is never a document: nothing may load, frame or submit from it (ASVS v5.0.0-3.4.3, 3.4.6).
API_CSP = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"
HSTS_SECONDS = 2 * 365 * 24 * 3600


def page_csp(form_targets: Iterable[str]) -> dict[str, str]:
    """The policy of our own pages: same-origin files only, no inline script or style.

    `form_targets` are the origins at which a form may finally end: Chromium applies `form-action` to
    the redirects after a submission, and signing out ends at the identity provider.
    """
    return {
        "default-src": "'none'",
        "style-src": "'self'",
        "script-src": "'self'",
        "img-src": "'self'",
        "font-src": "'none'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": " ".join(["'self'", *form_targets]),
        "frame-ancestors": "'none'",
    }


def register_headers(app: Flask, settings: Settings) -> Talisman:
    """Set the static headers on every response; the API's policy is the default, pages ask for theirs."""

    @app.after_request
    def add(response: Response) -> Response:
        headers = response.headers
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if settings.serves_https:
            headers["Strict-Transport-Security"] = f"max-age={HSTS_SECONDS}; includeSubDomains"
        # What a caller may see is his alone, and so is a refusal (ASVS v5.0.0-14.3.2).
        headers.setdefault("Cache-Control", "no-store")
        return response

    talisman: Talisman = Talisman(
        app,
        force_https=False,  # plain HTTP is refused, not redirected: a redirect would teach callers to send tokens so
        strict_transport_security=False,
        frame_options="DENY",
        content_security_policy=API_CSP,
        permissions_policy=PERMISSIONS_POLICY,
        referrer_policy="same-origin",
        session_cookie_secure=True,
    )
    return talisman
