"""The names and flags of our cookies (ASVS v5.0.0-3.3.1..4)."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.wrappers import Response

from secure_api.settings import Settings


@dataclass(frozen=True, slots=True)
class CookieNames:
    """Cookie names. `__Host-` ties a cookie to this exact origin: Secure, path /, no Domain."""

    session: str = "__Host-session"
    login: str = "__Host-login"


COOKIES = CookieNames()


def set_cookie(response: Response, name: str, value: str, *, max_age_seconds: int) -> None:
    """Set one of our cookies; browsers treat loopback as secure, so plain HTTP on it works too."""
    response.set_cookie(
        name, value, max_age=max_age_seconds, path="/", secure=True, httponly=True, samesite="Lax", domain=None
    )


def clear_cookie(response: Response, name: str) -> None:
    """Make the browser drop one of our cookies."""
    response.set_cookie(name, "", max_age=0, path="/", secure=True, httponly=True, samesite="Lax")


def session_cookie_seconds(settings: Settings) -> int:
    """How long the browser keeps the session cookie; the server's own limits decide all the same."""
    return settings.session_absolute_seconds
