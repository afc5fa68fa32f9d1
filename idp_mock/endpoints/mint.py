"""Signs whatever a test asks for, so that a test can hold a token that no honest issuer would make.

Mounted only with `--test-endpoints`, and then answers only requests from this machine that name it: a page in a
browser elsewhere cannot reach it by rebinding a host name (the Host check) or by a form (JSON only, no CORS).

`POST /_test/tokens` with a JSON object; every member may be left out:

- `issuer`: the issuer that signs, exactly as in its metadata. Default: the first issuer.
- `claims`: merged over `iss`, `aud` (the API), `iat`, `exp` (in 300 s) and a random `jti`; `null` removes one.
- `header`: merged over `alg` (ES256; RS256 works too), `typ` (at+jwt) and `kid`; `null` removes one.
- `key`: `current`; `unknown`, a key that is not in the JWKS; `none`, no signature and `alg` none; `hmac-public`,
  HS256 keyed with the public key's PEM.

The answer is `{"token": "..."}`. Nothing is remembered: UserInfo does not know these tokens.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, jsonify, request

from idp_mock.config import LOOPBACK_HOSTS
from idp_mock.issuer import Issuer
from idp_mock.keys import SIGNING_ALGORITHMS, SigningKey, signature
from idp_mock.stores import new_secret

_MEMBERS = frozenset({"issuer", "claims", "header", "key"})
_KEYS = ("current", "unknown", "none", "hmac-public")


def add_routes(app: Flask, issuers: Mapping[str, Issuer]) -> None:
    def tokens() -> tuple[Response, int]:
        if request.remote_addr not in LOOPBACK_HOSTS or _host_name(request.host) not in LOOPBACK_HOSTS:
            return jsonify(error="only from this machine"), 403
        wish = request.get_json(silent=True) if request.is_json else None
        if not isinstance(wish, dict):
            return jsonify(error="send a JSON object"), 400
        if unknown := sorted(set(wish) - _MEMBERS):
            return jsonify(error=f"unknown members: {', '.join(unknown)}"), 400
        issuer = issuers.get(str(wish.get("issuer", next(iter(issuers)))))
        claims, header, key = wish.get("claims", {}), wish.get("header", {}), wish.get("key", "current")
        if issuer is None or key not in _KEYS or not isinstance(claims, dict) or not isinstance(header, dict):
            return jsonify(error="unknown issuer or key, or claims or header is not an object"), 400
        return jsonify(token=_token(issuer, claims, header, key)), 200

    app.add_url_rule("/_test/tokens", "test_tokens", tokens, methods=["POST"])


def _host_name(host: str) -> str:
    return host.removeprefix("[").partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _token(issuer: Issuer, claims: Mapping[str, Any], header: Mapping[str, Any], key: str) -> str:
    now = issuer.now()
    usual_claims = {
        "iss": issuer.url,
        "aud": issuer.registry.default_resource,
        "iat": now,
        "exp": now + issuer.lifetimes.access_token,
        "jti": new_secret(),
    }
    payload = json.dumps(_merged(usual_claims, claims)).encode()
    alg = header.get("alg", "ES256")
    signing_key = issuer.keys.current(alg if alg in SIGNING_ALGORITHMS else "ES256")
    usual_header = {"alg": signing_key.alg, "typ": issuer.profile.access_token_typ, "kid": signing_key.kid}
    if key == "none":
        return f"{_encoded(_merged({**usual_header, 'alg': 'none', 'kid': None}, header), payload)}."
    if key == "hmac-public":
        text = _encoded(_merged({**usual_header, "alg": "HS256"}, header), payload)
        mac = hmac.new(signing_key.jwk.as_pem(private=False), text.encode(), hashlib.sha256).digest()
        return f"{text}.{_base64url(mac)}"
    if key == "unknown":
        signing_key = SigningKey.generate(signing_key.alg)
        usual_header["kid"] = signing_key.kid
    text = _encoded(_merged(usual_header, header), payload)
    return f"{text}.{_base64url(signature(signing_key, text.encode()))}"


def _merged(usual: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**usual, **wanted}.items() if value is not None}


def _encoded(header: Mapping[str, Any], payload: bytes) -> str:
    return f"{_base64url(json.dumps(header).encode())}.{_base64url(payload)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
