"""The records an issuer keeps. All are immutable: a change is a new record, stored atomically."""

from __future__ import annotations

from dataclasses import dataclass, field


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
    """What one person allowed one client. Everything issued from it dies when `revoked` is set.

    A client that acts for itself has a grant without `authentication`. `authorization_details` is the JSON text
    of the granted list (RFC 9396 §2), empty for none.
    """

    grant_id: str
    client_id: str
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    authentication: Authentication | None
    ends_at: float
    revoked: bool = False
    authorization_details: str = ""


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
    dpop_jkt: str | None = None
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return " ".join(self.scopes)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """Remembers an issued access token by its `jti`, so that it can be revoked with its grant.

    `dpop_jkt` is the thumbprint of the key that the token is bound to (RFC 9449 §6); `actors` are the clients
    that exchanged it, the latest first (RFC 8693 §4.1).
    """

    grant_id: str
    client_id: str
    sub: str
    scopes: tuple[str, ...]
    resources: tuple[str, ...] = ()
    issued_at: int = 0
    expires_at: int = 0
    dpop_jkt: str | None = None
    actors: tuple[str, ...] = ()
    authorization_details: str = ""


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One link of a rotating chain; `used` stays set so that a second use is recognised."""

    grant_id: str
    client_id: str
    scopes: tuple[str, ...]
    used: bool = False
    dpop_jkt: str | None = None
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class Browser:
    """One browser at this issuer. `browser_id` stays when the cookie is replaced at sign-in.

    `is_new` until the cookie of an unattended sign-in has come back.
    """

    browser_id: str
    authentication: Authentication | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request that waits for the person: its parameters, the browser it belongs to, and how far it got.

    `signed_in_sub` signed in for this very request; `password_sub` gave the password and owes the one-time code;
    `asked_sub` was shown the consent page. `device` is the key of
    the device authorization that the person confirms, for an interaction that began on the device page.
    """

    browser_id: str
    csrf_token: str
    parameters: tuple[tuple[str, str], ...]
    signed_in_sub: str | None = None
    password_sub: str | None = None
    asked_sub: str | None = None
    consented: bool = False
    failures: int = 0
    device: str | None = None


@dataclass(frozen=True, slots=True)
class PushedRequest:
    """The parameters of a pushed authorization request, bound to the client that pushed them (RFC 9126 §2.2)."""

    client_id: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """A device that waits (RFC 8628 §3.2). `grant_id` is set once a person allowed it, `denied` once one refused.

    `poll_after` is the time before which the next poll is too early; `interval` grows with each that was.
    """

    client_id: str
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    expires_at: float
    interval: int
    poll_after: float
    grant_id: str | None = None
    denied: bool = False


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One signing key. `state` is pending (published, not used yet), active or retired (published, used no more).

    `since` is when the state began; `jwk` is the private key as JSON and never leaves the issuer.
    """

    alg: str
    kid: str
    state: str
    since: float
    jwk: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRingRecord:
    """All signing keys of an issuer, changed as one."""

    keys: tuple[KeyRecord, ...]
