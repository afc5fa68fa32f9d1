"""What one run of the identity provider is made of; refuses combinations that would be unsafe."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from idp_mock.stores.memory import Clock
from idp_mock.toml_file import ConfigError

DEMO_USERS = Path(__file__).parent / "demo" / "users.toml"
DEMO_CLIENTS = Path(__file__).parent / "demo" / "clients.toml"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long each thing is good for, in seconds."""

    code: int = 60
    access_token: int = 300
    id_token: int = 300
    refresh_idle: int = 7 * 86_400
    refresh_absolute: int = 30 * 86_400
    session: int = 8 * 3_600
    unattended_session: int = 30
    interaction: int = 600
    consent: int = 30 * 86_400
    pushed_request: int = 90
    device_code: int = 600
    device_interval: int = 5
    dynamic_client: int = 90 * 86_400


@dataclass(frozen=True, slots=True)
class Config:
    """Everything `create_app` needs. `issuers` are complete issuer URLs, the default one first.

    `store` is a database URL (None: this process's memory); `rotate_keys_seconds` is how long a key signs (0: until
    it is rotated by hand). `conformance_issuer` is the one of the issuers at which confidential clients that send a
    nonce may omit PKCE.
    """

    issuers: tuple[str, ...]
    environment: Mapping[str, str]
    users_file: Path = DEMO_USERS
    clients_file: Path = DEMO_CLIENTS
    audience: str | None = None
    one_click: bool = False
    auto_login: bool = False
    test_endpoints: bool = False
    conformance_issuer: str | None = None
    store: str | None = None
    rotate_keys_seconds: int = 0
    lifetimes: Lifetimes = Lifetimes()
    clock: Clock = time.time

    def __post_init__(self) -> None:
        if self.conformance_issuer is not None and not self.test_endpoints:
            raise ConfigError("--conformance-issuer weakens PKCE, so it needs --test-endpoints")
        for issuer in self.issuers:
            check_issuer(issuer)
        paths = [issuer_path(issuer) for issuer in self.issuers]
        if len(set(paths)) != len(paths):
            raise ConfigError("two issuers have the same path")


def issuer_path(issuer: str) -> str:
    """The path under which the issuer's endpoints are mounted; empty for an issuer without a path."""
    return urlsplit(issuer).path.rstrip("/")


def check_issuer(issuer: str) -> None:
    """Raise `ConfigError` unless the URL can be an issuer identifier (OIDC Discovery §3, RFC 8414 §2)."""
    try:
        parts = urlsplit(issuer)
        host = parts.hostname
        valid = parts.port is None or parts.port > 0
    except ValueError:
        raise ConfigError(f"issuer {issuer!r}: is not a URL") from None
    if parts.scheme not in ("http", "https") or not host or not valid:
        raise ConfigError(f"issuer {issuer!r}: must be an http or https URL")
    if parts.query or parts.fragment or parts.username is not None or "?" in issuer or "#" in issuer:
        raise ConfigError(f"issuer {issuer!r}: must have no query, fragment or user information")
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        raise ConfigError(f"issuer {issuer!r}: plain http is only for a loopback host; use https")
