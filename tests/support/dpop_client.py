"""A client that sends DPoP proofs as RFC 9449 asks, with `cryptography` alone, and takes up a nonce when asked."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from typing import Any

import requests
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.shop import Shop


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class DpopClient:
    """One key, and the last nonce that the API handed out."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.nonce: str | None = None
        self._key = ec.generate_private_key(ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        self.jwk = {
            "crv": "P-256",
            "kty": "EC",
            "x": b64(numbers.x.to_bytes(32, "big")),
            "y": b64(numbers.y.to_bytes(32, "big")),
        }
        self.thumbprint = b64(hashlib.sha256(json.dumps(self.jwk, separators=(",", ":")).encode()).digest())

    def proof(self, method: str, url: str, token: str, **claims: Any) -> str:
        """A fresh proof; `claims` replace members, None leaves one out."""
        body = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "ath": b64(hashlib.sha256(token.encode()).digest()),
            "nonce": self.nonce,
            **claims,
        }
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk}
        payload = {name: value for name, value in body.items() if value is not None}
        message = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(payload).encode())}"
        r, s = decode_dss_signature(self._key.sign(message.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{message}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def send(
        self, method: str, path: str, token: str, proof: str, *, scheme: str = "DPoP", **options: Any
    ) -> requests.Response:
        """One request with exactly this proof."""
        headers = {"Authorization": f"{scheme} {token}", "DPoP": proof, **options.pop("headers", {})}
        return self.shop.call(method, path, headers=headers, **options)

    def call(self, method: str, path: str, token: str, **options: Any) -> requests.Response:
        """One request with a fresh proof, sent again with the nonce if the API asks for one."""
        claims = options.pop("claims", {})
        url = self.shop.api + path
        answer = self.send(method, path, token, self.proof(method, url, token, **claims), **options)
        if "DPoP-Nonce" in answer.headers:
            self.nonce = answer.headers["DPoP-Nonce"]
            answer = self.send(method, path, token, self.proof(method, url, token, **claims), **options)
        return answer
