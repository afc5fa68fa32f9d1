"""The refresh token grant: every use rotates the token, and a second use of one ends the whole family.

RFC 6749 §6, RFC 9700 §4.14.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidScopeError

from idp_mock.authorization_details import narrowed_details
from idp_mock.dpop import InvalidDPoPProofError
from idp_mock.grants.authorization_code import CLIENT_AUTH_METHODS
from idp_mock.grants.authorization_request import narrowed_resources
from idp_mock.issuer import Issuer
from idp_mock.stores import fingerprint
from idp_mock.stores.records import Grant, RefreshToken
from idp_mock.tokens import grant_is_live, issue_tokens, revoke_grant, user_of
from idp_mock.users import User


class RotatingRefreshTokenGrant(grants.RefreshTokenGrant):  # type: ignore[misc]  # Authlib ships no types
    """Exchanges a refresh token for new tokens, within the scopes and resources first granted."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTH_METHODS

    @property
    def issuer(self) -> Issuer:
        issuer: Issuer = self.server.issuer
        return issuer

    def validate_token_request(self) -> None:
        client = self._validate_request_client()
        self.request.client = client
        handle = fingerprint(self.request.form.get("refresh_token") or "")
        token = self.issuer.stores.refresh_tokens.get(handle)
        # Another client's token is simply unknown, and is not used up by the attempt.
        if token is None or token.client_id != client.client_id:
            raise InvalidGrantError("The refresh token is unknown, ended or was issued to another client.")
        grant = grant_is_live(self.issuer, token.grant_id)
        if grant is None:
            raise InvalidGrantError("The grant has ended.")
        if token.used:
            self._end_family(grant)
        if token.dpop_jkt is not None and token.dpop_jkt != self.request.dpop_jkt:
            raise InvalidDPoPProofError("The refresh token is bound to another key.")
        self.scopes = self._narrowed_scopes(token)
        self.resources = narrowed_resources(client, self.request.payload.datalist, grant.resources)
        asked = self.request.form.get("authorization_details")
        self.details = narrowed_details(client, asked, grant.authorization_details)
        self._use_up(handle, grant)
        self.grant = grant
        self.request.refresh_token = token

    def authenticate_user(self, _refresh_token: RefreshToken) -> User | None:
        return user_of(self.issuer, self.grant)

    def issue_token(self, user: User, refresh_token: RefreshToken) -> dict[str, Any]:
        return issue_tokens(
            self.issuer,
            grant=self.grant,
            client=self.request.client,
            user=user,
            scopes=self.scopes,
            resources=self.resources,
            refresh_scopes=refresh_token.scopes,
            dpop_jkt=self.request.dpop_jkt,
            authorization_details=self.details,
        )

    def revoke_old_credential(self, refresh_token: RefreshToken) -> None:
        """Nothing: the token was used up, atomically, before the new ones were made."""

    def _narrowed_scopes(self, token: RefreshToken) -> tuple[str, ...]:
        asked = self.request.form.get("scope")
        if not asked:
            return token.scopes
        scopes = tuple(dict.fromkeys(asked.split()))
        if not set(scopes) <= set(token.scopes):
            raise InvalidScopeError("A requested scope was not granted.")
        return scopes

    def _use_up(self, handle: str, grant: Grant) -> None:
        before = self.issuer.stores.refresh_tokens.change(handle, lambda token: replace(token, used=True))
        if before is None or before.used:
            self._end_family(grant)

    def _end_family(self, grant: Grant) -> NoReturn:
        # Either the client or a thief is using an old token, and we cannot tell which: both lose.
        revoke_grant(self.issuer, grant.grant_id)
        raise InvalidGrantError("The refresh token was used before; everything from this grant is revoked.")
