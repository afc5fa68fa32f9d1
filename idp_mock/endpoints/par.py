"""Pushed authorization requests (RFC 9126): validated whole before a browser is involved, then used once."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from flask import Blueprint, Response
from werkzeug.datastructures import MultiDict

from idp_mock.dpop import InvalidDPoPProofError
from idp_mock.endpoints.form import answered
from idp_mock.grants.authorization_request import read_authorization_request
from idp_mock.grants.pushed_request import push_request, signed_parameters
from idp_mock.server import IdpRequest, IssuerServer

_CREDENTIALS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    issuer = server.issuer

    def push(form: IdpRequest) -> tuple[int, dict[str, Any]]:
        client = server.authenticate_client(form, [], "par")
        if "request_uri" in form.form:
            raise InvalidRequestError("A pushed request refers to no other.")
        sent = MultiDict(pair for pair in form.form.items(multi=True) if pair[0] not in _CREDENTIALS)
        # HTTP Basic and a client assertion name the client as well; what is kept always does.
        sent["client_id"] = client.client_id
        values = signed_parameters(issuer, client, sent)
        if form.dpop_jkt is not None and values.setdefault("dpop_jkt", form.dpop_jkt) != form.dpop_jkt:
            raise InvalidDPoPProofError("The proof and 'dpop_jkt' are for different keys.")
        read_authorization_request(issuer, dict(values.lists()))
        return 201, {
            "request_uri": push_request(issuer, client, values),
            "expires_in": issuer.lifetimes.pushed_request,
        }

    def par() -> Response:
        return answered(server, "par", push)

    blueprint.add_url_rule(issuer.profile.paths["par"], "par", par, methods=["POST"])
