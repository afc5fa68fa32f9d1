"""UserInfo: the claims that the token's scopes allow, for a live token sent in the Authorization header only.

OIDC Core §5.3, RFC 6750 §2.1 and §3.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from idp_mock.issuer import Issuer
from idp_mock.stores import fingerprint
from idp_mock.stores.records import AccessToken
from idp_mock.tokens import grant_is_live


def add_routes(blueprint: Blueprint, issuer: Issuer) -> None:
    def userinfo() -> Response:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return _challenge(401)
        scheme, _, credential = authorization.partition(" ")
        token = live_access_token(issuer, credential.strip()) if scheme.lower() == "bearer" else None
        user = issuer.users.by_sub(token.sub) if token else None
        if token is None or user is None:
            return _challenge(401, "invalid_token", "The access token is malformed, expired or revoked.")
        if "openid" not in token.scopes:
            return _challenge(403, "insufficient_scope", "The access token lacks the scope openid.")
        return _answer({"sub": user.sub, **issuer.profile.user_claims(user, token.scopes)})

    blueprint.add_url_rule(issuer.profile.paths["userinfo"], "userinfo", userinfo, methods=["GET", "POST"])


def live_access_token(issuer: Issuer, token: str) -> AccessToken | None:
    """What this issuer remembers of an access token that it signed, that has not expired and is not revoked."""
    claims = issuer.keys.verify(token, issuer.profile.access_token_typ)
    if claims is None or claims.get("iss") != issuer.url or not _is_current(claims, issuer.now()):
        return None
    record = issuer.stores.access_tokens.get(fingerprint(str(claims.get("jti"))))
    return record if record and grant_is_live(issuer, record.grant_id) else None


def _is_current(claims: dict[str, Any], now: int) -> bool:
    expires_at = claims.get("exp")
    return isinstance(expires_at, int) and expires_at > now


def _answer(claims: dict[str, Any]) -> Response:
    response = jsonify(claims)
    response.headers["Cache-Control"] = "no-store"
    return response


def _challenge(status: int, error: str = "", description: str = "") -> Response:
    response = Response(status=status)
    # Without a credential the challenge carries no error (RFC 6750 §3.1).
    detail = f' error="{error}", error_description="{description}"' if error else ' realm="userinfo"'
    response.headers["WWW-Authenticate"] = f"Bearer{detail}"
    response.headers["Cache-Control"] = "no-store"
    return response
