"""An issuer that signs whatever it is told: well-formed tokens, and every forgery of the attack table.

It signs with `cryptography` alone, so that a fault of the code under test cannot hide in its own tests.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from secure_api.credentials.access_tokens import AccessTokenVerifier
from secure_api.credentials.issuer_keys import issuer_keys_of
from secure_api.credentials.providers import load_providers
from secure_api.errors import OutboundFailed

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
AUDIENCE = "https://api.example"
MOCK = "https://mock.example"
OKTA = "https://okta.example/oauth2/default"
KEYCLOAK = "https://sso.example/realms/shop"
GOOGLE = "https://accounts.google.com"

PROVIDERS = f"""
[providers.mock]
issuer = "{MOCK}"
profile = "rfc9068"
audiences = ["{AUDIENCE}"]
client_id = "shop-web"

[providers.okta]
issuer = "{OKTA}"
profile = "okta"
audiences = ["{AUDIENCE}"]

[providers.keycloak]
issuer = "{KEYCLOAK}"
profile = "oidc"
audiences = ["{AUDIENCE}"]
groups_claim = ["realm_access", "roles"]
[providers.keycloak.access_tokens]
fixed_claims = {{typ = "Bearer"}}

[providers.google]
issuer = "{GOOGLE}"
profile = "login-only"
client_id = "google-client"
"""


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, size: int | None = None) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """One 2048-bit key per name and test process."""
    return rsa.generate_private_key(65537, 2048)


@functools.cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """One P-256 key per name and test process."""
    return ec.generate_private_key(ec.SECP256R1())


def rsa_jwk(name: str, key_id: str, **extra: Any) -> dict[str, Any]:
    numbers = rsa_key(name).public_key().public_numbers()
    return {"kty": "RSA", "kid": key_id, "n": number(numbers.n), "e": number(numbers.e), **extra}


def ec_jwk(name: str, key_id: str, **extra: Any) -> dict[str, Any]:
    numbers = ec_key(name).public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "kid": key_id, "x": number(numbers.x, 32), "y": number(numbers.y, 32), **extra}


def public_pem(name: str) -> bytes:
    return (
        rsa_key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def sign_rs256(message: bytes, key: str) -> bytes:
    return rsa_key(key).sign(message, padding.PKCS1v15(), hashes.SHA256())


def sign_es256(message: bytes, key: str) -> bytes:
    r, s = decode_dss_signature(ec_key(key).sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def compact(header: bytes | Mapping[str, Any], payload: bytes | Mapping[str, Any], key: str = "mock") -> str:
    """A token over exactly these bytes, signed with the RSA key of this name."""
    parts = [b64(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, payload)]
    message = ".".join(parts)
    return f"{message}.{b64(sign_rs256(message.encode(), key))}"


def without(members: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in names}


HEADER: dict[str, Any] = {"alg": "RS256", "kid": "mock-rsa", "typ": "at+jwt"}
CLAIMS: dict[str, Any] = {
    "iss": MOCK,
    "aud": AUDIENCE,
    "sub": "alice",
    "client_id": "shop-cli",
    "scope": "orders:read products:read",
    "groups": ["shop-customers"],
    "jti": "token-1",
    "iat": SECONDS - 10,
    "exp": SECONDS + 300,
    "auth_time": SECONDS - 60,
    "acr": "pwd",
}
# Shape of an Okta access token: developer.okta.com, "Access token payload" of a custom authorization server.
OKTA_HEADER: dict[str, Any] = {"alg": "RS256", "kid": "okta-rsa"}
OKTA_CLAIMS: dict[str, Any] = {
    "ver": 1,
    "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
    "iss": OKTA,
    "aud": AUDIENCE,
    "sub": "alice@example.com",
    "iat": SECONDS - 10,
    "exp": SECONDS + 3600,
    "cid": "nmdP1fcyvdVO11AL7ECm",
    "uid": "00ujmkLgagxeRrAg20g3",
    "scp": ["openid", "orders:read"],
    "groups": ["shop-managers"],
}
KEYCLOAK_HEADER: dict[str, Any] = {"alg": "RS256", "kid": "keycloak-rsa", "typ": "JWT"}
KEYCLOAK_CLAIMS: dict[str, Any] = {
    "iss": KEYCLOAK,
    "aud": ["account", AUDIENCE],
    "sub": "8f0e4f5c-0000-4000-8000-000000000001",
    "typ": "Bearer",
    "azp": "shop-web",
    "jti": "5d2c",
    "iat": SECONDS - 10,
    "exp": SECONDS + 300,
    "realm_access": {"roles": ["shop-customer"]},
    "scope": "openid orders:read",
}
# Shape of a Google ID token: developers.google.com, "OpenID Connect: Obtain user information from the ID token".
GOOGLE_HEADER: dict[str, Any] = {"alg": "RS256", "kid": "google-rsa", "typ": "JWT"}
GOOGLE_CLAIMS: dict[str, Any] = {
    "iss": GOOGLE,
    "azp": "google-client",
    "aud": "google-client",
    "sub": "110169484474386276334",
    "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q",
    "hd": "example.com",
    "email": "alice@example.com",
    "email_verified": True,
    "iat": SECONDS - 10,
    "exp": SECONDS + 3590,
    "nonce": "n-1",
}

JWKS: dict[str, list[dict[str, Any]]] = {
    MOCK: [rsa_jwk("mock", "mock-rsa"), ec_jwk("mock", "mock-ec", alg="ES256", use="sig")],
    OKTA: [rsa_jwk("okta", "okta-rsa", alg="RS256", use="sig")],
    KEYCLOAK: [rsa_jwk("keycloak", "keycloak-rsa", alg="RS256")],
    GOOGLE: [rsa_jwk("google", "google-rsa", alg="RS256", use="sig")],
}


class DocumentClient:
    """Serves metadata and keys from memory and notes every address that was asked for."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.documents: dict[str, dict[str, Any]] = {}
        for issuer, keys in JWKS.items():
            self.documents[f"{issuer}/.well-known/openid-configuration"] = {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/keys",
            }
            self.documents[f"{issuer}/keys"] = {"keys": keys}

    def get_json(self, url: str) -> dict[str, Any]:
        self.fetched.append(url)
        if url not in self.documents:
            raise OutboundFailed(log_detail=f"GET {url}: status 404")
        return self.documents[url]


def verifier(folder: Path, client: DocumentClient) -> AccessTokenVerifier:
    """A verifier over the four providers above, at the fixed time NOW."""
    path = folder / "providers.toml"
    path.write_text(PROVIDERS)
    registry = load_providers(path, {})
    keys = issuer_keys_of(registry, lambda _: client, lambda: 0.0)  # type: ignore[arg-type,return-value]
    return AccessTokenVerifier(registry, keys, lambda: NOW)
