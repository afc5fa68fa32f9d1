"""What the grants have in common that need no authorization endpoint: one client, registered for the grant."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.errors import InvalidScopeError, UnauthorizedClientError
from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin

from idp_mock.clients import Client
from idp_mock.issuer import Issuer


class TokenGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]  # Authlib ships no types
    """Authenticates the client, then answers with `issue()`, which raises `OAuth2Error` for what it refuses."""

    @property
    def issuer(self) -> Issuer:
        issuer: Issuer = self.server.issuer
        return issuer

    def validate_token_request(self) -> None:
        self.client_of_grant: Client = self.authenticate_token_endpoint_client()
        if not self.client_of_grant.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClientError("This client may not use this grant.")

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        return 200, self.issue(self.client_of_grant), self.TOKEN_RESPONSE_HEADER

    def issue(self, client: Client) -> dict[str, Any]:
        """The token response."""
        raise NotImplementedError


def requested_scopes(text: str | None, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes asked for, each allowed; without any, all that are allowed. Raises `InvalidScopeError`."""
    scopes = tuple(dict.fromkeys((text or "").split())) or allowed
    if not scopes or not set(scopes) <= set(allowed):
        raise InvalidScopeError("A requested scope is not allowed here.")
    return scopes
