"""Makes tokens that no honest issuer would, for the test endpoints: any header, any claims, a right or wrong key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from idp_mock.issuer import Issuer
from idp_mock.keys import SigningKey, signature

KEYS = ("current", "unknown", "none", "hmac-public")


@dataclass
class Forgery:
    """A token before it is signed. `key` is one of `KEYS`; a header or claim that is None is left out."""

    header: dict[str, Any]
    claims: dict[str, Any]
    key: str = "current"

    def signed(self, issuer: Issuer) -> str:
        """The compact token. A wrong key is announced under the `kid` that the header has."""
        header, payload = present(self.header), json.dumps(present(self.claims)).encode()
        if self.key == "none":
            return f"{_encoded({**header, 'alg': 'none'}, payload)}."
        key = signing_key(issuer, header.get("alg"))
        if self.key == "hmac-public":
            text = _encoded({**header, "alg": "HS256"}, payload)
            mac = hmac.new(key.jwk.as_pem(private=False), text.encode(), hashlib.sha256).digest()
            return f"{text}.{base64url(mac)}"
        if self.key == "unknown":
            key = SigningKey.generate(key.alg)
        text = _encoded(header, payload)
        return f"{text}.{base64url(signature(key, text.encode()))}"


def signing_key(issuer: Issuer, alg: object) -> SigningKey:
    """The issuer's key for `alg`, or its usual one when it has none."""
    profile = issuer.profile
    return issuer.keys.current(str(alg) if alg in profile.signing_algorithms else profile.access_token_alg)


def opened(token: str) -> Forgery | None:
    """The parts of a compact token, unverified; None for an opaque one."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts[:2])
    except ValueError:
        return None
    return Forgery(header, claims) if isinstance(header, dict) and isinstance(claims, dict) else None


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _encoded(header: Mapping[str, Any], payload: bytes) -> str:
    return f"{base64url(json.dumps(header).encode())}.{base64url(payload)}"
