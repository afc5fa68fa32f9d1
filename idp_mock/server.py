"""Authlib's authorization server for one issuer, with the issuer's name in every authorization response.

RFC 6749, RFC 9207.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import OAuth2Payload, OAuth2Request
from flask import Response
from werkzeug.datastructures import MultiDict

from idp_mock.client_authentication import authenticate_client
from idp_mock.clients import Client
from idp_mock.dpop import InvalidDPoPProofError
from idp_mock.grants.authorization_code import RequireS256, StrictAuthorizationCodeGrant
from idp_mock.grants.client_credentials import ClientCredentialsGrant
from idp_mock.grants.device_code import DeviceCodeGrant
from idp_mock.grants.refresh_token import RotatingRefreshTokenGrant
from idp_mock.grants.token_exchange import TokenExchangeGrant
from idp_mock.issuer import Issuer


class _Payload(OAuth2Payload):  # type: ignore[misc]  # Authlib ships no types
    def __init__(self, values: MultiDict[str, str]) -> None:
        self._values = values
        self._lists = dict(values.lists())

    @property
    def data(self) -> MultiDict[str, str]:
        return self._values

    @property
    def datalist(self) -> dict[str, list[str]]:
        return self._lists


class IdpRequest(OAuth2Request):  # type: ignore[misc]  # Authlib ships no types
    """An OAuth request over explicit parameters: those of this HTTP request, or those of a waiting interaction."""

    def __init__(
        self,
        method: str,
        url: str,
        values: MultiDict[str, str],
        authorization: str | None = None,
        dpop_jkt: str | None = None,
    ) -> None:
        super().__init__(method, url)
        self.dpop_jkt = dpop_jkt
        self.payload = _Payload(values)
        self.authorization = authorization
        self._form = values

    @property
    def form(self) -> MultiDict[str, str]:
        return self._form


class IssuerServer(AuthorizationServer):  # type: ignore[misc]  # Authlib ships no types
    """Joins the strict grants to one issuer."""

    def __init__(self, issuer: Issuer) -> None:
        clients: Mapping[str, Client] = issuer.registry.clients
        super().__init__(query_client=clients.get, save_token=lambda _token, _request: None)
        self.issuer = issuer
        self.register_grant(StrictAuthorizationCodeGrant, [RequireS256()])
        for grant in (RotatingRefreshTokenGrant, ClientCredentialsGrant, DeviceCodeGrant, TokenExchangeGrant):
            self.register_grant(grant)

    def authorization_grant(self, values: MultiDict[str, str]) -> StrictAuthorizationCodeGrant:
        """The validated authorization request; raises `OAuth2Error`."""
        request = IdpRequest("GET", self.issuer.endpoint_url("authorize"), values)
        grant: StrictAuthorizationCodeGrant = self.get_consent_grant(request)
        return grant

    def get_authorization_grant(self, request: IdpRequest) -> StrictAuthorizationCodeGrant:
        """The code grant for every request: a wrong response type is refused by the grant, after the redirect URI."""
        return StrictAuthorizationCodeGrant(request, self)

    def create_oauth2_request(self, request: IdpRequest) -> IdpRequest:
        return request

    def authenticate_client(self, request: IdpRequest, _methods: list[str], endpoint: str = "token") -> Client:
        client, request.auth_method = authenticate_client(self.issuer, request.authorization, request.form)
        if endpoint == "token" and client.requires_dpop and request.dpop_jkt is None:
            raise InvalidDPoPProofError("This client has to send a DPoP proof.")
        return client

    def handle_response(self, status_code: int, payload: Any, headers: list[tuple[str, str]]) -> Response:
        """Every redirect that Authlib builds is an authorization response: add `iss` to it, and make it a 303.

        RFC 9207 §2 covers errors too, which Authlib's own extension misses. A 307 would repeat the sign-in form,
        password included, to the client (RFC 9700 §4.12).
        """
        response: Response = super().handle_response(status_code, payload, headers)
        if response.location is not None:
            separator = "&" if urlsplit(response.location).query else "?"
            response.location = f"{response.location}{separator}{urlencode({'iss': self.issuer.url})}"
            response.status_code = 303
        return response

    def refusal(self, error: OAuth2Error) -> Response:
        """The redirect that tells the client; only for an error that knows a validated redirect URI."""
        return self.handle_error_response(None, error)  # type: ignore[no-any-return]
