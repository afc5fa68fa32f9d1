"""The same access token, checked by this API and by its peers, each set up as its documentation says."""

from __future__ import annotations

import base64
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt as pyjwt
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from flask import Flask
from flask_jwt_extended import JWTManager, decode_token
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from secure_api.credentials.access_tokens import AccessTokenVerifier
from secure_api.credentials.issuer_keys import issuer_keys_of
from secure_api.credentials.providers import load_providers
from secure_api.db import utc_now

ISSUER = "https://issuer.example"
AUDIENCE = "https://api.example"
ALGORITHMS = ("RS256", "ES256")

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

RAW = "cryptography, signature alone"
COLD = "secure-api, first time"
CACHED = "secure-api, seen before"
JOSERFC = "joserfc"

_PROVIDERS = f"""
[providers.issuer]
issuer = "{ISSUER}"
profile = "rfc9068"
audiences = ["{AUDIENCE}"]
[providers.issuer.key_cache]
ttl_seconds = 86400
"""


class _Documents:
    """The issuer's two documents, as its endpoints would send them."""

    def __init__(self, jwk: Mapping[str, Any]) -> None:
        self._jwk = jwk

    def get_json(self, url: str) -> Mapping[str, Any]:
        if url.endswith("/keys"):
            return {"keys": [self._jwk]}
        endpoints = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return {"issuer": ISSUER, **{name: f"{ISSUER}{path}" for name, path in endpoints.items()}}


def subjects(algorithm: str) -> dict[str, Callable[[], object]]:
    """Every subject by name: a call without arguments that checks the one token and raises where it is wrong."""
    key: PrivateKey
    key = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
    token = _token(algorithm, key)
    jwk = _jwk(algorithm, key)
    return {
        RAW: _raw(token, key),
        COLD: _ours_for_the_first_time(token, jwk),
        CACHED: _ours(token, jwk),
        JOSERFC: _joserfc(token, jwk, algorithm),
        "PyJWT": _pyjwt(token, key, algorithm),
        "Authlib, JWTBearerTokenValidator": _authlib(token, jwk),
        "flask-jwt-extended": _flask_jwt_extended(token, key, algorithm),
    }


def _token(algorithm: str, key: PrivateKey) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "usr_01J9ALICE7Q2M",
        "client_id": "example-cli",
        "scope": "orders:read orders:write products:read",
        "groups": ["shop-customers"],
        "jti": "0192f0c6-7d6e-7c3a-9f0e-7d1a5f4b2c11",
        "iat": now,
        "exp": now + 3600,
        "auth_time": now - 60,
        "acr": "mfa",
    }
    header = {"alg": algorithm, "kid": "key-1", "typ": "at+jwt"}
    message = ".".join(_b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        r, s = decode_dss_signature(key.sign(message.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{message}.{_b64(signature)}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _jwk(algorithm: str, key: PrivateKey) -> dict[str, Any]:
    named = {"kid": "key-1", "alg": algorithm, "use": "sig"}
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {**named, "kty": "RSA", "n": _b64(numbers.n.to_bytes(256, "big")), "e": "AQAB"}
    point = key.public_key().public_numbers()
    return {
        **named,
        "kty": "EC",
        "crv": "P-256",
        "x": _b64(point.x.to_bytes(32, "big")),
        "y": _b64(point.y.to_bytes(32, "big")),
    }


def _raw(token: str, key: PrivateKey) -> Callable[[], object]:
    """The least that any check can cost: the signature, with everything else ready. DER form for ES256."""
    message = token.rpartition(".")[0].encode()
    if isinstance(key, rsa.RSAPrivateKey):
        rsa_public, scheme, digest = key.public_key(), padding.PKCS1v15(), hashes.SHA256()
        signature = key.sign(message, scheme, digest)
        return lambda: rsa_public.verify(signature, message, scheme, digest)
    ec_public, curve_scheme = key.public_key(), ec.ECDSA(hashes.SHA256())
    der = key.sign(message, curve_scheme)
    return lambda: ec_public.verify(der, message, curve_scheme)


def _verifier(jwk: Mapping[str, Any]) -> AccessTokenVerifier:
    """All checks of the RFC 9068 profile, with the issuer's keys fetched at the first call and then in hand."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "providers.toml"
        path.write_text(_PROVIDERS)
        registry = load_providers(path, {})
    client: Any = _Documents(jwk)
    return AccessTokenVerifier(registry, issuer_keys_of(registry, lambda _: client), utc_now)


def _ours(token: str, jwk: Mapping[str, Any]) -> Callable[[], object]:
    verifier = _verifier(jwk)
    return lambda: verifier.verify_access_token(token)


def _ours_for_the_first_time(token: str, jwk: Mapping[str, Any]) -> Callable[[], object]:
    """The verifier forgets the token before each check, which counts as well (about 1.5 µs); then it keeps it."""
    verifier = _verifier(jwk)

    def check() -> None:
        verifier.forget(token)
        verifier.verify_access_token(token)

    return check


def _joserfc(token: str, jwk: Mapping[str, Any], algorithm: str) -> Callable[[], object]:
    """Signature and parsing alone: `decode` checks no claim."""
    key = RSAKey.import_key(dict(jwk)) if algorithm == "RS256" else ECKey.import_key(dict(jwk))
    return lambda: joserfc_jwt.decode(token, key, algorithms=[algorithm])


def _pyjwt(token: str, key: PrivateKey, algorithm: str) -> Callable[[], object]:
    public = key.public_key()
    required = ["exp", "iat", "sub", "aud", "iss", "jti", "client_id"]
    return lambda: pyjwt.decode(
        token, public, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER, options={"require": required}
    )


def _authlib(token: str, jwk: Mapping[str, Any]) -> Callable[[], object]:
    keys = KeySet.import_key_set({"keys": [dict(jwk)]})

    class Validator(JWTBearerTokenValidator):  # type: ignore[misc]
        def get_jwks(self) -> KeySet:
            return keys

    validator = Validator(ISSUER, AUDIENCE)

    def check() -> None:
        validator.validate_token(validator.authenticate_token(token), None, None)

    return check


def _flask_jwt_extended(token: str, key: PrivateKey, algorithm: str) -> Callable[[], object]:
    """The key stands in the configuration as PEM text, as documented; it is read again at every check."""
    app = Flask("peer")
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    app.config.update(
        JWT_ALGORITHM=algorithm,
        JWT_DECODE_ALGORITHMS=[algorithm],
        JWT_PUBLIC_KEY=pem.decode(),
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_ISSUER=ISSUER,
    )
    JWTManager(app)
    app.app_context().push()
    return lambda: decode_token(token)
