"""Signs whatever a test asks for, so that a test can hold a token that no honest issuer would make.

Mounted only with `--test-endpoints`, and then answers only requests from this machine that name it: a page in a
browser elsewhere cannot reach it by rebinding a host name (the Host check) or by a form (JSON only, no CORS).

`POST /_test/tokens` with a JSON object; every member may be left out:

- `issuer`: the issuer that signs, exactly as in its metadata. Default: the first issuer.
- `claims`: merged over `iss`, `aud` (the API), `iat`, `exp` (in 300 s) and a random `jti`; `null` removes one.
- `header`: merged over `alg` (the issuer's own; RS256 works too), `typ` (at+jwt) and `kid`; `null` removes one.
- `key`: `current`; `unknown`, a key that is not in the JWKS; `none`, no signature and `alg` none; `hmac-public`,
  HS256 keyed with the public key's PEM.

The answer is `{"token": "..."}`. Nothing is remembered: UserInfo does not know these tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, jsonify

from idp_mock.endpoints.local_only import read_wish
from idp_mock.forging import KEYS, Forgery, signing_key
from idp_mock.issuer import Issuer
from idp_mock.keys import SigningKey
from idp_mock.stores import new_secret

_MEMBERS = frozenset({"issuer", "claims", "header", "key"})


def add_routes(app: Flask, issuers: Mapping[str, Issuer]) -> None:
    def tokens() -> tuple[Response, int]:
        wish = read_wish(_MEMBERS)
        issuer = issuers.get(str(wish.get("issuer", next(iter(issuers)))))
        claims, header, key = wish.get("claims", {}), wish.get("header", {}), wish.get("key", "current")
        if issuer is None or key not in KEYS or not isinstance(claims, dict) or not isinstance(header, dict):
            return jsonify(error="unknown issuer or key, or claims or header is not an object"), 400
        return jsonify(token=_token(issuer, claims, header, key)), 200

    app.add_url_rule("/_test/tokens", "test_tokens", tokens, methods=["POST"])


def _token(issuer: Issuer, claims: Mapping[str, Any], header: Mapping[str, Any], key: str) -> str:
    now = issuer.now()
    usual_claims = {
        "iss": issuer.url,
        "aud": issuer.registry.default_resource,
        "iat": now,
        "exp": now + issuer.lifetimes.access_token,
        "jti": new_secret(),
    }
    current = signing_key(issuer, header.get("alg"))
    if key == "unknown":
        kid: str | None = SigningKey.generate(current.alg).kid
    else:
        kid = None if key == "none" else current.kid
    usual_header = {"alg": current.alg, "typ": issuer.profile.access_token_typ, "kid": kid}
    return Forgery({**usual_header, **header}, {**usual_claims, **claims}, key).signed(issuer)
