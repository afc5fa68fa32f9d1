"""The OpenID Connect client (BFF): code flow with PKCE, and every check of the answer.

Authlib builds the requests and reads the responses. It checks neither the response's `iss`, nor the
discovery document's issuer, nor that an ID token came at all: those checks are here and in `credentials`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri

from secure_api.credentials.id_tokens import verify_id_token
from secure_api.credentials.identity_provider import IdentityProvider
from secure_api.credentials.issuer_keys import IssuerKeys
from secure_api.credentials.providers import ProviderRegistry
from secure_api.db import utc_now
from secure_api.errors import InvalidToken, LoginFailed, ServiceUnavailable
from secure_api.login.provisioning import Identity
from secure_api.login.transactions import Begun, LoginTransaction
from secure_api.outbound.operator import OperatorClient
from secure_api.protocol.discovery import ProviderMetadata
from secure_api.protocol.id_token import IdTokenClaims
from secure_api.protocol.pkce import challenge_s256
from secure_api.protocol.rfc9068 import groups_at

MAX_PARAMETER_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A completed sign-in: who it is, how and when the person authenticated, and the token for logout."""

    identity: Identity
    acr: str | None
    auth_time: datetime
    upstream_sid: str | None
    id_token: str


class RelyingParty:
    """This application as a client of every configured provider."""

    def __init__(
        self,
        providers: ProviderRegistry,
        issuer_keys: Mapping[str, IssuerKeys],
        clients: Mapping[str, OperatorClient],
        base_url: str,
    ) -> None:
        """`issuer_keys` and `clients` are by provider name; `base_url` is ours, for the redirect addresses."""
        self._providers = providers
        self._issuer_keys = issuer_keys
        self._clients = clients
        self._base_url = base_url

    def provider(self, name: str) -> IdentityProvider:
        """The provider of that name, if people can sign in with it. Raises `LoginFailed`."""
        provider = self._providers.by_name(name)
        if provider is None or not provider.login or provider.client_id is None:
            raise LoginFailed("unknown_provider", "There is no such identity provider.")
        return provider

    def prepare(self, provider: IdentityProvider) -> None:
        """Have the provider's metadata at hand, before anything is written. Raises `ServiceUnavailable`."""
        self._metadata(provider)

    def authorization_url(self, provider: IdentityProvider, begun: Begun) -> str:
        """Where the browser goes to sign in: code flow, S256, state and nonce (OIDC Core §3.1.2.1)."""
        url: str = prepare_grant_uri(
            self._metadata(provider).authorization_endpoint,
            client_id=provider.client_id,
            response_type="code",
            redirect_uri=self._redirect_uri(provider),
            scope=" ".join(provider.login_scopes),
            state=begun.state,
            nonce=begun.nonce,
            code_challenge=challenge_s256(begun.verifier),
            code_challenge_method="S256",
        )
        return url

    def complete(
        self, provider: IdentityProvider, transaction: LoginTransaction, parameters: Mapping[str, str]
    ) -> SignedIn:
        """The person behind the provider's answer, after every check. Raises `LoginFailed`."""
        metadata = self._metadata(provider)
        _check_response_issuer(metadata, parameters)
        code = _code(parameters)
        id_token, access_token = self._redeem(provider, metadata, transaction, code)
        try:
            claims = verify_id_token(
                id_token,
                self._issuer_keys[provider.name],
                nonce=transaction.nonce,
                now=utc_now(),
                access_token=access_token,
            )
        except InvalidToken as error:
            raise LoginFailed(
                f"id_token_{error.reason}", "The identity provider's answer did not pass our checks. Start again."
            ) from error
        identity = self._identity(provider, metadata, claims, access_token)
        _check_domain(provider, identity, claims)
        return SignedIn(
            identity=identity,
            acr=claims.acr,
            auth_time=claims.auth_time or claims.issued_at,
            upstream_sid=claims.session_id,
            id_token=id_token,
        )

    def logout_url(self, provider_name: str, id_token: str | None) -> str | None:
        """Where the browser ends the provider's session too (OIDC RP-Initiated Logout §2); None where it cannot."""
        provider = self._providers.by_name(provider_name)
        if provider is None or provider.client_id is None:
            return None
        try:
            endpoint = self._metadata(provider).end_session_endpoint
        except ServiceUnavailable:
            return None  # the provider is away: the local session ends all the same
        if endpoint is None:
            return None
        query = {"client_id": provider.client_id, "post_logout_redirect_uri": f"{self._base_url}/"}
        if id_token is not None:
            query["id_token_hint"] = id_token
        return f"{endpoint}?{urlencode(query)}"

    def _metadata(self, provider: IdentityProvider) -> ProviderMetadata:
        return self._issuer_keys[provider.name].metadata()

    def _redirect_uri(self, provider: IdentityProvider) -> str:
        return f"{self._base_url}/auth/callback/{provider.name}"

    def _redeem(
        self, provider: IdentityProvider, metadata: ProviderMetadata, transaction: LoginTransaction, code: str
    ) -> tuple[str, str]:
        """ID token and access token for the code (OIDC Core §3.1.3)."""
        answer = self._clients[provider.name].post_form(
            metadata.token_endpoint,
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._redirect_uri(provider),
                "code_verifier": transaction.verifier,
                **({} if provider.client_secret else {"client_id": provider.client_id or ""}),
            },
            auth=(provider.client_id or "", provider.client_secret) if provider.client_secret else None,
        )
        id_token, access_token = answer.body.get("id_token"), answer.body.get("access_token")
        if answer.status != 200:
            raise LoginFailed(
                "code_refused",
                "The identity provider did not confirm the sign-in. Start again.",
                log_detail=f"token endpoint: {answer.status} {str(answer.body.get('error'))[:60]}",
            )
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise LoginFailed("no_id_token", "The identity provider sent no identity. Start again.")
        if str(answer.body.get("token_type", "")).lower() != "bearer":
            raise LoginFailed("token_type", "The identity provider's answer did not pass our checks. Start again.")
        return id_token, access_token

    def _identity(
        self, provider: IdentityProvider, metadata: ProviderMetadata, claims: IdTokenClaims, access_token: str
    ) -> Identity:
        """What the ID token says of the person, completed by UserInfo where it lacks something (OIDC Core §5.3)."""
        known = dict(claims.claims)
        wanted = {"email", "name", provider.groups_claim[0]} if provider.groups_claim else {"email", "name"}
        if metadata.userinfo_endpoint is not None and wanted - known.keys():
            more = self._clients[provider.name].get_json(metadata.userinfo_endpoint, bearer_token=access_token)
            if not hmac.compare_digest(str(more.get("sub", "")).encode(), claims.subject.encode()):
                # An access token of somebody else, slipped in: his claims must not be ours (OIDC Core §5.3.2).
                raise LoginFailed("userinfo_subject", "The identity provider's answers contradict each other.")
            if "email" in known:
                more.pop("email_verified", None)  # said of the address there, which may be another one
            known = {**more, **known}
        email, name = known.get("email"), known.get("name")
        return Identity(
            issuer=provider.issuer,
            subject=claims.subject,
            email=email if isinstance(email, str) and len(email) <= 254 and email.isprintable() else None,
            email_verified=known.get("email_verified") is True,
            name=name[:200] if isinstance(name, str) and name.isprintable() else None,
            groups=groups_at(known, provider.groups_claim),
        )


