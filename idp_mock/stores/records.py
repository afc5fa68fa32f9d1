"""The records an issuer keeps. All are immutable: a change is a new record, stored atomically."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Authentication:
    """A sign-in that happened: who, when (seconds since the epoch), how strongly, in which session."""

    sub: str
    auth_time: int
    acr: str
    amr: tuple[str, ...]
    sid: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What one person allowed one client. Everything issued from it dies when `revoked` is set."""

    grant_id: str
    client_id: str
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    authentication: Authentication
    ends_at: float
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """A code, bound to client, redirect URI and challenge; with the questions Authlib asks of it."""

    grant_id: str
    client_id: str
    redirect_uri: str
    code_challenge: str
    scopes: tuple[str, ...]
    nonce: str | None
    expires_at: float
    redeemed: bool = False
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return " ".join(self.scopes)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """Remembers an issued access token by its `jti`, so that it can be revoked with its grant."""

    grant_id: str
    client_id: str
    sub: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One link of a rotating chain; `used` stays set so that a second use is recognised."""

    grant_id: str
    client_id: str
    scopes: tuple[str, ...]
    used: bool = False


@dataclass(frozen=True, slots=True)
class Browser:
    """One browser at this issuer. `browser_id` stays when the cookie is replaced at sign-in."""

    browser_id: str
    authentication: Authentication | None = None


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request that waits for the person: its parameters, the browser it belongs to, and how far it got.

    `signed_in_sub` signed in for this very request; `asked_sub` was shown the consent page.
    """

    browser_id: str
    csrf_token: str
    parameters: tuple[tuple[str, str], ...]
    signed_in_sub: str | None = None
    asked_sub: str | None = None
    consented: bool = False
    failures: int = 0
