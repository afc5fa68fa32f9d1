"""One issuer: a profile, keys, clients, people and what it remembers. Several live in one process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from idp_mock.clients import ClientRegistry
from idp_mock.config import Lifetimes, issuer_path
from idp_mock.keys import KeyRing
from idp_mock.profiles import Profile
from idp_mock.stores import Stores
from idp_mock.stores.memory import Clock
from idp_mock.users import UserDirectory


@dataclass
class Outgoing:
    """What leaves the issuer by itself, not as an answer. The test endpoints put their own functions here."""

    change: Callable[[str], str] = lambda token: token
    note: Callable[..., None] = lambda *_, **__: None


@dataclass(frozen=True)
class Issuer:
    """`url` is the exact issuer identifier that tokens and metadata carry, slash or no slash at its end."""

    url: str
    profile: Profile
    registry: ClientRegistry
    users: UserDirectory
    lifetimes: Lifetimes
    clock: Clock
    stores: Stores
    one_click: bool = False
    auto_login: bool = False
    keys: KeyRing = field(default_factory=KeyRing)
    pkce_optional: bool = False
    outgoing: Outgoing = field(default_factory=Outgoing)

    @property
    def path(self) -> str:
        return issuer_path(self.url)

    @property
    def is_secure(self) -> bool:
        return urlsplit(self.url).scheme == "https"

    @property
    def cookie_name(self) -> str:
        """A cookie of its own: cookies are shared between the ports of a host and between issuers on one port."""
        prefix = "__Host-" if self.is_secure else ""
        return f"{prefix}idp_{hashlib.sha256(self.url.encode()).hexdigest()[:10]}"

    @property
    def scopes(self) -> Mapping[str, str]:
        return self.registry.scopes

    @property
    def reaches_mfa(self) -> bool:
        """Whether a sign-in here can be stronger than a password: by a one-time code, or by a click in its place."""
        return self.one_click or self.auto_login or any(user.totp_secret for user in self.users.users)

    def now(self) -> int:
        return int(self.clock())

    def endpoint_path(self, name: str) -> str:
        return self.path + self.profile.paths[name]

    def endpoint_url(self, name: str) -> str:
        return self.url.rstrip("/") + self.profile.paths[name]
