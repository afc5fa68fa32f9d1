"""The token endpoint (RFC 6749 §3.2): a grant for a form, or an error."""

from __future__ import annotations

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from flask import Blueprint, Response

from idp_mock.endpoints.form import answered
from idp_mock.server import IdpRequest, IssuerServer


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    def grant(form: IdpRequest) -> Response:
        if not form.form.get("grant_type"):
            raise InvalidRequestError("The parameter 'grant_type' is required.")
        response: Response = server.create_token_response(form)
        return response

    def token() -> Response:
        return answered(server, "token", grant)

    blueprint.add_url_rule(server.issuer.profile.paths["token"], "token", token, methods=["POST"])
