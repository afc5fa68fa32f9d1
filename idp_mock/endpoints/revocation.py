"""Revocation (RFC 7009): a client ends what it was given; everything from the same grant ends with it."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidRequestError
from flask import Blueprint, Response

from idp_mock.endpoints.form import answered
from idp_mock.server import IdpRequest, IssuerServer
from idp_mock.stores import fingerprint
from idp_mock.tokens import live_access_token, revoke_grant


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    issuer = server.issuer

    def end(form: IdpRequest) -> tuple[int, dict[str, Any]]:
        client = server.authenticate_client(form, [], "revoke")
        token = form.form.get("token")
        if not token:
            raise InvalidRequestError("The parameter 'token' is required.")
        # `token_type_hint` is only a hint: both kinds are looked at whatever it says. A used refresh token counts.
        record = issuer.stores.refresh_tokens.get(fingerprint(token)) or live_access_token(issuer, token)
        if record is None:
            return 200, {}
        if record.client_id != client.client_id:
            raise InvalidGrantError("The token was issued to another client.")
        revoke_grant(issuer, record.grant_id)
        return 200, {}

    def revoke() -> Response:
        return answered(server, "revoke", end)

    blueprint.add_url_rule(issuer.profile.paths["revoke"], "revoke", revoke, methods=["POST"])
