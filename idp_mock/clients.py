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

from idp_mock.client_keys import jwks_fault
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
ID_TOKEN_ALGORITHMS = ("ES256", "RS256", "EdDSA")
CODE, REFRESH, CLIENT_CREDENTIALS = "authorization_code", "refresh_token", "client_credentials"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  # nosec B105
GRANT_TYPES = (CODE, REFRESH, CLIENT_CREDENTIALS, DEVICE_CODE, TOKEN_EXCHANGE)
CONFIDENTIAL_GRANT_TYPES = frozenset({CLIENT_CREDENTIALS, TOKEN_EXCHANGE})
PRIVATE_KEY_JWT = "private_key_jwt"
SECRET_METHODS = ("client_secret_basic", "client_secret_post")
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Client:
    """One client, with the questions that Authlib's endpoints ask of it (RFC 6749 §2).

    `jwks` is the JSON text of its public keys. `may_introspect` makes it a resource server: it may ask about tokens
    for its `resources`, and not only about its own. `registration_digest` is the digest of the token with which a
    dynamically registered client manages itself.
    """

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
    jwks: str | None = field(default=None, repr=False)
    requires_pushed_request: bool = False
    requires_signed_request: bool = False
    requires_dpop: bool = False
    may_introspect: bool = False
    details_types: tuple[str, ...] = ()
    registered_at: int | None = None
    registration_digest: str | None = field(default=None, repr=False)
    backchannel_logout_uri: str | None = None

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
    """All clients of a file, the words for each scope, and the resource servers that tokens may be for.

    `details_types` are the types of `authorization_details` with their words (RFC 9396). `registration_digest` is
    the digest of the initial access token for dynamic registration; None: there is no registration.
    """

    clients: Mapping[str, Client]
    scopes: Mapping[str, str]
    default_resource: str
    resources: tuple[str, ...]
    details_types: Mapping[str, str] = field(default_factory=dict)
    registration_digest: str | None = field(default=None, repr=False)


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
    details_types = root.table("authorization_details_types").every_text()
    registration_token = root.optional_text("registration_token") or None
    if registration_token is not None and len(registration_token) < MIN_SECRET_LENGTH:
        raise root.fault("registration_token", f"must have at least {MIN_SECRET_LENGTH} characters")
    clients = []
    for table in root.tables("clients"):
        # A client whose secret nobody chose does not exist, so that no default secret has to.
        variable = table.optional_text("when_set")
        if variable is None or environment.get(variable):
            clients.append(_client(table, scopes, resources, tuple(details_types)))
    root.finish()
    by_id = {client.client_id: client for client in clients}
    if len(by_id) != len(clients):
        raise ConfigError(f"{path}: two clients have the same client_id")
    digest = digest_secret(registration_token) if registration_token else None
    return ClientRegistry(by_id, scopes, resources[0], resources, details_types, digest)


def _client(
    table: Table, scopes: Mapping[str, str], resources: tuple[str, ...], details_types: tuple[str, ...]
) -> Client:
    client_id = table.text("client_id")
    confidential = table.choice("type", ("public", "confidential")) == "confidential"
    application_type = table.choice("application_type", ("web", "native"), "web")
    auth_methods = _auth_methods(table, confidential)
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
        auth_methods=auth_methods,
        id_token_alg=table.choice("id_token_signed_response_alg", ID_TOKEN_ALGORITHMS, "ES256"),
        resources=table.texts("resources", resources),
        secret_digest=_secret_digest(table, needs_secret=confidential and auth_methods != (PRIVATE_KEY_JWT,)),
        jwks=_jwks(table, required=auth_methods == (PRIVATE_KEY_JWT,)),
        requires_pushed_request=table.flag("require_pushed_authorization_requests", False),
        requires_signed_request=table.flag("require_signed_request_object", False),
        requires_dpop=table.flag("dpop_bound_access_tokens", False),
        may_introspect=table.flag("may_introspect", False),
        details_types=table.texts("authorization_details_types", ()),
        backchannel_logout_uri=_backchannel_logout_uri(table),
    )
    table.finish()
    _require_known(table, "scopes", client.scopes, tuple(scopes))
    _require_known(table, "grant_types", client.grant_types, GRANT_TYPES)
    _require_known(table, "resources", client.resources, resources)
    _require_known(table, "authorization_details_types", client.details_types, details_types)
    if not confidential and (client.may_introspect or CONFIDENTIAL_GRANT_TYPES & set(client.grant_types)):
        raise table.fault("grant_types", "this needs a confidential client")
    if client.requires_signed_request and client.jwks is None:
        raise table.fault("require_signed_request_object", "needs jwks")
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


def backchannel_uri_fault(uri: str) -> str | None:
    """Why a client may not take logout tokens there: https, or http on this machine (Back-Channel Logout §2.2)."""
    return redirect_uri_fault(uri, "web")


def _backchannel_logout_uri(table: Table) -> str | None:
    key = "backchannel_logout_uri"
    uri = table.optional_text(key)
    if uri is not None and (fault := backchannel_uri_fault(uri)):
        raise table.fault(key, f"{uri!r} {fault}")
    return uri


def _auth_methods(table: Table, confidential: bool) -> tuple[str, ...]:
    if not confidential:
        table.choice("token_endpoint_auth_method", ("none",), "none")
        return ("none",)
    methods = ("any secret", *SECRET_METHODS, PRIVATE_KEY_JWT)
    method = table.choice("token_endpoint_auth_method", methods, "any secret")
    return SECRET_METHODS if method == "any secret" else (method,)


def _jwks(table: Table, *, required: bool) -> str | None:
    text = table.text("jwks") if required else table.optional_text("jwks")
    if text is not None and (fault := jwks_fault(text)):
        raise table.fault("jwks", fault)
    return text


def _secret_digest(table: Table, *, needs_secret: bool) -> str | None:
    secret, stored = table.optional_text("client_secret"), table.optional_text("client_secret_hash")
    if not needs_secret:
        if secret is not None or stored is not None:
            raise table.fault("client_secret", "a public client, or one with private_key_jwt, has no secret")
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
