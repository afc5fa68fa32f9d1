"""Dynamic client registration and its management (RFC 7591, RFC 7592): only with a token, handed out beforehand.

Secrets and registration tokens are shown once and kept as digests, so a client that reads its registration gets back
the token it showed, and no secret.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.errors import InvalidClientError
from flask import Blueprint, Response, jsonify, request

from idp_mock.clients import SECRET_METHODS, Client, digest_secret
from idp_mock.issuer import Issuer
from idp_mock.registration import InvalidClientMetadataError, metadata_of, read_metadata
from idp_mock.stores import new_secret
from idp_mock.tokens import revoke_grant

_MANAGED_BY_SERVER = ("registration_access_token", "registration_client_uri", "client_secret_expires_at")


def add_routes(blueprint: Blueprint, issuer: Issuer) -> None:
    """Nothing at all, unless the clients file has a `registration_token`."""
    if issuer.registry.registration_digest is None:
        return
    path = issuer.profile.paths["register"]

    def create() -> Response:
        _require_token(issuer.registry.registration_digest)
        client = read_metadata(issuer.registry, f"dyn-{secrets.token_urlsafe(16)}", _json_body())
        secret = new_secret() if set(client.auth_methods) <= set(SECRET_METHODS) else None
        token = new_secret()
        client = replace(
            client,
            secret_digest=digest_secret(secret) if secret else None,
            registered_at=issuer.now(),
            registration_digest=digest_secret(token),
        )
        _keep(issuer, client)
        credentials = {"client_secret": secret, "client_secret_expires_at": 0} if secret else {}  # nosec B105
        return _answer(issuer, client, token, 201, credentials)

    def read(client_id: str) -> Response:
        return _answer(issuer, *_authenticated(issuer, client_id))

    def update(client_id: str) -> Response:
        client, token = _authenticated(issuer, client_id)
        wish = _json_body()
        if wish.get("client_id") != client_id or any(name in wish for name in _MANAGED_BY_SERVER):
            raise InvalidClientMetadataError("Send the 'client_id', and nothing that the server manages.")
        secret = wish.get("client_secret")
        if secret is not None and not (isinstance(secret, str) and client.check_client_secret(secret)):
            raise InvalidClientMetadataError("The 'client_secret' is not the current one.")
        updated = read_metadata(issuer.registry, client_id, wish)
        if updated.auth_methods != client.auth_methods:
            raise InvalidClientMetadataError("The authentication method stays: register a new client.")
        client = replace(
            updated,
            secret_digest=client.secret_digest,
            registered_at=client.registered_at,
            registration_digest=client.registration_digest,
        )
        _keep(issuer, client)
        return _answer(issuer, client, token)

    def delete(client_id: str) -> Response:
        client, _ = _authenticated(issuer, client_id)
        issuer.stores.clients.remove(client.client_id)
        for grant_id, grant in issuer.stores.grants.with_prefix(""):
            if grant.client_id == client.client_id:
                revoke_grant(issuer, grant_id)
        return Response(status=204)

    blueprint.add_url_rule(path, "register", _answering(create), methods=["POST"])
    for method, view in (("GET", read), ("PUT", update), ("DELETE", delete)):
        rule, name = f"{path}/<client_id>", f"registration_{view.__name__}"
        blueprint.add_url_rule(rule, name, _answering(view), methods=[method])


def _answering(view: Callable[..., Response]) -> Callable[..., Response]:
    def answer(**values: str) -> Response:
        try:
            response = view(**values)
        except OAuth2Error as error:
            response = jsonify(dict(error.get_body()))
            response.status_code = error.status_code
            if error.status_code == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
        response.headers["Cache-Control"] = "no-store"
        return response

    return answer


def _require_token(digest: str | None) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or digest is None or not hmac.compare_digest(digest, digest_secret(token.strip())):
        raise InvalidClientError("The registration needs its token.", status_code=401)
    return token.strip()


def _authenticated(issuer: Issuer, client_id: str) -> tuple[Client, str]:
    client = issuer.stores.clients.get(client_id)
    # An unknown client is answered like a wrong token (RFC 7592 §2.1).
    token = _require_token(client.registration_digest if client else None)
    if client is None:
        raise InvalidClientError("The registration needs its token.", status_code=401)
    return client, token


def _json_body() -> dict[str, Any]:
    body = request.get_json(silent=True) if request.is_json else None
    if not isinstance(body, dict):
        raise InvalidClientMetadataError("Send a JSON object.")
    return body


def _keep(issuer: Issuer, client: Client) -> None:
    issuer.stores.clients.put(client.client_id, client, issuer.lifetimes.dynamic_client)


def _answer(
    issuer: Issuer, client: Client, token: str, status: int = 200, credentials: dict[str, Any] | None = None
) -> Response:
    response = jsonify(
        {
            **metadata_of(client),
            **(credentials or {}),
            "registration_access_token": token,
            "registration_client_uri": f"{issuer.endpoint_url('register')}/{client.client_id}",
        }
    )
    response.status_code = status
    return response
