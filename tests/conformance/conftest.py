"""A provider for clients that nobody here wrote: one registered client for each kind of use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from joserfc.jwk import ECKey

from idp_mock.testing import IdpServer

SECRET = "0123456789abcdef-0123456789_abcdef"
REGISTRATION_TOKEN = "let-me-register-0123456789abcdef-0123"


@dataclass
class Provider:
    """The running provider, its issuer for these tests, and what the clients need to know."""

    idp: IdpServer
    private_jwk: dict[str, Any] = field(repr=False)

    @property
    def issuer(self) -> str:
        return self.idp.issuer

    def setup(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "secret": SECRET,
            "private_jwk": self.private_jwk,
            "registration_token": REGISTRATION_TOKEN,
        }


def _clients(public_jwk: dict[str, Any]) -> str:
    jwks = json.dumps({"keys": [public_jwk]})
    every = '["openid", "profile", "email", "groups", "offline_access", "orders:read"]'
    confidential = f'type = "confidential"\nclient_secret = "{SECRET}"\nconsent = "skip"\n'
    return f"""
default_resource = "https://api.example"
registration_token = "{REGISTRATION_TOKEN}"
[scopes]
"orders:read" = "See your orders"
[[clients]]
client_id = "web"
name = "Web"
{confidential}redirect_uris = ["https://web.example/callback", "https://web.example/callback?kept=1"]
post_logout_redirect_uris = ["https://web.example/bye"]
scopes = {every}
grant_types = ["authorization_code", "refresh_token"]
[[clients]]
client_id = "second"
name = "Second"
{confidential}redirect_uris = ["https://second.example/callback"]
scopes = {every}
grant_types = ["authorization_code", "refresh_token"]
[[clients]]
client_id = "spa"
name = "Browser application"
type = "public"
redirect_uris = ["http://localhost:5173/callback"]
scopes = {every}
grant_types = ["authorization_code", "refresh_token"]
[[clients]]
client_id = "machine"
{confidential}scopes = ["orders:read"]
grant_types = ["client_credentials"]
[[clients]]
client_id = "device"
name = "Television"
type = "public"
scopes = ["openid", "orders:read"]
grant_types = ["urn:ietf:params:oauth:grant-type:device_code"]
[[clients]]
client_id = "signed"
name = "FAPI client"
type = "confidential"
token_endpoint_auth_method = "private_key_jwt"
jwks = '{jwks}'
redirect_uris = ["https://signed.example/callback"]
scopes = {every}
grant_types = ["authorization_code", "refresh_token", "client_credentials"]
consent = "skip"
[[clients]]
client_id = "fapi"
name = "FAPI 2.0 client"
type = "confidential"
token_endpoint_auth_method = "private_key_jwt"
jwks = '{jwks}'
redirect_uris = ["https://fapi.example/callback"]
scopes = {every}
grant_types = ["authorization_code", "refresh_token"]
require_pushed_authorization_requests = true
dpop_bound_access_tokens = true
consent = "skip"
"""


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """The provider, with auto-login and one-click, so that nobody has to sit at a browser."""
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"})
    kid = key.thumbprint()
    file = tmp_path_factory.mktemp("conformance") / "clients.toml"
    file.write_text(_clients({**key.as_dict(private=False), "kid": kid}))
    options = ["--one-click", "--auto-login", "--test-endpoints", "--conformance-issuer", "/op", "--clients", str(file)]
    with IdpServer(options) as server:
        yield Provider(server, {**key.as_dict(private=True), "kid": kid})
