"""Cross-site request forgery: proof that a cookie-authenticated write came from our own pages.

Two walls, both needed: where the browser says the request comes from (`Sec-Fetch-Site`, `Origin`), and
something that only our own pages can send, a custom header or a form's token (ASVS v5.0.0-3.5.1..3).
"""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from flask import Request

from secure_api.errors import CsrfRefused
from secure_api.protocol.origin import origin_of

HEADER = "X-CSRF"
FORM_MEMBER = "csrf_token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def require_same_origin(request: Request, base_url: str) -> None:
    """Pass only if the browser names our own origin as the sender; raises `CsrfRefused`."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None and site != "same-origin":
        raise CsrfRefused("The request came from another site.", log_detail=f"Sec-Fetch-Site is {site!r}")
    if origin is not None and origin != origin_of(base_url):
        raise CsrfRefused("The request came from another site.", log_detail=f"Origin is {origin!r}")
    if site is None and origin is None:
        raise CsrfRefused("The request does not say where it comes from.", log_detail="no Sec-Fetch-Site, no Origin")


def require_csrf_header(request: Request) -> None:
    """Pass only if the custom header is there: no form and no plain cross-site request can send it."""
    if request.headers.get(HEADER) != "1":
        raise CsrfRefused(f"Send the header {HEADER}: 1 with every write.", log_detail="CSRF header missing")


class FormTokens:
    """Tokens for our own forms, bound to one session."""

    def __init__(self, secret_key: str) -> None:
        self._key = hashlib.sha256(b"csrf form token" + secret_key.encode()).digest()

    def issue(self, session_id: UUID) -> str:
        """The token that forms of this session carry."""
        return hmac.new(self._key, session_id.bytes, hashlib.sha256).hexdigest()

    def verify(self, session_id: UUID, token: str | None) -> None:
        """Pass only if `token` belongs to this session; raises `CsrfRefused`."""
        if token is None or not hmac.compare_digest(self.issue(session_id).encode(), token.encode()):
            raise CsrfRefused("The form is out of date. Load the page again.", log_detail="form token wrong or missing")
