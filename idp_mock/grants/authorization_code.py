"""The authorization code grant: PKCE S256 for every client, codes single use and bound to what they were issued for.

RFC 6749 §4.1, RFC 7636, RFC 9700 §2.1. Authlib's grant is the frame; its optional PKCE, its redirect check and its
code handling are replaced.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc7636 import CodeChallenge

from idp_mock.authorization_details import narrowed_details
from idp_mock.clients import PRIVATE_KEY_JWT, SECRET_METHODS, Client
from idp_mock.dpop import InvalidDPoPProofError
from idp_mock.grants.authorization_request import (
    AuthorizationRequest,
    narrowed_resources,
    read_authorization_request,
)
from idp_mock.issuer import Issuer
from idp_mock.stores import fingerprint, new_secret
from idp_mock.stores.records import Authentication, AuthorizationCode
from idp_mock.tokens import grant_is_live, issue_tokens, revoke_grant, start_grant, user_of
from idp_mock.users import User

CLIENT_AUTH_METHODS = ["none", *SECRET_METHODS, PRIVATE_KEY_JWT]
_REUSE_WINDOW_SECONDS = 3_600


def _redeemed(code: AuthorizationCode) -> AuthorizationCode:
    # What it was bound to is of no use any more, and ten thousand of these are kept.
    return replace(code, redeemed=True, redirect_uri="", code_challenge="", nonce=None)


class RequireS256(CodeChallenge):  # type: ignore[misc]  # Authlib ships no types
    """Checks the verifier of every client. The authorization endpoint has already refused all but S256."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_validate_token_request", self.validate_code_verifier)

    def validate_code_verifier(self, grant: Any, result: Any) -> None:
        if not grant.request.authorization_code.code_challenge:
            # Only at a conformance issuer. A verifier shows that somebody took the challenge away (RFC 9700 §4.8).
            if "code_verifier" in grant.request.form:
                raise InvalidGrantError("The authorization request had no 'code_challenge'.")
            return
        if not grant.request.form.get("code_verifier"):
            raise InvalidRequestError("The parameter 'code_verifier' is required.")
        super().validate_code_verifier(grant, result)


class StrictAuthorizationCodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib ships no types
    """Asks for consent, then issues one code; redeems it once."""

    TOKEN_ENDPOINT_AUTH_METHODS = CLIENT_AUTH_METHODS
    facts: AuthorizationRequest

    @property
    def issuer(self) -> Issuer:
        issuer: Issuer = self.server.issuer
        return issuer

    # --- authorization endpoint ---

    @staticmethod
    def validate_no_multiple_request_parameter(request: Any) -> None:
        """Left to `read_authorization_request`, which covers every parameter and knows where to send the error."""

    def validate_authorization_request(self) -> str:
        self.facts = read_authorization_request(self.issuer, self.request.payload.datalist)
        self.request.client = self.facts.client
        return self.facts.redirect_uri

    def generate_authorization_code(self) -> str:
        return new_secret()

    def save_authorization_code(self, code: str, request: Any) -> None:
        authentication: Authentication = request.user
        issuer, facts = self.issuer, self.facts
        lifetimes = issuer.lifetimes
        offline = "offline_access" in facts.scopes
        lifetime = lifetimes.refresh_absolute if offline else lifetimes.code + lifetimes.access_token
        grant = start_grant(
            issuer,
            facts.client,
            scopes=facts.scopes,
            resources=facts.resources,
            authentication=authentication,
            lifetime_seconds=lifetime,
            authorization_details=facts.authorization_details,
        )
        record = AuthorizationCode(
            grant_id=grant.grant_id,
            client_id=grant.client_id,
            redirect_uri=facts.redirect_uri,
            code_challenge=facts.code_challenge,
            scopes=facts.scopes,
            nonce=facts.nonce,
            expires_at=issuer.clock() + lifetimes.code,
            dpop_jkt=facts.dpop_jkt,
        )
        # Kept beyond its end, so that a late second use is still recognised and revokes what the first one got.
        issuer.stores.codes.put(fingerprint(code), record, min(lifetime, _REUSE_WINDOW_SECONDS))

    # --- token endpoint ---

    def query_authorization_code(self, code: str, client: Client) -> AuthorizationCode | None:
        record = self.issuer.stores.codes.get(fingerprint(code))
        if record is None or record.client_id != client.client_id:
            return None
        if record.redeemed:
            self._revoke(record)
            return None
        return record if record.expires_at > self.issuer.clock() else None

    def validate_token_request(self) -> None:
        super().validate_token_request()
        code: AuthorizationCode = self.request.authorization_code
        grant = grant_is_live(self.issuer, code.grant_id)
        if grant is None:
            raise InvalidGrantError("The grant has ended.")
        if code.dpop_jkt is not None and code.dpop_jkt != self.request.dpop_jkt:
            raise InvalidDPoPProofError("The code is bound to another key.")
        client, form = self.request.client, self.request.form
        self.resources = narrowed_resources(client, self.request.payload.datalist, grant.resources)
        self.details = narrowed_details(client, form.get("authorization_details"), grant.authorization_details)
        # Last of all, and atomic: of two requests with the same code at the same time, one is the second.
        before = self.issuer.stores.codes.change(fingerprint(form["code"]), _redeemed)
        if before is None or before.redeemed:
            self._revoke(code)
            raise InvalidGrantError("Invalid 'code' in request.")
        self.grant = grant

    def authenticate_user(self, _authorization_code: AuthorizationCode) -> User | None:
        return user_of(self.issuer, self.grant)

    def generate_token(self, user: User, include_refresh_token: bool, **_scope: Any) -> dict[str, Any]:
        code: AuthorizationCode = self.request.authorization_code
        offline = include_refresh_token and "offline_access" in code.scopes
        return issue_tokens(
            self.issuer,
            grant=self.grant,
            client=self.request.client,
            user=user,
            scopes=code.scopes,
            resources=self.resources,
            nonce=code.nonce,
            refresh_scopes=code.scopes if offline else None,
            dpop_jkt=self.request.dpop_jkt,
            authorization_details=self.details,
        )

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        """Nothing: the redeemed code stays until its time, so that its reuse is noticed."""

    def _revoke(self, code: AuthorizationCode) -> None:
        revoke_grant(self.issuer, code.grant_id)
