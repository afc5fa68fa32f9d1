"""The issuer's public keys, and their rotation on request of a test (RFC 7517 §5, OIDC Core §10.1.1)."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Flask, Response, jsonify

from idp_mock.endpoints.local_only import read_wish
from idp_mock.issuer import Issuer

_MAX_AGE_SECONDS = 60
_MEMBERS = frozenset({"issuer", "step"})


def add_routes(blueprint: Blueprint, issuer: Issuer) -> None:
    def jwks() -> Response:
        response = jsonify(keys=issuer.keys.public_jwks())
        response.headers["Cache-Control"] = f"public, max-age={_MAX_AGE_SECONDS}"
        return response

    blueprint.add_url_rule(issuer.profile.paths["jwks"], "jwks", jwks)


def add_test_routes(app: Flask, issuers: Mapping[str, Issuer]) -> None:
    """`POST /_test/keys` with `{"issuer": …, "step": "announce" | "rotate"}`: the answer lists the keys' states."""

    def keys() -> tuple[Response, int]:
        wish = read_wish(_MEMBERS)
        issuer = issuers.get(str(wish.get("issuer", next(iter(issuers)))))
        if issuer is None or wish.get("step") not in ("announce", "rotate"):
            return jsonify(error="unknown issuer, or a step that is neither announce nor rotate"), 400
        if wish["step"] == "announce":
            issuer.keys.announce()
        else:
            issuer.keys.rotate()
        states = [
            {"alg": alg, "kid": kid, "state": state, "since": since} for alg, kid, state, since in issuer.keys.states()
        ]
        return jsonify(keys=states), 200

    app.add_url_rule("/_test/keys", "test_keys", keys, methods=["POST"])