def _check_response_issuer(metadata: ProviderMetadata, parameters: Mapping[str, str]) -> None:
    """The answer comes from the provider that was asked (RFC 9207 §2.4): stops mix-up between providers."""
    issuer = parameters.get("iss")
    if issuer is None and metadata.sends_issuer:
        raise LoginFailed("issuer_missing", "The identity provider's answer is incomplete. Start again.")
    if issuer is not None and issuer != metadata.issuer:
        raise LoginFailed("issuer_mismatch", "The answer came from another identity provider. Start again.")


def _code(parameters: Mapping[str, str]) -> str:
    """The code of a successful answer. Raises `LoginFailed`, with a friendly text where the person said no."""
    error = parameters.get("error")
    if error == "access_denied":
        raise LoginFailed("access_denied", "You did not allow the sign-in. Nothing was shared.")
    if error is not None:
        raise LoginFailed(
            "provider_error",
            "The identity provider reported an error. Start again.",
            log_detail=f"error {error[:60]!r}",
        )
    code = parameters.get("code")
    if not code or len(code) > MAX_PARAMETER_CHARACTERS:
        raise LoginFailed("no_code", "The identity provider's answer is incomplete. Start again.")
    return code


def _check_domain(provider: IdentityProvider, identity: Identity, claims: IdTokenClaims) -> None:
    """Only people of the domains that the provider's table names; Google vouches for a domain by `hd` alone."""
    if not provider.allowed_domains:
        return
    email = identity.email if identity.email_verified else None
    domain = claims.hosted_domain or (email.rpartition("@")[2].lower() if email else None)
    if domain not in provider.allowed_domains:
        raise LoginFailed("domain", "Your organisation has no access here.", log_detail=f"domain {domain!r}")
