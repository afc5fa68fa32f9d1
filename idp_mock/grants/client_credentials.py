"""The client credentials grant: a client acts for itself, under its own name, and never as a person.

RFC 6749 §4.4, RFC 9068 §2.2 and RFC 9700 §4.15 (`sub` is the client id, which no user has).
"""

from __future__ import annotations

from typing import Any

from idp_mock.authorization_details import read_details
from idp_mock.clients import CLIENT_CREDENTIALS, STANDARD_SCOPES, Client
from idp_mock.grants.authorization_request import requested_resources
from idp_mock.grants.token_grant import TokenGrant, requested_scopes
from idp_mock.tokens import issue_tokens, start_grant


class ClientCredentialsGrant(TokenGrant):
    """Issues an access token for the client's own scopes; no ID token and no refresh token."""

    GRANT_TYPE = CLIENT_CREDENTIALS

    def issue(self, client: Client) -> dict[str, Any]:
        issuer, form = self.issuer, self.request.form
        # The standard scopes are about a person, and there is none.
        own = tuple(scope for scope in client.scopes if scope not in STANDARD_SCOPES)
        grant = start_grant(
            issuer,
            client,
            scopes=requested_scopes(form.get("scope"), own),
            resources=requested_resources(client, self.request.payload.datalist) or (issuer.registry.default_resource,),
            authentication=None,
            lifetime_seconds=issuer.lifetimes.access_token,
            authorization_details=read_details(client, form.get("authorization_details")),
        )
        return issue_tokens(
            issuer,
            grant=grant,
            client=client,
            user=None,
            scopes=grant.scopes,
            resources=grant.resources,
            dpop_jkt=self.request.dpop_jkt,
        )
