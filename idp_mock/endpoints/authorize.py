"""The authorization endpoint (RFC 6749 §3.1, OIDC Core §3.1.2)."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, Response, request

from idp_mock import authorization
from idp_mock.server import IssuerServer


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    path = server.issuer.profile.paths["authorize"]

    def authorize() -> Response:
        return authorization.begin(server, request.args)

    def authorize_by_post() -> Response:
        # A post from another site arrives without our SameSite cookie; a GET after a redirect has it.
        pairs = [*request.args.items(multi=True), *request.form.items(multi=True)]
        return Response(
            status=303, headers={"Location": f"{server.issuer.endpoint_path('authorize')}?{urlencode(pairs)}"}
        )

    blueprint.add_url_rule(path, "authorize", authorize, methods=["GET"])
    blueprint.add_url_rule(path, "authorize_by_post", authorize_by_post, methods=["POST"])
