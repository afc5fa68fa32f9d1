"""UserInfo: the claims that the token's scopes allow, for a live token sent in the Authorization header only.

OIDC Core §5.3, RFC 6750 §2.1 and §3, RFC 9449 §7 and §9.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import OAuth2Error
from flask import Blueprint, Response, jsonify, request

from idp_mock import dpop
from idp_mock.issuer import Issuer
from idp_mock.stores.records import AccessToken
from idp_mock.tokens import live_access_token


def add_routes(blueprint: Blueprint, issuer: Issuer) -> None:
    def userinfo() -> Response:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return _challenge(401)
        scheme, _, credential = authorization.partition(" ")
        token = live_access_token(issuer, credential.strip()) if scheme.lower() in ("bearer", "dpop") else None
        if token is not None and (refusal := _key_refusal(issuer, token, scheme.lower(), credential.strip())):
            return refusal
        user = issuer.users.by_sub(token.sub) if token else None
        if token is None or user is None:
            return _challenge(401, "invalid_token", "The access token is malformed, expired or revoked.")
        if "openid" not in token.scopes:
            return _challenge(403, "insufficient_scope", "The access token lacks the scope openid.")
        return _answer({"sub": user.sub, **issuer.profile.user_claims(user, token.scopes)})

    blueprint.add_url_rule(issuer.profile.paths["userinfo"], "userinfo", userinfo, methods=["GET", "POST"])


def _key_refusal(issuer: Issuer, token: AccessToken, scheme: str, credential: str) -> Response | None:
    """The refusal of a token that is bound to a key and not shown with its proof (RFC 9449 §7.1)."""
    if token.dpop_jkt is None:
        is_bound = scheme == "dpop"
        return (
            _challenge(401, "invalid_token", "The token is bound to no key: send it as Bearer.") if is_bound else None
        )
    if scheme != "dpop":
        return _challenge(401, "invalid_token", "The token is bound to a key: send it as DPoP.", scheme="DPoP")
    try:
        url = issuer.endpoint_url("userinfo")
        key = dpop.proof_key(issuer, request.headers, request.method, url, credential)
    except OAuth2Error as error:
        return _with_nonce(issuer, _challenge(401, str(error.error), str(error.description), scheme="DPoP"))
    if key != token.dpop_jkt:
        return _challenge(401, "invalid_token", "The proof is by another key, or missing.", scheme="DPoP")
    return None


def _with_nonce(issuer: Issuer, response: Response) -> Response:
    response.headers["DPoP-Nonce"] = dpop.fresh_nonce(issuer)
    return response


def _answer(claims: dict[str, Any]) -> Response:
    response = jsonify(claims)
    response.headers["Cache-Control"] = "no-store"
    return response


def _challenge(status: int, error: str = "", description: str = "", *, scheme: str = "Bearer") -> Response:
    response = Response(status=status)
    # Without a credential the challenge carries no error (RFC 6750 §3.1).
    detail = f' error="{error}", error_description="{description}"' if error else ' realm="userinfo"'
    response.headers["WWW-Authenticate"] = f"{scheme}{detail}"
    response.headers["Cache-Control"] = "no-store"
    return response
