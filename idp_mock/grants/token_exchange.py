"""Token exchange: a service that was called with a person's token gets one to call on with, and its name stays in it.

RFC 8693 §2. Strict: the subject token is a live access token of a person, issued here, to this client or for a
resource that this client serves; the new one has no more scopes, lives no longer, and dies with the same grant.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidRequestError

from idp_mock.clients import STANDARD_SCOPES, TOKEN_EXCHANGE, Client
from idp_mock.dpop import InvalidDPoPProofError
from idp_mock.grants.authorization_request import InvalidTargetError, requested_resources
from idp_mock.grants.token_grant import TokenGrant, requested_scopes
from idp_mock.stores.records import AccessToken, Grant
from idp_mock.tokens import grant_is_live, issue_tokens, live_access_token, user_of
from idp_mock.users import User

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  # nosec B105
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
_MAX_ACTORS = 4


class TokenExchangeGrant(TokenGrant):
    """Exchanges a person's access token for another one, with the client as its actor."""

    GRANT_TYPE = TOKEN_EXCHANGE

    def issue(self, client: Client) -> dict[str, Any]:
        form = self.request.form
        self._refuse_unsupported()
        subject, grant, user = self._subject(client, form.get("subject_token", ""))
        served = tuple(resource for resource in client.resources if resource in subject.resources)
        resources = self._targets(client) or served
        if not resources:
            raise InvalidTargetError("Name the resource that the token is for.")
        allowed = tuple(scope for scope in subject.scopes if scope in client.scopes and scope not in STANDARD_SCOPES)
        body = issue_tokens(
            self.issuer,
            grant=grant,
            client=client,
            user=user,
            scopes=requested_scopes(form.get("scope"), allowed),
            resources=resources,
            dpop_jkt=self.request.dpop_jkt,
            actors=(client.client_id, *subject.actors),
            ends_at=subject.expires_at,
            authorization_details=subject.authorization_details,
        )
        return {**body, "issued_token_type": ACCESS_TOKEN_TYPE}

    def _refuse_unsupported(self) -> None:
        form = self.request.form
        if not form.get("subject_token") or form.get("subject_token_type") not in (ACCESS_TOKEN_TYPE, JWT_TYPE):
            raise InvalidRequestError("Send a 'subject_token' that is an access token, and its 'subject_token_type'.")
        if "actor_token" in form or "actor_token_type" in form:
            raise InvalidRequestError("The actor is the client: 'actor_token' is not supported.")
        if form.get("requested_token_type", ACCESS_TOKEN_TYPE) not in (ACCESS_TOKEN_TYPE, JWT_TYPE):
            raise InvalidRequestError("Only an access token can be had.")

    def _subject(self, client: Client, token: str) -> tuple[AccessToken, Grant, User]:
        subject = live_access_token(self.issuer, token)
        grant = grant_is_live(self.issuer, subject.grant_id) if subject else None
        user = user_of(self.issuer, grant) if grant else None
        if subject is None or grant is None or user is None:
            raise InvalidGrantError("The subject token is not a live access token of a person.")
        if subject.client_id != client.client_id and not set(subject.resources) & set(client.resources):
            raise InvalidGrantError("The subject token is not for this client.")
        # Who cannot prove the key of a bound token may have stolen it (RFC 9449 §1).
        if subject.dpop_jkt is not None and subject.dpop_jkt != self.request.dpop_jkt:
            raise InvalidDPoPProofError("The subject token is bound to another key.")
        if len(subject.actors) >= _MAX_ACTORS:
            raise InvalidGrantError("The token was exchanged too often.")
        return subject, grant, user

    def _targets(self, client: Client) -> tuple[str, ...]:
        lists = self.request.payload.datalist
        return requested_resources(client, {"resource": [*lists.get("resource", []), *lists.get("audience", [])]})
