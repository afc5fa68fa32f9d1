"""Introspection (RFC 7662): an authenticated client learns about tokens that concern it; of all others, nothing."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError
from flask import Blueprint, Response

from idp_mock.clients import Client
from idp_mock.endpoints.form import answered
from idp_mock.issuer import Issuer
from idp_mock.server import IdpRequest, IssuerServer
from idp_mock.stores.records import AccessToken, RefreshToken
from idp_mock.tokens import BEARER, DPOP, bound_claims, grant_is_live, live_access_token, live_refresh_token

_INACTIVE: dict[str, Any] = {"active": False}


def add_routes(blueprint: Blueprint, server: IssuerServer) -> None:
    issuer = server.issuer

    def state(form: IdpRequest) -> tuple[int, dict[str, Any]]:
        client = server.authenticate_client(form, [], "introspect")
        if not client.confidential:
            # Otherwise anybody could ask about a token that they found (RFC 7662 §2.1).
            raise InvalidClientError("A public client cannot introspect.")
        token = form.form.get("token")
        if not token:
            raise InvalidRequestError("The parameter 'token' is required.")
        return 200, _state_of(issuer, client, token)

    def introspect() -> Response:
        return answered(server, "introspect", state)

    blueprint.add_url_rule(issuer.profile.paths["introspect"], "introspect", introspect, methods=["POST"])


def _state_of(issuer: Issuer, client: Client, token: str) -> dict[str, Any]:
    """Everything about a live token that is the client's own or for a resource it serves; else only `active`."""
    if (access := live_access_token(issuer, token)) is not None:
        serves = client.may_introspect and bool(set(access.resources) & set(client.resources))
        return _about_access(issuer, access) if serves or access.client_id == client.client_id else _INACTIVE
    refresh = live_refresh_token(issuer, token)
    own = refresh is not None and refresh.client_id == client.client_id
    return _about_refresh(issuer, refresh) if refresh is not None and own else _INACTIVE


def _about_access(issuer: Issuer, record: AccessToken) -> dict[str, Any]:
    user = issuer.users.by_sub(record.sub)
    return {
        "active": True,
        "iss": issuer.url,
        "sub": record.sub,
        "aud": record.resources[0] if len(record.resources) == 1 else list(record.resources),
        "client_id": record.client_id,
        "scope": " ".join(record.scopes),
        "token_type": DPOP if record.dpop_jkt else BEARER,
        "iat": record.issued_at,
        "exp": record.expires_at,
        **_sign_in(issuer, record.grant_id),
        **({"username": user.username} if user else {}),
        **bound_claims(record),
    }


def _about_refresh(issuer: Issuer, record: RefreshToken) -> dict[str, Any]:
    grant = grant_is_live(issuer, record.grant_id)
    return {
        "active": True,
        "iss": issuer.url,
        "sub": grant.authentication.sub if grant and grant.authentication else record.client_id,
        "client_id": record.client_id,
        "scope": " ".join(record.scopes),
        "exp": record.expires_at,
    }


def _sign_in(issuer: Issuer, grant_id: str) -> dict[str, Any]:
    """When and how strongly the person signed in (RFC 9470 §6.2)."""
    grant = grant_is_live(issuer, grant_id)
    if grant is None or grant.authentication is None:
        return {}
    return {"auth_time": grant.authentication.auth_time, "acr": grant.authentication.acr}
