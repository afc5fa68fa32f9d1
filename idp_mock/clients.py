"""The registered clients and the scopes they may ask for, read from the clients file.

Client secrets are kept as SHA-256 digests: they are random strings of at least 32 characters, so a slow
password hash would add time and no strength.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from idp_mock.redirect_uris import redirect_uri_fault, redirect_uri_matches
from idp_mock.toml_file import ConfigError, Table, load_toml

MIN_SECRET_LENGTH = 32
STANDARD_SCOPES: Mapping[str, str] = {
    "openid": "Know that it is you",
    "profile": "See your name",
    "email": "See your email address",
    "groups": "See the groups you belong to",
    "offline_access": "Keep this access when you are away",
}
ID_TOKEN_ALGORITHMS = ("ES256", "RS256")
GRANT_TYPES = ("authorization_code", "refresh_token")
_SECRET_METHODS = ("client_secret_basic", "client_secret_post")
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Client:
    """One client, with the questions that Authlib's endpoints ask of it (RFC 6749 §2)."""

    client_id: str
    name: str
    confidential: bool
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    grant_types: tuple[str, ...]
    application_type: str
    skips_consent: bool
    auth_methods: tuple[str, ...]
    id_token_alg: str
    resources: tuple[str, ...]
    secret_digest: str | None = field(default=None, repr=False)

    def allows_redirect_to(self, uri: str) -> bool:
        return redirect_uri_matches(uri, self.redirect_uris, self.application_type)

    def check_client_secret(self, secret: str) -> bool:
        """Compare in constant time against the stored digest."""
        return self.secret_digest is not None and hmac.compare_digest(self.secret_digest, digest_secret(secret))

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grant_types

    @property
    def client_metadata(self) -> dict[str, list[str]]:
        """The registration members that Authlib's end-session endpoint reads."""
        return {"post_logout_redirect_uris": list(self.post_logout_redirect_uris)}


@dataclass(frozen=True, slots=True)
class ClientRegistry:
    """All clients of a file, the words for each scope, and the resource servers that tokens may be for."""

    clients: Mapping[str, Client]
    scopes: Mapping[str, str]
    default_resource: str
    resources: tuple[str, ...]


def digest_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def load_clients(path: Path, environment: Mapping[str, str], audience: str | None = None) -> ClientRegistry:
    """Read and validate the clients file, or raise `ConfigError`. `audience` overrides its `default_resource`."""
    root = Table(load_toml(path), str(path), environment)
    default_resource = root.text("default_resource")
    resources = tuple(dict.fromkeys((audience or default_resource, *root.texts("resources", ()))))
    scope_table = root.table("scopes")
    scopes = {**STANDARD_SCOPES, **scope_table.every_text()}
    for scope in scopes:
        if not _SCOPE_TOKEN.fullmatch(scope):
            raise scope_table.fault(scope, "is not a scope name (RFC 6749 §3.3)")
    clients = [_client(table, scopes, resources) for table in root.tables("clients")]
    root.finish()
    by_id = {client.client_id: client for client in clients}
    if len(by_id) != len(clients):
        raise ConfigError(f"{path}: two clients have the same client_id")
    return ClientRegistry(by_id, scopes, resources[0], resources)


def _client(table: Table, scopes: Mapping[str, str], resources: tuple[str, ...]) -> Client:
    client_id = table.text("client_id")
    confidential = table.choice("type", ("public", "confidential")) == "confidential"
    application_type = table.choice("application_type", ("web", "native"), "web")
    client = Client(
        client_id=client_id,
        name=table.text("name", client_id),
        confidential=confidential,
        redirect_uris=_uris(table, "redirect_uris", application_type),
        post_logout_redirect_uris=_uris(table, "post_logout_redirect_uris", application_type),
        scopes=table.texts("scopes"),
        grant_types=table.texts("grant_types", ("authorization_code",)),
        application_type=application_type,
        skips_consent=table.choice("consent", ("ask", "skip"), "ask") == "skip",
        auth_methods=_auth_methods(table, confidential),
        id_token_alg=table.choice("id_token_signed_response_alg", ID_TOKEN_ALGORITHMS, "ES256"),
        resources=table.texts("resources", resources),
        secret_digest=_secret_digest(table, confidential),
    )
    table.finish()
    _require_known(table, "scopes", client.scopes, tuple(scopes))
    _require_known(table, "grant_types", client.grant_types, GRANT_TYPES)
    _require_known(table, "resources", client.resources, resources)
    if "authorization_code" in client.grant_types and not client.redirect_uris:
        raise table.fault("redirect_uris", "is required for the authorization_code grant")
    if "offline_access" in client.scopes and "refresh_token" not in client.grant_types:
        raise table.fault("scopes", "offline_access needs the refresh_token grant type")
    return client


def _require_known(table: Table, key: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    for value in values:
        if value not in known:
            raise table.fault(key, f"{value!r} is not one of {', '.join(known)}")


def _uris(table: Table, key: str, application_type: str) -> tuple[str, ...]:
    uris = table.texts(key, ())
    for uri in uris:
        if fault := redirect_uri_fault(uri, application_type):
            raise table.fault(key, f"{uri!r} {fault}")
    return uris


def _auth_methods(table: Table, confidential: bool) -> tuple[str, ...]:
    if not confidential:
        table.choice("token_endpoint_auth_method", ("none",), "none")
        return ("none",)
    method = table.choice("token_endpoint_auth_method", ("any secret", *_SECRET_METHODS), "any secret")
    return _SECRET_METHODS if method == "any secret" else (method,)


def _secret_digest(table: Table, confidential: bool) -> str | None:
    secret, stored = table.optional_text("client_secret"), table.optional_text("client_secret_hash")
    if not confidential:
        if secret is not None or stored is not None:
            raise table.fault("client_secret", "a public client has no secret")
        return None
    if (secret is None) == (stored is None):
        raise table.fault("client_secret", "a confidential client needs client_secret or client_secret_hash, not both")
    if stored is not None:
        if not _DIGEST.fullmatch(stored):
            raise table.fault("client_secret_hash", "must be 'sha256:' and 64 hexadecimal digits")
        return stored.removeprefix("sha256:")
    if secret is None or len(secret) < MIN_SECRET_LENGTH or not re.fullmatch(r"[\x20-\x7e]+", secret):
        raise table.fault(
            "client_secret", f"must be at least {MIN_SECRET_LENGTH} printable ASCII characters, chosen at random"
        )
    return digest_secret(secret)
