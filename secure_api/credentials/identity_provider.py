"""What this deployment knows of one identity provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from secure_api.protocol.rfc9068 import AccessTokenProfile

Provision = Literal["login", "token", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCachePolicy:
    """How long an issuer's keys are used, in seconds.

    `ttl_seconds`: how long without asking again. `cooldown_seconds`: the least time from a
    fetch that failed, or did not bring the key in question, to the next. `retry_seconds`: the same
    while there are no keys at all.
    `stale_seconds`: how much longer than `ttl_seconds` the last good keys serve during an outage.
    """

    ttl_seconds: int = 600
    cooldown_seconds: int = 30
    retry_seconds: int = 5
    stale_seconds: int = 14_400


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    """One trusted issuer, as its table describes it.

    `access_tokens` is None where the provider's access tokens are opaque to us. `audiences` are this
    API's identifiers, one of which an access token must name. `roles` maps the provider's groups to
    roles of this API, written to the user record at login. `provision` says what may create an
    account: a login, also a first valid token, or neither. `trusts_email` allows linking by verified
    email; `allowed_domains` bounds who may sign in (`hd` claim or email domain). `login` puts a button
    on the sign-in page. `authorized_parties` are further clients whose ID tokens are taken (`azp`).
    `dpop_required` says that access tokens must be bound to a key, `dpop_clients` that those of these
    clients must, `dpop_nonce` that their proofs need a nonce of ours (RFC 9449).
    `introspection` says that its access tokens are opaque and it is asked about each, at most once in
    `introspection_cache_seconds`. `opaque_token_prefixes` is how its opaque tokens begin.
    `origins` are the only ones this API ever calls for this provider.
    """

    name: str
    display_name: str
    issuer: str
    profile_name: str
    access_tokens: AccessTokenProfile | None
    id_token_algorithms: tuple[str, ...]
    groups_claim: tuple[str, ...]
    audiences: frozenset[str]
    client_id: str | None
    client_secret: str | None = field(repr=False)
    login: bool
    login_scopes: tuple[str, ...]
    authorized_parties: frozenset[str]
    roles: Mapping[str, str]
    provision: Provision
    trusts_email: bool
    allowed_domains: frozenset[str]
    jwks_uri: str | None
    origins: frozenset[str]
    id_token_max_lifetime_seconds: int
    clock_skew_seconds: int
    introspection: bool
    introspection_cache_seconds: int
    opaque_token_prefixes: tuple[str, ...]
    dpop_required: bool
    dpop_clients: frozenset[str]
    dpop_nonce: bool
    key_cache: KeyCachePolicy

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Every algorithm that this issuer may sign with, for any kind of token, in order of preference."""
        extra = self.access_tokens.algorithms if self.access_tokens else ()
        return tuple(dict.fromkeys((*extra, *self.id_token_algorithms)))

    def demands_dpop(self, client_id: str | None) -> bool:
        """True if a token of that client is taken only with a proof of possession."""
        return self.dpop_required or client_id in self.dpop_clients

    def roles_for(self, groups: tuple[str, ...]) -> frozenset[str]:
        """The roles of this API that the provider's `groups` stand for; unknown groups stand for none."""
        return frozenset(self.roles[group] for group in groups if group in self.roles)
